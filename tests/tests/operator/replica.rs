//! A replica without a kubelet: a Pod in the API server, and at its address what its proxy would say.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use corral_proxy::config::{ADMIN_PORT, paths};
use corral_proxy::digest::{DigestKey, Entries};
use corral_proxy::status::{LoadedModel, ModelState, ModelStatus, SourceStatus, Status};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Notify, RwLock};
use tokio::task::JoinHandle;

use crate::lab::{Lab, eventually};
use crate::mounted;

pub(crate) struct Replica<'a> {
    lab: &'a Lab,
    service: String,
    pub(crate) pod: String,
    says: Arc<Mutex<Status>>,
    /// Whether it is asked and doesn't answer.
    silence: Arc<Silence>,
    server: JoinHandle<()>,
}

/// Answers that are held back.
#[derive(Default)]
struct Silence {
    /// Nobody is answered while this is held.
    door: RwLock<()>,
    asked: Notify,
}

impl Drop for Replica<'_> {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl<'a> Replica<'a> {
    /// Starts a Pod of a service that has mounted what there is now.
    pub(crate) async fn start(lab: &'a Lab, service: &str, number: u8) -> Self {
        let (listener, address) = listen(number).await;
        let says = Arc::new(Mutex::new(mounted::nothing_yet()));
        let silence = Arc::<Silence>::default();
        let replica = Self {
            lab,
            service: service.to_owned(),
            pod: format!("{service}-{number}"),
            server: tokio::spawn(serve(listener, says.clone(), silence.clone())),
            says,
            silence,
        };
        replica.mount().await;
        run(lab, service, &replica.pod, address).await;
        replica
    }

    /// What the kubelet and the proxy do together: mount what there is now, and put it in force.
    pub(crate) async fn mount(&self) {
        let config = self
            .lab
            .api::<ConfigMap>()
            .get(&self.service)
            .await
            .unwrap()
            .data
            .unwrap();
        let text = config[paths::CONFIG_FILE].clone();
        let key = self.entries(&format!("{}-digest-key", self.service)).await;
        let key = DigestKey::new(&key[paths::DIGEST_KEY_FILE]).unwrap();
        let deployment = self.lab.api::<Deployment>().get(&self.service).await.unwrap();
        let pod = deployment.spec.unwrap().template.spec.unwrap();
        let mut credentials = Vec::new();
        for (source, secret) in mounted::sources(&text, &pod).unwrap() {
            let digest = Some(key.digest(&self.entries(&secret).await));
            credentials.push(SourceStatus { digest, ..source });
        }
        let mut says = self.says.lock().unwrap();
        says.configuration.digest = Some(mounted::configuration_digest(&text));
        says.credentials = credentials;
    }

    /// Has the proxy say something of its models.
    pub(crate) fn models(&self, models: Vec<ModelStatus>) {
        self.says.lock().unwrap().models = models;
    }

    /// Has the proxy say that it doesn't know something in its configuration.
    pub(crate) fn refuses(&self, error: &str) {
        self.says.lock().unwrap().configuration.error = Some(error.to_owned());
    }

    /// Has the proxy say what is in its Ollama's memory.
    pub(crate) fn loaded(&self, loaded: Vec<LoadedModel>) {
        self.says.lock().unwrap().loaded = loaded;
    }

    /// Does something after the proxy was asked next, and before it answers.
    pub(crate) async fn before_it_answers<T>(
        &self,
        cause: impl Future<Output = ()>,
        then: impl Future<Output = T>,
    ) -> T {
        let _silent = self.silence.door.write().await;
        let asked = self.silence.asked.notified();
        cause.await;
        asked.await;
        then.await
    }

    async fn entries(&self, secret: &str) -> Entries {
        let secret = self.lab.api::<Secret>().get_opt(secret).await.unwrap();
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        data.into_iter()
            .map(|(name, content)| (name, content.0))
            .collect()
    }

    /// The annotation by which the kubelet is told.
    pub(crate) async fn nudge(&self) -> Option<String> {
        let pod = self.lab.api::<Pod>().get(&self.pod).await.unwrap();
        pod.annotations().get("corral.dev/nudge").cloned()
    }

    /// Waits until the kubelet has been told of something else than before.
    pub(crate) async fn nudged_since(&self, before: Option<&str>) -> String {
        eventually(&format!("{} is told", self.pod), || async {
            match self.nudge().await {
                Some(nudge) if Some(&*nudge) != before => Ok(nudge),
                nudge => Err(format!("{nudge:?}")),
            }
        })
        .await
    }
}

/// Tells the API server of a Pod of a service that runs at this address.
pub(crate) async fn run(lab: &Lab, service: &str, pod: &str, address: Ipv4Addr) {
    let deployment = lab.api::<Deployment>().get(service).await.unwrap();
    let labels = deployment.spec.unwrap().template.metadata.unwrap().labels;
    let object = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "labels": labels},
        "spec": {"containers": [{"name": "proxy", "image": "proxy"}]}});
    let _: Pod = lab.apply(pod, object).await;
    let status = json!({"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
        "containerStatuses": [{"name": "proxy", "image": "proxy", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}}]}});
    let pods = lab.api::<Pod>();
    pods.patch_status(pod, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

/// A model that the proxy has.
pub(crate) fn there(name: &str) -> ModelStatus {
    ModelStatus {
        name: name.to_owned(),
        state: ModelState::Ready,
        progress: None,
        completed: None,
        total: None,
        digest: None,
        size: None,
        message: None,
        displaced: 0,
    }
}

/// Has the Deployment say that so many Pods are ready, as its controller would.
pub(crate) async fn ready_pods(lab: &Lab, service: &str, ready: i32) {
    let deployments = lab.api::<Deployment>();
    let generation = deployments.get(service).await.unwrap().metadata.generation;
    let status = json!({"status": {"replicas": ready, "readyReplicas": ready, "updatedReplicas": ready,
        "availableReplicas": ready, "observedGeneration": generation}});
    deployments
        .patch_status(service, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
}

/// The admin port at an address of the loopback network that nobody else has.
pub(crate) async fn listen(number: u8) -> (TcpListener, Ipv4Addr) {
    let process = std::process::id().to_be_bytes();
    for attempt in 0..250_u8 {
        let address = Ipv4Addr::new(127, process[3].max(1), attempt.wrapping_add(process[2]), number);
        if let Ok(listener) = TcpListener::bind((address, ADMIN_PORT)).await {
            return (listener, address);
        }
    }
    panic!("no address of the loopback network is free");
}

async fn serve(listener: TcpListener, says: Arc<Mutex<Status>>, silence: Arc<Silence>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (says, silence) = (says.clone(), silence.clone());
        tokio::spawn(async move {
            let service = service_fn(|_| async {
                silence.asked.notify_waiters();
                let _open = silence.door.read().await;
                let body = serde_json::to_vec(&*says.lock().unwrap()).unwrap();
                Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(body))))
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
