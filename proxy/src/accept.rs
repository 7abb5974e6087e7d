//! Connections: accepted, served request by request, drained at the end.

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
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::ResponseBody;
use crate::peer::Peer;
use crate::pipeline;
use crate::proxy::Proxy;

/// What a client may take of a connection. There is no limit on the time of a request: a generation takes what it
/// takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
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
            head_timeout: Duration::from_secs(60),
            head_size: 32 * 1024,
            buffer_size: 64 * 1024,
        }
    }
}

/// How long a closed connection is still read, so that what the client is just sending doesn't make its system throw
/// the answer away (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);
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
        let peer = Arc::new(Peer::new(address));
        let service = service_fn(|request| respond(Arc::clone(&self.proxy), Arc::clone(&peer), request));
        let mut connection = self.http1().serve_connection(TokioIo::new(stream), service);
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
        let stream = connection.into_parts().io.into_inner();
        if let Some(status) = served.as_ref().err().and_then(refused_by_hyper) {
            self.proxy.accounting().note_unreadable(peer.address, status);
        }
        close(stream, served, &peer).await;
    }

    fn http1(&self) -> Builder {
        let Limits {
            head_timeout,
            head_size,
            buffer_size,
        } = self.limits;
        let mut builder = Builder::new();
        builder
            .timer(TokioTimer::new())
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

/// Closes at once, unless the client may still be sending: then its system would throw an answer away that it hasn't
/// read yet.
async fn close(stream: TcpStream, served: hyper::Result<()>, peer: &Peer) {
    let mut is_sending = peer.was_refused_while_sending();
    if let Err(error) = served {
        tracing::debug!(%error, peer = %peer.address, "a connection ended early");
        if peer.reads_to_close() && stream.set_zero_linger().is_ok() {
            return;
        }
        is_sending = true;
    }
    if is_sending || stream.try_read(&mut [0]).is_ok_and(|read| read > 0) {
        let _ = tokio::time::timeout(LINGER, linger(stream)).await;
    }
}

async fn linger(mut stream: TcpStream) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut discarded = [0; 4096];
    while stream.read(&mut discarded).await? > 0 {}
    Ok(())
}
