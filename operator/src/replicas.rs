//! What the proxies themselves say: `/status` on each running Pod's admin port.

use std::sync::Arc;
use std::time::Duration;

use corral_proxy::config::ADMIN_PORT;
use corral_proxy::credentials::Means;
use corral_proxy::status::{ApiServerStatus, IssuerStatus, Status};
use futures::{StreamExt, stream};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::Semaphore;

use crate::text::cut;

/// How long a proxy may take to answer; it answers in a millisecond.
const TIMEOUT: Duration = Duration::from_millis(800);
/// How many proxies are asked at a time, and how long an answer may be that is read beside the others. Whoever may make Pods may
/// also make some that have proxies of their own kind: what all can say at a time has to fit into the operator's memory.
const AT_A_TIME: usize = 128;
const SHORT_ANSWER: usize = 128 << 10;
/// The same of longer answers: in memory one takes up to eight times its length until it is known what in it is of use. A Secret
/// has room for some ten thousand good keys or passwords, a service may have a Secret of each kind, and of each client a proxy says
/// some 80 bytes.
const LONG_AT_A_TIME: usize = 1;
const LONGEST_ANSWER: usize = 4 << 20;
/// Most bytes of one answer that are kept, and of all those of one OllamaService: a hundred models take some 25 KiB.
const MOST_KEPT: usize = 128 << 10;
const MOST_KEPT_OF_ALL: usize = 4 << 20;
/// How much is read of an answer before somebody asks for it.
const READ_AHEAD: usize = 32 << 10;
/// Most bytes of what Ollama says of a model.
const LONGEST_WORDS: usize = 4096;

/// A Pod whose proxy runs, and what it says.
#[derive(Clone, Debug)]
pub struct Replica {
    /// The Pod's name.
    pub pod: String,
    /// What the proxy says, or why nothing came of asking. It names no clients, and nothing that limits them.
    pub answer: Result<Status, String>,
    /// How many clients it lets in by a credential.
    pub clients: usize,
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

/// Asks proxies. Copies share what they may hold in memory.
#[derive(Clone, Debug)]
pub struct Asker {
    client: Client<HttpConnector, Empty<Bytes>>,
    asked: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl Default for Asker {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        connector.set_nodelay(true);
        // Each is asked rarely, and the connections to thousands would lie about.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .http1_max_buf_size(READ_AHEAD)
            .build(connector);
        Self {
            client,
            asked: Arc::new(Semaphore::new(AT_A_TIME)),
            long: Arc::new(Semaphore::new(LONG_AT_A_TIME)),
        }
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
        let mut left = MOST_KEPT_OF_ALL;
        stream::iter(running.collect::<Vec<_>>())
            .map(|(pod, address)| async move {
                let heard = self.ask_again_if_lost(&format!("{address}:{ADMIN_PORT}")).await;
                (pod, heard)
            })
            .buffered(AT_A_TIME)
            .map(|(pod, heard)| replica(pod, heard, &mut left))
            .collect()
            .await
    }

    /// Asks once more where nothing came. A single packet that is lost takes longer to be sent again than a proxy has.
    async fn ask_again_if_lost(&self, host: &str) -> Result<Heard, Unanswered> {
        match self.ask_in_time(host).await {
            Err(Unanswered::Lost(_)) => self.ask_in_time(host).await,
            answer => answer,
        }
    }

    async fn ask_in_time(&self, host: &str) -> Result<Heard, Unanswered> {
        let _place = self.asked.acquire().await.map_err(wrong)?;
        let late = |_| {
            let words = format!("no answer from {host} within {} ms", TIMEOUT.as_millis());
            Err(Unanswered::Lost(words))
        };
        tokio::time::timeout(TIMEOUT, self.ask_one(host))
            .await
            .unwrap_or_else(late)
    }

    async fn ask_one(&self, host: &str) -> Result<Heard, Unanswered> {
        let uri: Uri = format!("http://{host}/status").parse().map_err(wrong)?;
        let response = self.client.get(uri).await.map_err(lost)?;
        if response.status() != StatusCode::OK {
            return Err(wrong(format!("/status answered {}", response.status())));
        }
        self.hear(response.into_body()).await
    }

