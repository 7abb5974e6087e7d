//! Connections: accepted, served request by request, drained at the end.

mod close;
mod handshake;
mod http1;
mod http2;
mod introduction;
mod timer;
mod transport;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::normalise;
use crate::config::Timeouts;
use crate::peer::Peer;
use crate::proxy::Proxy;
use handshake::{Opened, Protocol};
use transport::Transport;

/// What a client may take of a connection. There is no limit on the time of a request: a generation takes what it
/// takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To the end of the TLS handshake, and before it to the end of the PROXY protocol's header.
    pub handshake_timeout: Duration,
    /// From the end of a response, or the accept, to the end of the next request's head: hyper starts the clock
    /// there, so that this also ends connections that are not used. For HTTP/2, how long no request may be open.
    pub head_timeout: Duration,
    /// Bytes of a request's head.
    pub head_size: usize,
    /// Bytes that hyper buffers for a connection of HTTP/1, or for an answer on one of HTTP/2.
    pub buffer_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Timeouts::default().head(),
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
    /// Says how many were left, with the streams of HTTP/2 among them.
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
        let mut stream = stream;
        let Some(client) = self.introduced(&mut stream, address).await else {
            return;
        };
        let Some((transport, protocol)) = self.open(stream, client.unwrap_or(address)).await else {
            return;
        };
        let secure = transport.is_secure();
        let peer = match client {
            Some(client) => Peer::new(client, secure),
            None => Peer::unknown(address, secure),
        };
        let peer = Arc::new(peer.with_certificate(transport.client_certificate()));
        match protocol {
            Protocol::Http1 => self.serve_http1(transport, peer).await,
            // Boxed: a connection of HTTP/1 needn't make room for one of HTTP/2.
            Protocol::Http2 => Box::pin(self.serve_http2(transport, peer)).await,
        }
    }

    /// Who calls: the peer, or whom a proxy passes it on for if it knows. None where a proxy doesn't say what it must.
    async fn introduced(&self, stream: &mut TcpStream, address: IpAddr) -> Option<Option<IpAddr>> {
        if !self.proxy.in_force().addresses.introduces(address) {
            return Some(Some(address));
        }
        let introduced = introduction::introduced(stream);
        match tokio::time::timeout(self.limits.handshake_timeout, introduced).await {
            Ok(Ok(client)) => Some(client),
            Ok(Err(error)) => {
                tracing::warn!(%error, peer = %address, "a trusted proxy must begin with the PROXY protocol");
                None
            }
            Err(_) => {
                tracing::warn!(peer = %address, "a trusted proxy began without the PROXY protocol, and said nothing");
                None
            }
        }
    }

    /// None where the client speaks no TLS that could be answered, or says nothing in time.
    async fn open(&self, stream: TcpStream, address: IpAddr) -> Option<(Transport, Protocol)> {
        let tls = self.proxy.tls();
        // Boxed, as is what else a connection needs once: it would need the room for as long as it lasts.
        let opening = Box::pin(handshake::open(stream, tls.as_ref()));
        let limit = match &tls {
            Some(_) => self.limits.handshake_timeout,
            None => self.limits.head_timeout,
        };
        match tokio::time::timeout(limit, opening).await {
            Ok(Ok(Opened::Transport(transport, protocol))) => Some((transport, protocol)),
            Ok(Ok(Opened::PlainHttp(stream))) => {
                let status = handshake::refuse_plain_http(stream).await;
                self.proxy
                    .accounting()
                    .note_unreadable(normalise(address), status);
                None
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, peer = %address, "a connection failed before its first request");
                None
            }
            Err(_) => {
                tracing::debug!(peer = %address, "nothing came, or a handshake took too long");
                None
            }
        }
    }
}
