//! What the proxies themselves say: `/status` on each running Pod's admin port.

use std::time::Duration;

use corral_proxy::config::ADMIN_PORT;
use corral_proxy::status::{ApiServerStatus, IssuerStatus, Status};
use futures::{StreamExt, stream};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

/// How long a proxy may take to answer; it answers in a millisecond.
const TIMEOUT: Duration = Duration::from_millis(800);
/// Longest answer that is read: some 100 bytes for each client.
const LONGEST_ANSWER: usize = 8 << 20;
/// How many proxies are asked at a time.
const AT_A_TIME: usize = 64;

/// A Pod whose proxy runs, and what it says.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The Pod's name.
    pub pod: String,
    /// What the proxy says, or why nothing came of asking.
    pub answer: Result<Status, String>,
}

impl Replica {
    /// Whether what it says changes by what no watch shows: it asks issuers for their keys or an API server for reviews, or models
    /// that are to stay in memory don't.
    pub fn changes_unseen(&self) -> bool {
        self.answer.as_ref().is_ok_and(|status| {
            let is_displaced = status.models.iter().any(|model| model.displaced > 0);
            !status.issuers.is_empty() || status.kubernetes.is_some() || is_displaced
        })
    }

    /// Whether it has no good answer from an issuer or an API server.
    pub fn lacks_an_answer(&self) -> bool {
        self.issuers_without_keys().next().is_some() || self.unanswering_server().is_some()
    }

    /// The issuers whose tokens let nobody in yet.
    pub fn issuers_without_keys(&self) -> impl Iterator<Item = &IssuerStatus> {
        let issuers = self.answer.iter().flat_map(|status| &status.issuers);
        issuers.filter(|issuer| issuer.keys.is_empty())
    }

    /// The API server that reviews no token, and why.
    pub fn unanswering_server(&self) -> Option<(&ApiServerStatus, &str)> {
        let server = self.answer.as_ref().ok()?.kubernetes.as_ref()?;
        Some((server, server.error.as_deref()?))
    }
}

/// Asks proxies.
#[derive(Clone, Debug)]
pub struct Asker(Client<HttpConnector, Empty<Bytes>>);

impl Default for Asker {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        connector.set_nodelay(true);
        // Each is asked rarely, and the connections to thousands would lie about.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self(client)
    }
}

impl Asker {
    /// Asks every Pod whose proxy runs, many at a time.
    ///
    /// A Pod that is about to go is not asked: no new connection reaches it, and it is gone when its streams are, or after
    /// its grace period.
    pub async fn ask(&self, pods: &[Pod]) -> Vec<Replica> {
        let running = pods
            .iter()
            .filter_map(|pod| running_address(pod).map(|address| (pod.name_any(), address)));
        stream::iter(running.collect::<Vec<_>>())
            .map(|(pod, address)| async move {
                let answer = self.ask_again_if_lost(&format!("{address}:{ADMIN_PORT}")).await;
                Replica {
                    pod,
                    answer: answer.map_err(|error| error.to_string()),
                }
            })
            .buffered(AT_A_TIME)
            .collect()
            .await
    }

    /// Asks once more where nothing came. A single packet that is lost takes longer to be sent again than a proxy has.
    async fn ask_again_if_lost(&self, host: &str) -> Result<Status, Unanswered> {
        match self.ask_in_time(host).await {
            Err(Unanswered::Lost(_)) => self.ask_in_time(host).await,
            answer => answer,
        }
    }

    async fn ask_in_time(&self, host: &str) -> Result<Status, Unanswered> {
        let late = |_| {
            let words = format!("no answer from {host} within {} ms", TIMEOUT.as_millis());
            Err(Unanswered::Lost(words))
        };
        tokio::time::timeout(TIMEOUT, self.ask_one(host))
            .await
            .unwrap_or_else(late)
    }