    /// Reads an answer; of a long one no more than the beginning until it is its turn.
    async fn hear(&self, mut body: Incoming) -> Result<Heard, Unanswered> {
        let mut turn = None;
        let mut text = Vec::new();
        while let Some(frame) = body.frame().await {
            let part = frame.map_err(lost)?.into_data().unwrap_or_default();
            let length = text.len() + part.len();
            if length > LONGEST_ANSWER {
                return Err(wrong(format!("/status has more than {LONGEST_ANSWER} bytes")));
            }
            if length > SHORT_ANSWER && turn.is_none() {
                turn = Some(self.long.acquire().await.map_err(wrong)?);
            }
            text.extend_from_slice(&part);
        }
        Heard::new(serde_json::from_slice(&text).map_err(wrong)?)
    }
}

/// What is kept of an answer.
#[derive(Debug)]
struct Heard {
    status: Status,
    clients: usize,
    /// How much it is, as text.
    length: usize,
}

impl Heard {
    /// Lets go of what is as long as there are clients, and of words without an end.
    fn new(mut status: Status) -> Result<Self, Unanswered> {
        let clients = std::mem::take(&mut status.clients);
        let clients = clients.iter().filter(|client| client.means != Means::Anonymous);
        let clients = clients.count();
        status.limits = Vec::new();
        for words in status
            .models
            .iter_mut()
            .filter_map(|model| model.message.as_mut())
        {
            cut(words, LONGEST_WORDS);
            words.shrink_to_fit();
        }
        let length = serde_json::to_vec(&status).map_err(wrong)?.len();
        if length > MOST_KEPT {
            let words = format!(
                "/status has {length} bytes beside clients and limits, of which it may have {MOST_KEPT}"
            );
            return Err(wrong(words));
        }
        Ok(Self {
            status,
            clients,
            length,
        })
    }
}

/// What has been heard of one Pod, as long as something is left of what all may say together.
fn replica(pod: String, heard: Result<Heard, Unanswered>, left: &mut usize) -> Replica {
    let heard = heard.map_err(|error| error.to_string()).and_then(|heard| {
        let Some(rest) = left.checked_sub(heard.length) else {
            return Err(format!(
                "the replicas' /status have more than {MOST_KEPT_OF_ALL} bytes together"
            ));
        };
        *left = rest;
        Ok(heard)
    });
    let clients = heard.as_ref().map_or(0, |heard| heard.clients);
    Replica {
        pod,
        answer: heard.map(|heard| heard.status),
        clients,
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
    async fn asking(comes: Vec<Comes>) -> (Result<Heard, Unanswered>, usize) {
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

    #[tokio::test]
    async fn of_an_answer_no_more_is_kept_than_is_of_use() {
        let client =
            |number: usize| json!({"name": format!("client-{number}"), "means": "apiKeys", "lastUsed": null});
        let anonymous = json!({"name": "nobody", "means": "anonymous", "lastUsed": null});
        let with = |field: &str, value: Value| {
            let mut says = nothing_yet();
            says[field] = value;
            says
        };
        let models = |models: usize, words: usize| {
            let model = |number: usize| {
                json!({"name": format!("registry.example/models/model-{number}:latest"), "state": "Failed", "progress": 100,
                    "digest": "0".repeat(64), "size": 1_000_000, "message": "é".repeat(words)})
            };
            with("models", (0..models).map(model).collect())
        };
        let many = || (0..20_000).map(client).chain([anonymous.clone()]).collect();
        let names = vec!["a"; 10_000];
        let loaded = json!({"name": "m", "size": 1, "sizeVram": 1});
        let cases = [
            ("what a new one says", nothing_yet(), Ok(0)),
            ("a full Secret's clients", with("clients", many()), Ok(20_000)),
            (
                "names that limits speak of",
                with("limits", json!([{"clients": names}])),
                Ok(0),
            ),
            ("models that all are missing", models(250, 40), Ok(0)),
            ("words without an end", models(10, 10_000), Ok(0)),
            (
                "more than there can be",
                with("loaded", vec![loaded; 4000].into()),
                Err("beside clients"),
            ),
        ];
        for (what, says, expected) in cases {
            let (heard, _) = asking(vec![Comes::Answer(200, says.to_string())]).await;
            let replica = replica("x-1".to_owned(), heard, &mut MOST_KEPT_OF_ALL.clone());
            match (replica.answer, expected) {
                (Ok(status), Ok(clients)) => {
                    assert_eq!(replica.clients, clients, "{what}");
                    let length = serde_json::to_string(&status).unwrap().len();
                    assert!(length <= MOST_KEPT, "{what}: {length}");
                }
                (Err(error), Err(words)) => assert!(error.contains(words), "{what}: {error}"),
                (answer, expected) => panic!("{what}: {answer:?}, {expected:?}"),
            }
        }
    }

    #[test]
    fn what_all_say_together_has_an_end() {
        let status: Status = serde_json::from_value(nothing_yet()).unwrap();
        let heard = |length| {
            let status = status.clone();
            Ok(Heard {
                status,
                clients: 1,
                length,
            })
        };
        let mut left = 10;
        let said = [4, 6, 1].map(|length| replica(String::new(), heard(length), &mut left));
        assert_eq!(
            said.each_ref().map(|replica| replica.answer.is_ok()),
            [true, true, false]
        );
        assert_eq!(said.map(|replica| replica.clients), [1, 1, 0]);
    }
}
