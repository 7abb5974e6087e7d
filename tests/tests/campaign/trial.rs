//! One trial: a namespace of its own with one operator behind a fault proxy, and one OllamaService `x`.

mod settle;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use corral_operator::crd::OllamaService;
use corral_tests::cluster::Mark;
use corral_tests::fault_proxy::FaultProxy;
use corral_tests::process::Launcher;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, Secret, ServiceAccount};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::evidence::Evidence;
use crate::ground::{Ground, NAMESPACE};
use crate::kinds;
use crate::operator::Operator;
use crate::rights::Rights;

pub(crate) use settle::Outcome;

/// The name of the OllamaService.
pub(crate) const SERVICE: &str = "x";
/// How long anything may take on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
/// Volumes of each trial: a claim that was deleted leaves its volume unusable.
const VOLUMES: usize = 3;

pub(crate) struct Trial<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) namespace: String,
    pub(crate) faults: FaultProxy,
    /// What the operator may do.
    rights: Rights,
    /// How long it must be quiet to count as settled.
    pub(crate) quiet: Duration,
    /// The number for a Service that asks for one: it can have it once in the cluster.
    node_port: u16,
    client: Client,
    folder: TempDir,
    mark: Mark,
    operators: Vec<Operator>,
    logs: Vec<PathBuf>,
    ended: Vec<String>,
    metrics: String,
}

impl<'a> Trial<'a> {
    pub(crate) async fn new(ground: &'a Ground, quiet: Duration) -> Result<Self> {
        Self::with(ground, quiet, Rights::Secrets).await
    }

    /// One whose operator may do so much.
    pub(crate) async fn with(ground: &'a Ground, quiet: Duration, rights: Rights) -> Result<Self> {
        let namespace = ground.cluster.namespace("trial").await?;
        let trial = Self {
            ground,
            rights,
            quiet,
            node_port: ground.next_node_port(),
            client: ground.client.clone(),
            faults: FaultProxy::start(ground.cluster.kubeconfig()).await?,
            folder: tempfile::tempdir()?,
            mark: ground.cluster.audit().mark()?,
            namespace,
            operators: Vec::new(),
            logs: Vec::new(),
            ended: Vec::new(),
            metrics: String::new(),
        };
        trial.furnish().await?;
        Ok(trial)
    }

