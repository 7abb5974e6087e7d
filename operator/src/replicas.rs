//! What the proxies themselves say: `/status` on each running Pod's admin port.

use std::time::Duration;

use corral_proxy::config::ADMIN_PORT;
use corral_proxy::status::{ApiServerStatus, IssuerStatus, Status};
use futures::{StreamExt, stream};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
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
                let answer = match tokio::time::timeout(TIMEOUT, self.ask_one(&address)).await {
                    Ok(answer) => answer,
                    Err(_) => Err(format!(
                        "no answer from {address}:{ADMIN_PORT} within {} ms",
                        TIMEOUT.as_millis()
                    )),
                };
                Replica { pod, answer }
            })
            .buffered(AT_A_TIME)
            .collect()
            .await
    }

    async fn ask_one(&self, address: &str) -> Result<Status, String> {
        let uri: Uri = format!("http://{address}:{ADMIN_PORT}/status")
            .parse()
            .map_err(words)?;
        let response = self.0.get(uri).await.map_err(words)?;
        if response.status() != StatusCode::OK {
            return Err(format!("/status answered {}", response.status()));
        }
        let body = Limited::new(response.into_body(), LONGEST_ANSWER)
            .collect()
            .await
            .map_err(words)?;
        serde_json::from_slice(&body.to_bytes()).map_err(words)
    }
}

/// The whole chain of an error: hyper's own words say little.
fn words(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> String {
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
