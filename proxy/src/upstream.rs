//! The way to an Ollama: HTTP/1.1 (RFC 9112) over connections that are kept alive and used again.
//!
//! It is our own because four things matter here that general clients hide: whoever waits for the answer drives the
//! connection, so that a stream costs no task, channel or buffer more; a connection that a client leaves is closed at
//! once, so that Ollama stops generating; a request is sent a second time only where nothing can have been done twice;
//! and refused and timed-out connects are told apart.
//!
//! [`upload`] writes a request, [`head`] and [`chunked`] take a response apart (both pure), [`connection`] does the
//! reading and writing, [`content`] is the body on its way.

pub mod chunked;
mod connection;
mod content;
pub mod head;
mod upload;

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, net::IpAddr};

use http::{HeaderValue, Response};
use thiserror::Error;
use tokio::net::TcpStream;
use url::{Host, Url};

pub use self::content::Content;
pub use self::upload::{Upload, UploadError};

use self::chunked::ChunkError;
use self::connection::Connection;
use self::head::HeadError;

/// How many unused connections are kept.
const MOST_IDLE: usize = 256;
const HTTP_PORT: u16 = 80;

/// An Ollama.
#[derive(Debug)]
pub struct Upstream {
    host: String,
    port: u16,
    host_header: HeaderValue,
    connect_timeout: Duration,
    idle: Mutex<Idle>,
}

/// Unused connections. How long each of them has been so is told by looks, so that requests need not read a clock.
#[derive(Debug, Default)]
struct Idle {
    /// The oldest first, with the number of looks before each was kept.
    connections: Vec<(Box<Connection>, u64)>,
    looks: u64,
}

/// Why the upstream gave no response.
#[derive(Debug, Error)]
pub enum UpstreamError {
    /// It refuses connections, or there is no such host.
    #[error("can't connect: {0}")]
    Connect(io::Error),
    /// It doesn't take connections in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// The exchange broke.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
}

/// Why an exchange broke.
#[derive(Debug, Error)]
pub enum ExchangeError {
    /// The upstream ended it.
    #[error("the connection was closed")]
    Closed,
    /// The connection broke.
    #[error("{0}")]
    Io(io::Error),
    /// No response of HTTP/1.
    #[error("no valid response: {0}")]
    Head(#[from] HeadError),
    /// No chunked coding where the head said so.
    #[error("no valid response: {0}")]
    Chunk(#[from] ChunkError),
    /// The request's body broke.
    #[error("the request's body: {0}")]
    Upload(UploadError),
    /// The request's body isn't as long as it said.
    #[error("the request's body isn't as long as it said")]
    UploadLength,
}

/// What comes of a request that is sent.
pub type Outcome = Result<Response<Content>, UpstreamError>;
/// A request that is sent, wherever one waits for its response.
pub type Sent = Pin<Box<dyn Future<Output = Outcome> + Send>>;

impl ExchangeError {
    /// Whether the connection is at fault, not what was said on it.
    const fn is_of_connection(&self) -> bool {
        matches!(self, Self::Closed | Self::Io(_))
    }
}

impl Upstream {
    /// The upstream of a validated configuration, and how long a connect may take.
    pub fn new(url: &Url, connect_timeout: Duration) -> Self {
        let port = url.port().unwrap_or(HTTP_PORT);
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            host => host.map(|host| host.to_string()).unwrap_or_default(),
        };
        Self {
            host_header: host_header(url, port),
            host,
            port,
            connect_timeout,
            idle: Mutex::default(),
        }
    }

    /// What Ollama wants to see as Host.
    pub const fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// Sends a request and waits for the head of the response, however long the model takes.
    ///
    /// # Errors
    /// No connection, or the exchange broke.
    pub async fn send(self: &Arc<Self>, mut upload: Box<Upload>) -> Result<Response<Content>, UpstreamError> {
        loop {
            let (mut connection, reused) = match self.take_idle() {
                Some(connection) => (connection, true),
                // Boxed: it is rare, and would make each request larger.
                None => (Box::pin(self.connect()).await?, false),
            };
            match connection.exchange(upload).await {
                Ok(head) => return Ok(Content::after(head, connection, Arc::clone(self))),
                // The upstream closed the kept connection meanwhile.
                Err((_, Some(again))) if reused => upload = again,
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    fn take_idle(&self) -> Option<Box<Connection>> {
        let mut idle = self.idle();
        while let Some((connection, _)) = idle.connections.pop() {
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Box<Connection>) {
        let mut idle = self.idle();
        if idle.connections.len() < MOST_IDLE {
            let looks = idle.looks;
            // The last one kept is the first one used.
            idle.connections.push((connection, looks));
        }
    }

    /// Closes the connections that have been unused since the look before this one.
    pub fn close_unused(&self) {
        let mut idle = self.idle();
        let Idle { connections, looks } = &mut *idle;
        *looks += 1;
        let unused = connections
            .iter()
            .take_while(|(_, kept_at)| kept_at + 1 < *looks)
            .count();
        connections.drain(..unused);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Box<Connection>, UpstreamError> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| UpstreamError::ConnectTimeout)?
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(connect_error)?;
        Ok(Box::new(Connection::new(stream)))
    }
}

fn connect_error(error: io::Error) -> UpstreamError {
    match error.kind() {
        io::ErrorKind::TimedOut => UpstreamError::ConnectTimeout,
        _ => UpstreamError::Connect(error),
    }
}

/// Bound to loopback, Ollama refuses a Host that isn't local (ollama/server/routes.go, `allowedHostsMiddleware`).
fn host_header(url: &Url, port: u16) -> HeaderValue {
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    };
    let host = if loopback {
        "localhost"
    } else {
        url.host_str().unwrap_or("localhost")
    };
    // A URL's host is ASCII without controls, which is what a header's value may be.
    HeaderValue::try_from(format!("{host}:{port}")).unwrap_or(HeaderValue::from_static("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_one_that_ollama_accepts() {
        let cases = [
            ("http://127.0.0.1:11434", "localhost:11434"),
            ("http://127.9.9.9:1", "localhost:1"),
            ("http://[::1]:11434", "localhost:11434"),
            ("http://localhost", "localhost:80"),
            ("http://ollama.ml.svc:11434", "ollama.ml.svc:11434"),
            ("http://192.0.2.1:11434", "192.0.2.1:11434"),
            ("http://[2001:db8::1]:11434", "[2001:db8::1]:11434"),
        ];
        for (url, host) in cases {
            let upstream = Upstream::new(&url.parse().unwrap(), Duration::from_secs(5));
            assert_eq!(upstream.host_header(), host, "{url}");
        }
    }

    #[tokio::test]
    async fn an_unused_connection_is_closed_at_the_second_look() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let upstream = Upstream::new(&url.parse().unwrap(), Duration::from_secs(5));
        upstream.keep(upstream.connect().await.unwrap());
        upstream.close_unused();
        let used = upstream.take_idle().unwrap();
        upstream.keep(used);
        upstream.close_unused();
        upstream.close_unused();
        assert!(upstream.take_idle().is_none());
    }
}