    async fn ask_one(&self, host: &str) -> Result<Status, Unanswered> {
        let uri: Uri = format!("http://{host}/status").parse().map_err(wrong)?;
        let response = self.0.get(uri).await.map_err(lost)?;
        if response.status() != StatusCode::OK {
            return Err(wrong(format!("/status answered {}", response.status())));
        }
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                wrong(error)
            } else {
                lost(error)
            }
        })?;
        serde_json::from_slice(&body.to_bytes()).map_err(wrong)
    }
}

/// Why a proxy has not said how it is, in words.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    /// No answer came, or not all of it.
    #[error("{0}")]
    Lost(String),
    /// It is no answer of a proxy.
    #[error("{0}")]
    Wrong(String),
}

fn lost(error: impl Into<BoxError>) -> Unanswered {
    Unanswered::Lost(words(error))
}

fn wrong(error: impl Into<BoxError>) -> Unanswered {
    Unanswered::Wrong(words(error))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The whole chain of an error: hyper's own words say little.
fn words(error: impl Into<BoxError>) -> String {
    let error = error.into();
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

/// The address of a Pod whose proxy runs and that is not about to go.
fn running_address(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let running = status.container_statuses.iter().flatten().any(|container| {
        container.name == "proxy"
            && container
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
    });
    let address = status
        .pod_ip
        .as_ref()
        .filter(|_| running && pod.metadata.deletion_timestamp.is_none())?;
    Some(if address.contains(':') {
        format!("[{address}]")
    } else {
        address.clone()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What one connection comes to.
    enum Comes {
        /// A whole answer.
        Answer(u16, String),
        /// The end, before all is said.
        End,
        /// Nothing.
        Silence,
    }

    /// What a proxy says that has just started.
    fn nothing_yet() -> Value {
        json!({"version": "", "ready": false, "draining": false, "credentials": [], "clients": [], "models": [],
            "configuration": {"digest": null, "loadedAt": "2026-01-01T00:00:00Z", "error": null}})
    }

    /// What comes of asking somebody who lets connections come to this, one after the other; and how many of those are left.
    async fn asking(comes: Vec<Comes>) -> (Result<Status, Unanswered>, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (mut comes, mut silent) = (comes.into_iter(), Vec::new());
        let asker = Asker::default();
        let answering = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                match comes.next().unwrap() {
                    Comes::Answer(code, body) => {
                        let head = format!("HTTP/1.1 {code} x\r\ncontent-length: {}\r\n\r\n", body.len());
                        // Who has heard enough doesn't listen to the end.
                        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                        silent.push(stream);
                    }
                    Comes::End => {
                        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{";
                        stream.write_all(head).await.unwrap();
                    }
                    Comes::Silence => silent.push(stream),
                }
            }
        };
        let answer = tokio::select! {
            answer = asker.ask_again_if_lost(&host) => answer,
            never = answering => never,
        };
        (answer, comes.len())
    }

    #[tokio::test]
    async fn what_was_lost_is_asked_for_once_more_and_what_is_wrong_is_not() {
        let good = || Comes::Answer(200, nothing_yet().to_string());
        let broken = || Comes::Answer(500, String::new());
        let other = || Comes::Answer(200, "{}".to_owned());
        let long = || Comes::Answer(200, " ".repeat(LONGEST_ANSWER + 1));
        let cases = [
            ("an answer", vec![good(), good()], true, 1),
            ("an end", vec![Comes::End, good(), good()], true, 1),
            ("silence", vec![Comes::Silence, good(), good()], true, 1),
            ("two ends", vec![Comes::End, Comes::End, good()], false, 1),
            ("an error", vec![broken(), good()], false, 1),
            ("something else", vec![other(), good()], false, 1),
            ("too much", vec![long(), good()], false, 1),
        ];
        for (what, comes, is_answered, left) in cases {
            let (answer, unasked) = asking(comes).await;
            assert_eq!(answer.is_ok(), is_answered, "{what}: {answer:?}");
            assert_eq!(unasked, left, "{what}");
        }
    }
}
