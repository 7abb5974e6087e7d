//! A namespace of one's own with an operator that watches it.

use std::fmt::Debug;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use corral_operator::crd::{self, OllamaService, OllamaServiceStatus};
use corral_tests::cluster::{Access, ControlPlane, Simulated, define};
use corral_tests::foreign::Foreign;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A namespace of the shared API server.
pub(crate) struct Lab {
    pub(crate) cluster: &'static Access,
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

impl Lab {
    pub(crate) async fn new(prefix: &str) -> Self {
        Self::on(ControlPlane::shared().await.unwrap(), prefix).await
    }

    /// One in which Kubernetes' own controllers make Pods. It is shared, as the other is.
    pub(crate) async fn with_controllers(prefix: &str) -> Self {
        static SHARED: OnceCell<Simulated> = OnceCell::const_new();
        let cluster = SHARED.get_or_try_init(Simulated::start).await;
        Self::on(cluster.unwrap(), prefix).await
    }

    async fn on(cluster: &'static Access, prefix: &str) -> Self {
        let client = cluster.client().await.unwrap();
        install_definition(&client).await;
        let namespace = cluster.namespace(prefix).await.unwrap();
        Self {
            cluster,
            client,
            namespace,
        }
    }

    /// An operator for this namespace; it ends when dropped.
    pub(crate) async fn operator(&self, arguments: &[&str]) -> Child {
        start(
            self.cluster.kubeconfig(),
            &[&[&*format!("--watch-namespace={}", self.namespace)], arguments].concat(),
        )
        .await
    }

    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) async fn create(&self, name: &str, spec: Value) -> OllamaService {
        let service = json!({
            "apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "metadata": {"name": name}, "spec": spec});
        let service = serde_json::from_value(service).unwrap();
        self.api().create(&PostParams::default(), &service).await.unwrap()
    }

    /// Merges into the spec of an OllamaService.
    pub(crate) async fn patch(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.api::<OllamaService>()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Makes an object, or merges into the one that is there.
    pub(crate) async fn apply<K>(&self, name: &str, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        let parameters = PatchParams::apply("test").force();
        self.api::<K>()
            .patch(name, &parameters, &Patch::Apply(object))
            .await
            .unwrap()
    }

    pub(crate) async fn secret(&self, name: &str, entries: Value) -> k8s_openapi::api::core::v1::Secret {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": entries});
        self.apply(name, secret).await
    }

    pub(crate) async fn status(&self, name: &str) -> OllamaServiceStatus {
        self.api::<OllamaService>()
            .get(name)
            .await
            .unwrap()
            .status
            .unwrap_or_default()
    }

    /// Waits until a condition has that status and reason; answers with its message.
    pub(crate) async fn condition(&self, name: &str, type_: &str, status: &str, reason: &str) -> String {
        eventually(&format!("{name}: {type_}={status} for {reason}"), || async {
            let conditions = self.status(name).await.conditions;
            let found = conditions.iter().find(|one| one.type_ == type_).cloned();
            match found {
                Some(Condition {
                    status: is,
                    reason: because,
                    message,
                    ..
                }) if is == status && because == reason => Ok(message),
                _ => Err(format!("{found:?}")),
            }
        })
        .await
    }

    /// Waits until there is an event with that reason; answers with its type and its note.
    pub(crate) async fn event(&self, reason: &str) -> (String, String) {
        eventually(&format!("an event {reason}"), || async {
            let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
            let mut found = events
                .items
                .iter()
                .filter(|event| event.reason.as_deref() == Some(reason));
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let event = found.next().map(|event| (text(&event.type_), text(&event.note)));
            event.ok_or_else(|| {
                let reasons: Vec<_> = events.iter().map(|event| text(&event.reason)).collect();
                format!("{reasons:?}")
            })
        })
        .await
    }

    /// Has the cluster serve a kind that is no part of Kubernetes.
    pub(crate) async fn define(&self, kind: Foreign) {
        define(&self.client, &kind.definition().unwrap()).await.unwrap();
    }

    /// resourceVersions of everything that belongs to an OllamaService, and its own.
    pub(crate) async fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        for (kind, path) in [
            ("ServiceAccount", "api/v1"),
            ("ConfigMap", "api/v1"),
            ("Secret", "api/v1"),
            ("Service", "api/v1"),
            ("PersistentVolumeClaim", "api/v1"),
            ("Deployment", "apis/apps/v1"),
            ("NetworkPolicy", "apis/networking.k8s.io/v1"),
            ("Ingress", "apis/networking.k8s.io/v1"),
            ("PodDisruptionBudget", "apis/policy/v1"),
            ("HorizontalPodAutoscaler", "apis/autoscaling/v2"),
            ("OllamaService", "apis/corral.dev/v1alpha1"),
        ] {
            let plural = match kind {
                "NetworkPolicy" => "networkpolicies".to_owned(),
                "Ingress" => "ingresses".to_owned(),
                kind => format!("{}s", kind.to_lowercase()),
            };
            let path = format!("/{path}/namespaces/{}/{plural}", self.namespace);
            let list: Value = self
                .client
                .request(http::Request::get(path).body(Vec::new()).unwrap())
                .await
                .unwrap();
            for item in list["items"].as_array().unwrap() {
                let metadata = &item["metadata"];
                versions.push(format!(
                    "{kind} {} {}",
                    metadata["name"], metadata["resourceVersion"]
                ));
            }
        }
        versions.sort();
        versions
    }

    /// Waits until nothing has changed for a while.
    pub(crate) async fn settled(&self) -> Vec<String> {
        let mut before = self.versions().await;
        loop {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            let now = self.versions().await;
            if now == before {
                return now;
            }
            before = now;
        }
    }
}

/// Asks until the answer is a yes.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(reason) if start.elapsed() > LIMIT => panic!("{what}: not within {LIMIT:?}; last: {reason}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

pub(crate) async fn start(kubeconfig: &Path, arguments: &[&str]) -> Child {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    let program = PROGRAM.get_or_init(|| program("corral-operator")).await;
    let mut operator = Command::new(program);
    operator
        .args(["run", "--metrics-listen=127.0.0.1:0"])
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    operator.spawn().unwrap()
}

/// The binary of one of our packages, as it is now.
pub(crate) async fn program(package: &'static str) -> PathBuf {
    tokio::task::spawn_blocking(|| corral_tests::command::build(package).unwrap())
        .await
        .unwrap()
}

async fn install_definition(client: &Client) {
    define(client, &crd::definition()).await.unwrap();
}
