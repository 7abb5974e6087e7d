//! Clients: they ask, stream, leave, and show credentials that are good, gone or made up.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::backend::BREAKS;
use crate::credentials::{Credential, Ledger, MEANS, Standing};
use crate::seeded::Seeded;
use crate::tally::Tally;

/// How long a stream may go on that may not: far longer than it takes to cut it.
const LONGEST_CUT: Duration = Duration::from_secs(10);
/// How long any answer may take: far longer than one does.
const PATIENCE: Duration = Duration::from_secs(60);
/// From here on no credential was ever in force.
const MADE_UP: u64 = 1 << 40;

type Connection = SendRequest<Full<Bytes>>;

/// One client after the other.
pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) ledger: Ledger,
    pub(crate) seeded: Seeded,
    pub(crate) tally: Tally,
    pub(crate) beginning: Instant,
    pub(crate) end: Instant,
}

/// Whether the connection can be used again.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Leave,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        while Instant::now() < self.end {
            match self.connect().await {
                Ok(connection) => self.use_connection(connection).await,
                Err(error) => self.tally.wrong(format!("no connection: {error}")),
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Box<dyn Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls))
            .connect(name, stream)
            .await?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        // Its end is seen where the connection is used.
        tokio::spawn(driver);
        self.tally.count("connections");
        Ok(connection)
    }

    async fn use_connection(&mut self, mut connection: Connection) {
        for used in 0..=self.seeded.below(8) {
            // The proxy closes a connection after some refusals.
            if Instant::now() >= self.end || connection.ready().await.is_err() {
                return;
            }
            if self.exchange(&mut connection, used > 0).await == Then::Leave {
                return;
            }
        }
    }

    async fn exchange(&mut self, connection: &mut Connection, is_used: bool) -> Then {
        let credential = self.choose();
        let before = self.standing(credential);
        let request = self.request(credential);
        let sent = connection.send_request(request);
        if self.seeded.percent(5) {
            let moment = Duration::from_millis(self.seeded.below(20));
            let _ = tokio::time::timeout(moment, sent).await;
            self.tally.count("clients that left before an answer");
            return Then::Leave;
        }
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(response)) => {
                self.judge(credential, before, &response);
                self.read(credential, response).await
            }
            // A server may end a connection between two requests at any time, and one that has cut an answer does
            // (RFC 9112, section 9.3.1); a connection that is new has to bring an answer.
            Ok(Err(error)) if is_used && error.is_incomplete_message() => {
                self.tally.count("connections that ended before another answer");
                Then::Leave
            }
            Ok(Err(error)) => {
                self.tally
                    .wrong(format!("no answer to {}: {error}", credential.name()));
                Then::Leave
            }
            Err(_) => {
                self.tally
                    .wrong(format!("no answer to {} within {PATIENCE:?}", credential.name()));
                Then::Leave
            }
        }
    }

    fn standing(&self, credential: Credential) -> Standing {
        self.ledger.standing(credential, self.beginning)
    }

    fn choose(&mut self) -> Credential {
        let means = *self.seeded.pick(&MEANS).expect("there are means");
        let made_up = Credential {
            means,
            number: MADE_UP + self.seeded.below(1000),
        };
        let known = match self.seeded.below(100) {
            0..70 => self.ledger.current(means),
            70..85 => self.ledger.revoked(),
            _ => vec![],
        };
        self.seeded.pick(&known).copied().unwrap_or(made_up)
    }

    fn request(&mut self, credential: Credential) -> Request<Full<Bytes>> {
        let streams = self.seeded.percent(50);
        let (method, path, body) = if streams {
            ("POST", "/api/generate", "{\"model\":\"m\",\"prompt\":\"x\"}")
        } else {
            ("GET", "/api/tags", "")
        };
        let (target, header, value) = credential.shown(method, path, self.seeded.below(3));
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "soak");
        let request = request.header(header, value).body(Full::from(body));
        request.expect("a request that is well formed")
    }

    /// No wrong verdict in either direction. A password may find every place for hashing taken.
    fn judge(&self, credential: Credential, before: Standing, response: &Response<Incoming>) {
        let (status, after) = (response.status().as_u16(), self.standing(credential));
        let right = match (before, after) {
            (Standing::InForce, Standing::InForce) => matches!(status, 200 | 502 | 503),
            (Standing::Revoked(_), Standing::Revoked(_)) => matches!(status, 401 | 503),
            _ => matches!(status, 200 | 401 | 502 | 503),
        };
        if !right {
            let name = credential.name();
            self.tally.wrong(format!(
                "{status} for {name}, which is {before:?}, then {after:?}"
            ));
        }
        self.tally.count(match status {
            200 => "let in",
            401 => "refused",
            502 => "left by the upstream before an answer",
            503 => "asked to come again",
            _ => "answered otherwise",
        });
    }

    async fn read(&mut self, credential: Credential, response: Response<Incoming>) -> Then {
        let headers = response.headers().clone();
        let leaves_after = self.seeded.percent(10).then(|| self.seeded.below(10));
        let (mut body, mut frames) = (response.into_body(), 0);
        loop {
            if leaves_after == Some(frames) {
                self.tally.count("clients that left in an answer");
                return Then::Leave;
            }
            match tokio::time::timeout(PATIENCE, body.frame()).await {
                Ok(Some(Ok(_))) => frames += 1,
                Ok(None) => {
                    self.tally.count("answers that came to their end");
                    return Then::GoOn;
                }
                Ok(Some(Err(error))) => {
                    self.judge_break(credential, &headers, &error);
                    return Then::Leave;
                }
                Err(_) => {
                    self.tally
                        .wrong(format!("a stream stands still for {PATIENCE:?}"));
                    return Then::Leave;
                }
            }
            if let Standing::Revoked(since) = self.standing(credential)
                && since.elapsed() > LONGEST_CUT
                && headers.contains_key("transfer-encoding")
            {
                self.tally.wrong(format!(
                    "a stream of {} goes on, which is revoked",
                    credential.name()
                ));
                return Then::Leave;
            }
        }
    }

    /// An answer breaks off because the upstream left, or because its credential is going or gone.
    fn judge_break(&self, credential: Credential, headers: &HeaderMap, error: &hyper::Error) {
        let by_upstream = headers.contains_key(BREAKS);
        let standing = self.standing(credential);
        if by_upstream {
            self.tally.count("answers that the upstream broke off");
        } else if standing == Standing::InForce {
            self.tally
                .wrong(format!("an answer to {} was cut: {error}", credential.name()));
        } else {
            self.tally.count("answers cut with their credential");
        }
    }
}
