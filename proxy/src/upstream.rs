//! The way to an Ollama: connections that are kept alive and used again.
//!
//! The pool is our own because three things matter here that hyper-util's hides: a connection that a client leaves is
//! closed at once, so that Ollama stops generating; a request is sent a second time only when hyper gives it back
//! unsent; and refused and timed-out connects are told apart.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, net::IpAddr};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use url::{Host, Url};

use crate::body::RequestBody;

/// How long an unused connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many unused connections are kept.
const MOST_IDLE: usize = 256;
/// How long a connection may take to be ready again after a response.
const READY_TIMEOUT: Duration = Duration::from_secs(1);
const HTTP_PORT: u16 = 80;

/// An Ollama.
#[derive(Debug)]
pub struct Upstream {
    host: String,
    port: u16,
    host_header: HeaderValue,
    connect_timeout: Duration,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// Dropping it closes the connection, whatever is under way on it.
#[derive(Debug)]
struct Connection {
    sender: SendRequest<RequestBody>,
    task: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The use of a connection for one exchange. Dropped without [`Lease::finish`], the connection is closed.
#[derive(Debug)]
pub struct Lease {
    connection: Connection,
    upstream: Arc<Upstream>,
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
    #[error("{0}")]
    Exchange(hyper::Error),
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
    pub async fn send(
        self: &Arc<Self>,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Lease), UpstreamError> {
        loop {
            let (mut connection, reused) = match self.take_idle() {
                Some(connection) => (connection, true),
                // Boxed: it is rare, and would make each request larger.
                None => (Box::pin(self.connect()).await?, false),
            };
            match connection.sender.try_send_request(request).await {
                Ok(response) => {
                    return Ok((
                        response,
                        Lease {
                            connection,
                            upstream: Arc::clone(self),
                        },
                    ));
                }
                Err(mut error) => match error.take_message() {
                    // The upstream closed the kept connection before anything was written on it.
                    Some(unsent) if reused => request = unsent,
                    _ => return Err(UpstreamError::Exchange(error.into_error())),
                },
            }
        }
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(Idle { connection, since }) = idle.pop() {
            if connection.sender.is_ready() && since.elapsed() < IDLE_TIMEOUT {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, connection: Connection) {
        let now = Instant::now();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // The oldest stand first: the last one kept is the first one used.
        let expired = idle
            .iter()
            .take_while(|kept| now - kept.since >= IDLE_TIMEOUT)
            .count();
        idle.drain(..expired);
        if idle.len() < MOST_IDLE {
            idle.push(Idle {
                connection,
                since: now,
            });
        }
    }

    async fn connect(&self) -> Result<Connection, UpstreamError> {
        let connecting = TcpStream::connect((self.host.as_str(), self.port));
        let stream = tokio::time::timeout(self.connect_timeout, connecting)
            .await
            .map_err(|_| UpstreamError::ConnectTimeout)?
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(connect_error)?;
        let (mut sender, driver) = Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(UpstreamError::Exchange)?;
        let task = tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "a connection to the upstream ended");
            }
        })
        .abort_handle();
        sender.ready().await.map_err(UpstreamError::Exchange)?;
        Ok(Connection { sender, task })
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

impl Lease {
    /// The response has been read to its end: keeps the connection for the next request. One on which the request's
    /// body isn't through (the upstream answered early) is closed.
    pub fn finish(self, upload_is_complete: bool) {
        let Self {
            mut connection,
            upstream,
        } = self;
        if connection.sender.is_ready() {
            upstream.keep(connection);
        } else if upload_is_complete && !connection.sender.is_closed() {
            tokio::spawn(async move {
                let ready = tokio::time::timeout(READY_TIMEOUT, connection.sender.ready()).await;
                if let Ok(Ok(())) = ready {
                    upstream.keep(connection);
                }
            });
        }
    }
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
}