    /// What administrators and users have made before.
    async fn furnish(&self) -> Result<()> {
        let restricted =
            json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
        Api::<Namespace>::all(self.client.clone())
            .patch(
                &self.namespace,
                &PatchParams::default(),
                &Patch::Merge(restricted),
            )
            .await?;
        let secrets = self.ground.secrets.iter().map(|(secret, _)| secret);
        for object in self.ground.granted(self.rights).iter().chain(secrets) {
            self.apply(object).await?;
        }
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        for number in 0..VOLUMES {
            let volume = json!({"metadata": {"name": format!("{}-{number}", self.namespace), "labels": {"trial": self.namespace}},
                "spec": {"capacity": {"storage": "100Gi"}, "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                    "storageClassName": self.namespace, "hostPath": {"path": "/nowhere"}}});
            let volume = serde_json::from_value(volume)?;
            volumes.create(&PostParams::default(), &volume).await?;
        }
        let token = self.token().await?;
        self.faults.kubeconfig(&self.kubeconfig(), &token)
    }

    async fn token(&self) -> Result<String> {
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), &self.namespace);
        let request = TokenRequest::default();
        let granted = accounts
            .create_token_request("corral", &PostParams::default(), &request)
            .await?;
        Ok(granted.status.context("no token")?.token)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Makes or replaces an object of any kind; the trial's namespace takes the place of its stand-in.
    pub(crate) async fn apply(&self, object: &Value) -> Result<()> {
        let object: DynamicObject = self.here(object)?;
        let types = object.types.as_ref().context("no kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types)?);
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &resource);
        let parameters = PatchParams::apply("campaign").force();
        api.patch(&object.name_any(), &parameters, &Patch::Apply(&object))
            .await?;
        Ok(())
    }

    fn here<T: serde::de::DeserializeOwned>(&self, object: &Value) -> Result<T> {
        let text = object.to_string().replace(NAMESPACE, &self.namespace);
        Ok(serde_json::from_str(&text)?)
    }

    /// Starts an operator.
    pub(crate) fn start(&mut self, arguments: &[&str]) -> Result<()> {
        self.start_as("operator", arguments)
    }

    /// Starts an operator of that name beside any that runs already.
    pub(crate) fn start_as(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: self.folder.path().to_owned(),
        };
        let mut all = vec![
            format!("--watch-namespace={}", self.namespace),
            format!("--pod-namespace={}", self.namespace),
            format!("--pod-name={name}"),
            format!("--secrets={}", self.rights.value()),
            "--leader-elect".to_owned(),
        ];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        let log = format!("{name}-{}", self.logs.len());
        let operator = Operator::start(&self.ground.operator, &launcher, &log, &self.kubeconfig(), &all)?;
        self.logs.push(operator.log().to_owned());
        self.operators.push(operator);
        Ok(())
    }

    /// Kills every operator by SIGKILL. One that had ended by itself is a finding.
    pub(crate) async fn kill(&mut self) {
        for mut operator in std::mem::take(&mut self.operators) {
            if let Err(ended) = operator.check() {
                self.ended.push(ended.to_string());
            }
            self.metrics
                .push_str(&operator.metrics().await.unwrap_or_default());
            // The kernel takes a moment, and the trial has nothing else to do.
            drop(operator);
        }
    }

    /// Whether the operator has ended for want of the Lease, or of an API server to seek it from: then another takes its place.
    pub(crate) fn lost_the_lease(&mut self) -> bool {
        let before = self.operators.len();
        self.operators.retain_mut(|operator| {
            let ended = operator.check().is_err();
            let log = std::fs::read_to_string(operator.log()).unwrap_or_default();
            !(ended && log.contains("Lease"))
        });
        self.operators.len() < before
    }

    /// Waits until the operator has looked at the OllamaService for the first time since it started.
    pub(crate) async fn has_looked(&mut self) -> Result<()> {
        let operators = &mut self.operators;
        let what = "an operator looks at the OllamaService";
        corral_tests::process::wait_until(what, LIMIT, [], async || {
            for operator in operators.iter_mut() {
                operator.check()?;
                if operator.has_looked().await? {
                    return Ok(());
                }
            }
            bail!("none has yet")
        })
        .await
    }

    pub(crate) fn services(&self) -> Api<OllamaService> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes the OllamaService.
    pub(crate) async fn create(&self, spec: &Value) -> Result<()> {
        let service = json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService",
            "metadata": {"name": SERVICE}, "spec": self.with_own_port(spec)});
        let service: DynamicObject = self.here(&service)?;
        self.untyped_services()
            .create(&PostParams::default(), &service)
            .await?;
        Ok(())
    }

    /// OllamaServices as they are: the type would leave out what is empty.
    pub(crate) fn untyped_services(&self) -> Api<DynamicObject> {
        let resource = ApiResource::erase::<OllamaService>(&());
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// A spec in which the port of the nodes, if it has one, is the trial's own.
    pub(crate) fn with_own_port(&self, spec: &Value) -> Value {
        let mut spec = spec.clone();
        if let Some(port) = spec.pointer_mut("/service/nodePort") {
            *port = self.node_port.into();
        }
        spec
    }

    /// Has it say that and no more; whether the API server takes it.
    pub(crate) async fn replace(&self, spec: &Value) -> Result<bool> {
        let services = self.untyped_services();
        loop {
            let mut service = services.get(SERVICE).await?;
            service.data["spec"] = self.here(&self.with_own_port(spec))?;
            match services.replace(SERVICE, &PostParams::default(), &service).await {
                Ok(_) => return Ok(true),
                Err(kube::Error::Api(status)) if status.code == 422 => return Ok(false),
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Merges into its spec.
    pub(crate) async fn edit(&self, spec: &Value) -> Result<()> {
        let patch: Value = self.here(&json!({"spec": spec}))?;
        self.services()
            .patch(SERVICE, &PatchParams::default(), &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    /// Deletes it, and waits until it is gone itself.
    pub(crate) async fn delete(&self) -> Result<()> {
        self.services().delete(SERVICE, &DeleteParams::default()).await?;
        self.until("the OllamaService is gone", async || {
            ensure!(
                self.services().get_opt(SERVICE).await?.is_none(),
                "it is still there"
            );
            Ok(())
        })
        .await
    }

    /// Asks again and again until the answer is yes.
    pub(crate) async fn until(&self, what: &str, ask: impl AsyncFnMut() -> Result<()>) -> Result<()> {
        corral_tests::process::wait_until(what, LIMIT, [], ask).await
    }

    /// Everything that is to be compared, as it is now.
    pub(crate) async fn objects(&self) -> Result<Vec<Value>> {
        let mut objects = Vec::new();
        for kind in kinds::compared() {
            let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &kind);
            for object in api.list(&ListParams::default()).await? {
                let mut object = serde_json::to_value(object)?;
                object["kind"] = kind.kind.clone().into();
                objects.push(object);
            }
        }
        Ok(objects)
    }

    /// All that the oracles judge by. Writes count from that exchange on. The operator ends.
    pub(crate) async fn evidence(&mut self, from: usize) -> Result<Evidence> {
        let objects = self.objects().await?;
        self.kill().await;
        let logs: Vec<_> = self
            .logs
            .iter()
            .map(|log| std::fs::read_to_string(log).unwrap_or_default())
            .collect();
        let user = format!("system:serviceaccount:{}:corral", self.namespace);
        Ok(Evidence {
            namespace: self.namespace.clone(),
            rights: self.rights,
            objects,
            exchanges: self.faults.exchanges(),
            from,
            requests: self.ground.cluster.audit().requests_since(self.mark, &user)?,
            history: self.ground.journal.of(&self.namespace),
            log: logs.concat(),
            metrics: self.metrics.clone(),
            ended: self.ended.clone(),
            canaries: self.canaries().await?,
        })
    }

    /// What must show nowhere: the contents of all Secrets.
    async fn canaries(&self) -> Result<Vec<String>> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let mut canaries: Vec<_> = self
            .ground
            .secrets
            .iter()
            .map(|(_, canary)| canary.clone())
            .collect();
        for secret in secrets.list(&ListParams::default()).await? {
            for content in secret.data.into_iter().flatten().map(|(_, content)| content.0) {
                canaries.push(String::from_utf8(content)?);
            }
        }
        Ok(canaries)
    }

    /// Takes away what the trial has made; the cluster does the rest in the background.
    pub(crate) async fn end(mut self) -> Result<()> {
        self.kill().await;
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await?;
        let volumes = Api::<PersistentVolume>::all(self.client.clone());
        let ours = ListParams::default().labels(&format!("trial={}", self.namespace));
        volumes.delete_collection(&DeleteParams::default(), &ours).await?;
        self.ground.journal.forget(&self.namespace);
        Ok(())
    }
}
