//! The proxies of Pods that exist in name only: at each Pod's address an answer to `/status`, as the proxy would give it that
//! has mounted the ConfigMap and the Secrets that the Pod names.
//!
//! A fake: no kubelet mounts anything and no proxy runs. It mounts when the Pod is made, and again [`REFRESH`] after the
//! operator has changed the Pod's annotation, as a kubelet does (90 to 220 ms where that was measured).

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use corral_operator::plan::{NUDGE_ANNOTATION, digest_key_name, instance_of};
use corral_proxy::config::{ADMIN_PORT, paths};
use corral_proxy::digest::{DigestKey, Entries};
use corral_proxy::status::SourceStatus;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, PodSpec, Secret};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::journal::{Journal, Key, Listener, Seen};
use crate::mounted;

/// The Pods' addresses. On the loopback network, so that this process can have them all.
pub(crate) const NETWORK: &str = "127.64.0.0/16";
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 64, 0, 0);

/// How long a kubelet takes to refresh mounts once it is told to.
const REFRESH: Duration = Duration::from_millis(100);
/// How long a request waits for the Pod of its address to be seen: somebody else may have seen it a moment earlier.
const PATIENCE: Duration = Duration::from_millis(500);

/// Answers until it is dropped.
pub(crate) struct Replicas {
    _tasks: JoinSet<()>,
}

impl Replicas {
    /// Listens at that many addresses and looks at what the journal sees.
    pub(crate) async fn start(journal: &Journal, addresses: u32) -> Result<Self> {
        let known = Known::default();
        let mut tasks = JoinSet::new();
        for number in 0..addresses {
            let address = Ipv4Addr::from(u32::from(FIRST) + number);
            let listener = TcpListener::bind((address, ADMIN_PORT))
                .await
                .with_context(|| format!("{address}:{ADMIN_PORT}, the address of a Pod"))?;
            tasks.spawn(serve(listener, address.into(), known.clone()));
        }
        tasks.spawn(look(journal.listen(), known));
        Ok(Self { _tasks: tasks })
    }
}

#[derive(Clone, Default)]
struct Known(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    configurations: HashMap<Key, String>,
    secrets: HashMap<Key, Entries>,
    pods: HashMap<Key, Running>,
    addresses: HashMap<IpAddr, Key>,
}

struct Running {
    service: String,
    spec: PodSpec,
    nudge: Option<String>,
    /// What its proxy says.
    says: Option<Bytes>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn look(mut listener: Listener, known: Known) {
    while let Ok(seen) = listener.next().await {
        let told = known.lock().note(&seen);
        if let Some(pod) = told {
            let known = known.clone();
            tokio::spawn(async move {
                tokio::time::sleep(REFRESH).await;
                known.lock().mount(&pod);
            });
        }
    }
}

impl Contents {
    /// Notes what was seen. Answers with a Pod whose kubelet was told to refresh its mounts.
    fn note(&mut self, seen: &Seen) -> Option<Key> {
        let key = seen.key.clone();
        match (&*seen.kind, &seen.object) {
            ("ConfigMap", Some(object)) => {
                let text = read::<ConfigMap>(object)?.data?.remove(paths::CONFIG_FILE)?;
                self.configurations.insert(key, text);
            }
            ("Secret", object) => {
                let data = object.as_ref().and_then(|object| read::<Secret>(object)?.data);
                let entries = data.into_iter().flatten();
                let entries = entries.map(|(name, content)| (name, content.0)).collect();
                self.secrets.insert(key, entries);
            }
            ("Pod", Some(object)) => return self.note_pod(key, object),
            ("Pod", None) => {
                self.pods.remove(&key);
                self.addresses.retain(|_, pod| *pod != key);
            }
            _ => {}
        }
        None
    }

    fn note_pod(&mut self, key: Key, object: &DynamicObject) -> Option<Key> {
        let service = instance_of(&object.metadata)?.to_owned();
        let nudge = object.annotations().get(NUDGE_ANNOTATION).cloned();
        if let Some(address) = object.data["status"]["podIP"].as_str() {
            self.addresses.insert(address.parse().ok()?, key.clone());
        }
        if let Some(running) = self.pods.get_mut(&key) {
            let told = running.nudge != nudge;
            running.nudge = nudge;
            return told.then_some(key);
        }
        let spec = read::<Pod>(object)?.spec?;
        let running = Running {
            service,
            spec,
            nudge,
            says: None,
        };
        self.pods.insert(key.clone(), running);
        self.mount(&key);
        None
    }

    /// What the kubelet and the proxy do together.
    fn mount(&mut self, pod: &Key) {
        if let Some(says) = self.says(pod)
            && let Some(running) = self.pods.get_mut(pod)
        {
            running.says = Some(says);
        }
    }

    fn says(&self, pod: &Key) -> Option<Bytes> {
        let Running { service, spec, .. } = self.pods.get(pod)?;
        let entries = |secret: String| {
            self.secrets
                .get(&(pod.0.clone(), secret))
                .cloned()
                .unwrap_or_default()
        };
        let text = self.configurations.get(&(pod.0.clone(), service.clone()))?;
        let key = entries(digest_key_name(service));
        let key = DigestKey::new(key.get(paths::DIGEST_KEY_FILE)?)?;
        let mut says = mounted::nothing_yet();
        says.configuration.digest = Some(mounted::configuration_digest(text));
        let sources = mounted::sources(text, spec)?.into_iter();
        says.credentials = sources
            .map(|(source, secret)| SourceStatus {
                digest: Some(key.digest(&entries(secret))),
                ..source
            })
            .collect();
        serde_json::to_vec(&says).ok().map(Bytes::from)
    }

    fn at(&self, address: IpAddr) -> Option<Bytes> {
        self.pods.get(self.addresses.get(&address)?)?.says.clone()
    }
}

fn read<K: DeserializeOwned>(object: &DynamicObject) -> Option<K> {
    let mut whole = object.data.clone();
    whole["metadata"] = serde_json::to_value(&object.metadata).ok()?;
    serde_json::from_value(whole).ok()
}

async fn serve(listener: TcpListener, address: IpAddr, known: Known) {
    while let Ok((stream, _)) = listener.accept().await {
        let known = known.clone();
        tokio::spawn(async move {
            let service = service_fn(|_| answer(&known, address));
            // The operator closes connections as it likes.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(known: &Known, address: IpAddr) -> Result<http::Response<Full<Bytes>>, Infallible> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let says = known.lock().at(address);
        let over = tokio::time::Instant::now() >= end;
        if says.is_some() || over {
            let mut response = http::Response::new(Full::new(says.unwrap_or_default()));
            if over {
                *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            }
            return Ok(response);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
