//! Clients: they ask, stream, leave, and show credentials that are good, gone or made up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

use crate::backend::BREAKS;
use crate::connection::{Connection, Introduced, Manner, SHUT_OUT, Trust, Version, WELCOME};
use crate::credentials::{Credential, Ledger, MADE_UP, Means, NONE, SHOWN, Standing};
use crate::seeded::Seeded;
use crate::tally::Tally;

/// How long a stream may go on that may not: far longer than it takes to cut it.
const LONGEST_CUT: Duration = Duration::from_secs(10);
/// How long any answer may take: far longer than one does.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many use a connection of HTTP/2 at once.
pub(crate) const AT_ONCE: u64 = 3;

/// One client after the other.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    pub(crate) trust: Trust,
    pub(crate) ledger: Ledger,
    pub(crate) seeded: Seeded,
    pub(crate) tally: Tally,
    pub(crate) beginning: Instant,
    pub(crate) over: CancellationToken,
}

/// Whether the connection can be used again.
#[derive(PartialEq, Eq)]
enum Then {
    GoOn,
    Leave,
}

/// Who asks, and what that credential was good for when it did.
#[derive(Clone, Copy)]
struct Asked {
    credential: Credential,
    before: Standing,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        while !self.over.is_cancelled() {
            let manner = self.manner();
            let shown = manner.certificate.map(|credential| self.ask(credential));
            match Connection::open(self.address, &self.trust, &manner).await {
                Ok(connection) => self.share(connection, &manner, shown).await,
                Err(error) => self.judge_silence(shown, &manner, &format!("no connection: {error}")),
            }
        }
    }

    fn manner(&mut self) -> Manner {
        let client = match self.seeded.below(10) {
            0 => Some(SHUT_OUT),
            1 => Some(WELCOME),
            _ => None,
        };
        let introduced = client.map(|client| Introduced {
            client,
            binary: self.seeded.percent(50),
        });
        let manner = Manner {
            version: if self.seeded.percent(40) {
                Version::Http2
            } else {
                Version::Http1
            },
            introduced,
            certificate: self
                .seeded
                .percent(20)
                .then(|| self.choose_of(Means::Certificate)),
        };
        self.tally.count(match manner.version {
            Version::Http1 => "connections of HTTP/1.1",
            Version::Http2 => "connections of HTTP/2",
        });
        if let Some(Introduced { binary, .. }) = introduced {
            self.tally.count(if binary {
                "connections that a proxy introduced in version 2"
            } else {
                "connections that a proxy introduced in version 1"
            });
        }
        manner
    }

    /// By several at once, where that can be.
    async fn share(&mut self, connection: Connection, manner: &Manner, shown: Option<Asked>) {
        let others: Vec<_> = (1..AT_ONCE)
            .filter_map(|number| {
                let connection = connection.share()?;
                let mut worker = self.clone();
                worker.seeded = self.seeded.branch(number);
                Some(async move { worker.use_connection(connection, manner, shown).await })
            })
            .collect();
        tokio::join!(self.use_connection(connection, manner, shown), join_all(others));
    }

    /// `shown` is the certificate that the connection has shown, as it stood before that.
    async fn use_connection(
        &mut self,
        mut connection: Connection,
        manner: &Manner,
        mut shown: Option<Asked>,
    ) {
        for used in 0..=self.seeded.below(8) {
            if self.over.is_cancelled() {
                return;
            }
            let credential = manner.certificate.unwrap_or_else(|| self.choose());
            let asked = shown.take().unwrap_or_else(|| self.ask(credential));
            if let Err(error) = connection.ready().await {
                // The proxy closes a connection after some refusals.
                if used == 0 {
                    self.judge_silence(Some(asked), manner, &format!("no answer: {error}"));
                }
                return;
            }
            if self.exchange(&mut connection, manner, asked, used > 0).await == Then::Leave {
                return;
            }
        }
    }

    async fn exchange(
        &mut self,
        connection: &mut Connection,
        manner: &Manner,
        asked: Asked,
        is_used: bool,
    ) -> Then {
        let request = self.request(asked.credential, manner.version);
        let sent = connection.send(request);
        if self.seeded.percent(5) {
            let moment = Duration::from_millis(self.seeded.below(20));
            let _ = tokio::time::timeout(moment, sent).await;
            self.tally.count("clients that left before an answer");
            return Then::Leave;
        }
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok(response)) => {
                self.judge(asked, manner, &response);
                self.read(asked, response).await
            }
            // A server may end a connection between two requests at any time, and one that has cut an answer does
            // (RFC 9112, section 9.3.1); a connection that is new has to bring an answer.
            Ok(Err(error)) if is_used && error.is_incomplete_message() => {
                self.tally.count("connections that ended before another answer");
                Then::Leave
            }
            Ok(Err(error)) => {
                self.judge_silence(Some(asked), manner, &format!("no answer: {error:?}"));
                Then::Leave
            }
            Err(_) => {
                self.tally.wrong(format!(
                    "no answer to {} within {PATIENCE:?}",
                    asked.credential.name()
                ));
                Then::Leave
            }
        }
    }

    fn ask(&self, credential: Credential) -> Asked {
        Asked {
            credential,
            before: self.standing(credential),
        }
    }

    fn standing(&self, credential: Credential) -> Standing {
        self.ledger.standing(credential, self.beginning)
    }

    /// One that a request shows itself.
    fn choose(&mut self) -> Credential {
        match *self.seeded.pick(&SHOWN).expect("there are means") {
            Means::Nothing => NONE,
            means => self.choose_of(means),
        }
    }

    fn choose_of(&mut self, means: Means) -> Credential {
        let made_up = Credential {
            means,
            number: MADE_UP + self.seeded.below(1000),
        };
        let known = match self.seeded.below(100) {
            0..70 => self.ledger.current(means),
            70..85 => self.ledger.revoked(means),
            _ => vec![],
        };
        self.seeded.pick(&known).copied().unwrap_or(made_up)
    }

    fn request(&mut self, credential: Credential, version: Version) -> Request<Full<Bytes>> {
        let streams = self.seeded.percent(50);
        let (method, path, body) = if streams {
            ("POST", "/api/generate", "{\"model\":\"m\",\"prompt\":\"x\"}")
        } else {
            ("GET", "/api/tags", "")
        };
        let (target, header) = credential.shown(method, path, self.seeded.below(3));
        let mut request = Request::builder().method(method);
        request = match version {
            Version::Http1 => request.uri(target).header("host", "soak"),
            Version::Http2 => request.uri(format!("https://soak{target}")),
        };
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request
            .body(Full::from(body))
            .expect("a request that is well formed")
    }

    /// No wrong verdict in either direction. A password may find every place for hashing taken.
    fn judge(&self, asked: Asked, manner: &Manner, response: &Response<Incoming>) {
        let Asked { credential, before } = asked;
        let (status, after) = (response.status().as_u16(), self.standing(credential));
        let right = match before {
            _ if manner.is_shut_out() => status == 403,
            Standing::InForce(_) if before == after => matches!(status, 200 | 502 | 503),
            Standing::Revoked(_) if before == after => matches!(status, 401 | 503),
            _ => matches!(status, 200 | 401 | 502 | 503),
        };
        if !right {
            let name = credential.name();
            self.tally.wrong(format!(
                "{status} for {name}, which is {before:?}, then {after:?}; {manner:?}"
            ));
        }
        self.tally.count(match status {
            200 => credential.means.let_in(),
            401 => "refused",
            403 => "shut out by address",
            502 => "left by the upstream before an answer",
            503 => "asked to come again",
            _ => "answered otherwise",
        });
    }

    /// No answer is right where a certificate isn't in force, whose handshake is refused, and where a credential is just
    /// going: HTTP/2 may throw the head of an answer away with a stream that is cut.
    fn judge_silence(&self, asked: Option<Asked>, manner: &Manner, what: &str) {
        let Some(Asked { credential, before }) = asked else {
            self.tally.wrong(what.to_owned());
            return;
        };
        let stays = before != Standing::Changing && before == self.standing(credential);
        let stays_in_force = stays && matches!(before, Standing::InForce(_));
        match credential.means {
            Means::Certificate if !stays_in_force => self.tally.count("handshakes refused"),
            _ if !stays && manner.version == Version::Http2 => {
                self.tally.count("answers cut with their credential");
            }
            _ => {
                let name = credential.name();
                self.tally
                    .wrong(format!("{what}, to {name}, which was {before:?}; {manner:?}"));
            }
        }
    }

    async fn read(&mut self, asked: Asked, response: Response<Incoming>) -> Then {
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
                    self.judge_break(asked, &headers, &error);
                    return Then::Leave;
                }
                Err(_) => {
                    self.tally
                        .wrong(format!("a stream stands still for {PATIENCE:?}"));
                    return Then::Leave;
                }
            }
            if let Standing::Revoked(since) = self.standing(asked.credential)
                && since.elapsed() > LONGEST_CUT
                && !headers.contains_key("content-length")
            {
                self.tally.wrong(format!(
                    "a stream of {} goes on, which is revoked",
                    asked.credential.name()
                ));
                return Then::Leave;
            }
        }
    }

    /// An answer breaks off because the upstream left, or because its credential is going or gone.
    fn judge_break(&self, asked: Asked, headers: &HeaderMap, error: &hyper::Error) {
        let Asked { credential, before } = asked;
        let by_upstream = headers.contains_key(BREAKS);
        let stays = matches!(before, Standing::InForce(_)) && before == self.standing(credential);
        if by_upstream {
            self.tally.count("answers that the upstream broke off");
        } else if stays {
            self.tally
                .wrong(format!("an answer to {} was cut: {error:?}", credential.name()));
        } else {
            self.tally.count("answers cut with their credential");
        }
    }
}
