//! Fake: what proxies of Pods that don't run would say. kwok says of the Pods that they are Ready, at addresses of the
//! loopback network; there they say that they have everything in force that they mount, as a kubelet without delay would have
//! mounted it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use corral_operator::plan::{digest_key_name, instance_of};
use corral_proxy::config::{ADMIN_PORT, Config, paths};
use corral_proxy::digest::{DigestKey, Entries};
use corral_proxy::status::{ModelState, ModelStatus, SourceStatus, Status};
use futures::StreamExt;
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::mounted::{configuration_digest, nothing_yet, sources};

/// Answers for every Pod of an OllamaService; ends when dropped.
pub(crate) struct Replicas(JoinHandle<()>);

impl Drop for Replicas {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Replicas {
    pub(crate) fn start(client: Client) -> Self {
        Self(tokio::spawn(follow(client)))
    }
}

async fn follow(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let ours = watcher::Config::default().labels("app.kubernetes.io/name=ollamaservice");
    let mut events = pin!(watcher(pods, ours).default_backoff());
    let mut servers: HashMap<String, Server> = HashMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                let uid = pod.uid().unwrap_or_default();
                if let (Some(address), false) = (address(&pod), servers.contains_key(&uid)) {
                    servers.insert(uid, Server::start(client.clone(), pod, address));
                }
            }
            Ok(Event::Delete(pod)) => drop(servers.remove(&pod.uid().unwrap_or_default())),
            Ok(Event::Init | Event::InitDone) | Err(_) => {}
        }
    }
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

/// The admin port of one Pod.
struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Server {
    fn start(client: Client, pod: Pod, address: IpAddr) -> Self {
        Self(tokio::spawn(async move {
            let listener = listen(address).await;
            // They end with the Pod: the next one may have its address.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (client, pod) = (client.clone(), pod.clone());
                connections.spawn(async move {
                    let service = service_fn(|_| answer(&client, &pod));
                    // Whoever asks may leave.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        }))
    }
}

/// An address is given to the next Pod as soon as the one before is gone, which shows a moment later.
async fn listen(address: IpAddr) -> TcpListener {
    loop {
        match TcpListener::bind((address, ADMIN_PORT)).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn answer(client: &Client, pod: &Pod) -> Result<Response<Full<Bytes>>, Infallible> {
    let answer = async { Ok::<_, anyhow::Error>(serde_json::to_vec(&status(client, pod).await?)?) };
    let mut response = Response::new(Full::default());
    match answer.await {
        Ok(body) => *response.body_mut() = Full::new(body.into()),
        Err(error) => {
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            *response.body_mut() = Full::new(error.to_string().into());
        }
    }
    Ok(response)
}

async fn status(client: &Client, pod: &Pod) -> Result<Status> {
    let namespace = pod.namespace().context("no namespace")?;
    let service = instance_of(&pod.metadata).context("no instance")?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let data = config_maps.get(service).await?.data.unwrap_or_default();
    let configuration = data.get(paths::CONFIG_FILE).context("no configuration")?;
    let config: Config = serde_yaml::from_str(configuration)?;
    let mut status = nothing_yet();
    status.configuration.digest = Some(configuration_digest(configuration));
    status.models = config.models.iter().map(|model| ready(&model.name)).collect();
    if config.digest_key_file.is_none() {
        return Ok(status);
    }
    let key = entries(&secrets, &digest_key_name(service)).await?;
    let key = key.get(paths::DIGEST_KEY_FILE).context("no digest key")?;
    let key = DigestKey::new(key).context("no digest key")?;
    let spec = pod.spec.as_ref().context("no spec")?;
    // A Pod of an earlier configuration mounts other Secrets, and its proxy refuses this one.
    for (source, secret) in sources(configuration, spec).context("it names what is not mounted")? {
        let digest = Some(key.digest(&entries(&secrets, &secret).await?));
        status.credentials.push(SourceStatus { digest, ..source });
    }
    Ok(status)
}

async fn entries(secrets: &Api<Secret>, name: &str) -> Result<Entries> {
    let secret = secrets.get_opt(name).await?;
    let data = secret.and_then(|secret| secret.data).unwrap_or_default();
    Ok(data
        .into_iter()
        .map(|(name, content)| (name, content.0))
        .collect())
}

fn ready(name: &str) -> ModelStatus {
    ModelStatus {
        name: name.to_owned(),
        state: ModelState::Ready,
        progress: None,
        completed: None,
        total: None,
        digest: Some("sha256:0123".to_owned()),
        size: Some(1),
        message: None,
        displaced: 0,
    }
}
