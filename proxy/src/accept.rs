//! Connections: accepted, served request by request, drained at the end.

mod close;
mod handshake;
mod timer;
mod transport;

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::normalise;
use crate::body::ResponseBody;
use crate::peer::Peer;
use crate::pipeline;
use crate::proxy::Proxy;
use close::close;
use handshake::Opened;
use timer::ConnectionTimer;
use transport::Transport;

/// What a client may take of a connection. There is no limit on the time of a request: a generation takes what it
/// takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the accept to the end of the TLS handshake.
    pub handshake_timeout: Duration,
    /// From the end of a response, or the accept, to the end of the next request's head: hyper starts the clock
    /// there, so that this also ends connections that are not used.
    pub head_timeout: Duration,
    /// Bytes of a request's head.
    pub head_size: usize,
    /// Bytes that hyper buffers for a connection.
    pub buffer_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(60),
            head_size: 32 * 1024,
            buffer_size: 64 * 1024,
        }
    }
}

/// How long to wait when the system has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listeners' side of the proxy.
#[derive(Clone)]
pub struct Acceptor {
    proxy: Arc<Proxy>,
    limits: Limits,
    connections: TaskTracker,
    draining: CancellationToken,
}

impl Acceptor {
    /// Serves connections for `proxy`.
    pub fn new(proxy: Arc<Proxy>, limits: Limits) -> Self {
        Self {
            proxy,
            limits,
            connections: TaskTracker::new(),
            draining: CancellationToken::new(),
        }
    }

    /// Accepts connections until it is dropped.
    pub async fn accept(&self, listener: TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    self.connections.spawn(self.clone().serve(stream, address.ip()));
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Closes connections after the response that is under way, and waits until all are closed or `limit` is over.
    /// Says how many were left.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.draining.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(limit, self.connections.wait()).await;
        self.connections.len()
    }

    async fn serve(self, stream: TcpStream, address: IpAddr) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone at once");
            return;
        }
        let Some(transport) = self.open(stream, address).await else {
            return;
        };
        let peer = Arc::new(Peer::new(address, transport.is_secure()));
        let service = service_fn(|request| respond(Arc::clone(&self.proxy), Arc::clone(&peer), request));
        let mut connection = self.http1().serve_connection(TokioIo::new(transport), service);
        let mut draining = pin!(self.draining.cancelled());
        let mut is_draining = false;
        let served = poll_fn(|context| {
            if !is_draining && draining.as_mut().poll(context).is_ready() {
                is_draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(context)
        })
        .await;
        let transport = connection.into_parts().io.into_inner();
        if let Some(status) = served.as_ref().err().and_then(refused_by_hyper) {
            self.proxy.accounting().note_unreadable(peer.address, status);
        }
        close(transport, served, &peer).await;
    }

    /// None where the client speaks no TLS that could be answered, or none in time.
    async fn open(&self, stream: TcpStream, address: IpAddr) -> Option<Transport> {
        let opening = handshake::open(stream, self.proxy.tls());
        match tokio::time::timeout(self.limits.handshake_timeout, opening).await {
            Ok(Ok(Opened::Transport(transport))) => Some(transport),
            Ok(Ok(Opened::PlainHttp(stream))) => {
                let status = handshake::refuse_plain_http(stream).await;
                self.proxy
                    .accounting()
                    .note_unreadable(normalise(address), status);
                None
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = %address, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %address, "a handshake took too long");
                None
            }
        }
    }

    fn http1(&self) -> Builder {
        let Limits {
            handshake_timeout: _,
            head_timeout,
            head_size,
            buffer_size,
        } = self.limits;
        let mut builder = Builder::new();
        builder
            .timer(ConnectionTimer::new())
            .header_read_timeout(head_timeout)
            .max_header_size(head_size)
            .max_buf_size(buffer_size);
        builder
    }
}

type Responding = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

/// Boxed: hyper can only give the stream back of a service whose futures may move.
fn respond(proxy: Arc<Proxy>, peer: Arc<Peer>, request: Request<Incoming>) -> Responding {
    Box::pin(async move { Ok(pipeline::answer(&proxy, &peer, request).await) })
}

/// What hyper has answered to a head that is no HTTP.
fn refused_by_hyper(error: &hyper::Error) -> Option<StatusCode> {
    if error.is_parse_too_large() {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    (error.is_parse() && !error.is_parse_version_h2()).then_some(StatusCode::BAD_REQUEST)
}
