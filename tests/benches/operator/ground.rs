//! A cluster of its own for each measurement.

use std::path::PathBuf;

use anyhow::{Context, Result};
use corral_measure::machine;
use corral_operator::plan::Kind;
use corral_tests::cluster::{AuditLog, Simulated, define};
use corral_tests::process::{Launcher, Process};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, Pod, Secret};
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::journal::{Content, Journal, Key};
use crate::replicas::{self, Replicas};
use crate::running::{Running, USER};
use crate::subject::Subject;

/// Where the custom resources are.
pub(crate) const NAMESPACE: &str = "many";
/// How many objects are made at a time.
const AT_A_TIME: usize = 16;
/// Room of a node; the kubelet's own bound is 110.
const PODS_OF_A_NODE: u32 = 250;

/// A cluster with one operator's definition in it, watched.
pub(crate) struct Ground<'a> {
    // In the order of the end: first those who watch.
    _replicas: Replicas,
    pub(crate) journal: Journal,
    /// What the machine said of itself before the start.
    pub(crate) machine: String,
    pub(crate) client: Client,
    pub(crate) subject: &'a Subject,
    kubeconfig: PathBuf,
    launcher: Launcher,
    logs: tempfile::TempDir,
    cluster: Simulated,
}

impl<'a> Ground<'a> {
    /// With room for that many Pods.
    pub(crate) async fn prepare(subject: &'a Subject, pods: u32) -> Result<Self> {
        let machine = machine::describe()?;
        let cluster = Simulated::start_on(replicas::NETWORK).await?;
        let client = cluster.client().await?;
        let logs = tempfile::tempdir()?;
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: logs.path().to_owned(),
        };
        let kubeconfig = cluster.user(USER)?;
        add_nodes(&client, pods / PODS_OF_A_NODE).await?;
        add_volume(&client).await?;
        define(&client, &subject.definition).await?;
        let journal = Journal::new(client.clone());
        let replicas = Replicas::start(&journal, pods).await?;
        for (resource, content) in [
            (Kind::ConfigMap.resource(), Content::Whole),
            (ApiResource::erase::<Secret>(&()), Content::Whole),
            (ApiResource::erase::<Pod>(&()), Content::Whole),
            (subject.resource.clone(), Content::Whole),
            (Kind::Deployment.resource(), Content::Metadata),
        ] {
            journal.follow(&resource, content).await?;
        }
        let ground = Self {
            machine,
            _replicas: replicas,
            journal,
            client,
            subject,
            kubeconfig,
            launcher,
            logs,
            cluster,
        };
        ground.namespace(NAMESPACE).await?;
        Ok(ground)
    }

    /// Starts the operator.
    pub(crate) async fn start(&self) -> Result<Running<'_>> {
        Running::start(self.subject, &self.kubeconfig, self.audit(), &self.launcher).await
    }

    pub(crate) fn audit(&self) -> &AuditLog {
        self.cluster.audit()
    }

    /// The servers of the control plane.
    pub(crate) fn servers(&self) -> &[Process] {
        self.cluster.processes()
    }

    /// The end of what the operator has said.
    pub(crate) fn log(&self) -> String {
        let tail = corral_tests::command::tail(&self.logs.path().join("operator.log"), 5);
        let lines = tail
            .lines()
            .map(|line| line.chars().take(200).collect::<String>());
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::all(self.client.clone())
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(())
    }

    /// Custom resources of that namespace.
    pub(crate) fn resources(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &self.subject.resource)
    }

    /// Makes many custom resources, some at a time.
    pub(crate) async fn make(&self, objects: Vec<DynamicObject>, namespace: &str) -> Result<()> {
        let api = self.resources(namespace);
        stream::iter(objects)
            .map(|object| {
                let api = api.clone();
                async move { api.create(&PostParams::default(), &object).await.map(drop) }
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect::<()>()
            .await
            .context("make custom resources")
    }
}

/// The name of the custom resource of that number.
pub(crate) fn name(number: u32) -> String {
    format!("s{number:05}")
}

/// The custom resource in whose name an object is named: such as `s00007` of `ollama-model-s00007`.
pub(crate) fn named_after(object: &str) -> Option<&str> {
    object.split('-').find(|part| {
        let number = part.strip_prefix('s').unwrap_or_default();
        number.len() == 5 && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// Its namespace and name.
pub(crate) fn key(number: u32) -> Key {
    (NAMESPACE.to_owned(), name(number))
}

/// The cluster has one node already.
async fn add_nodes(client: &Client, count: u32) -> Result<()> {
    let resources = json!({"cpu": "1000", "memory": "4Ti", "pods": PODS_OF_A_NODE.to_string()});
    let api = Api::<Node>::all(client.clone());
    for number in 0..count {
        let node = json!({
            "metadata": {"name": format!("simulated-{number}"), "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"capacity": resources, "allocatable": resources},
        });
        api.create(&PostParams::default(), &serde_json::from_value(node)?)
            .await?;
    }
    Ok(())
}

/// For the one claim of each namespace that ollama-operator's Pods wait for.
async fn add_volume(client: &Client) -> Result<()> {
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": "shared"},
        "spec": {
            "capacity": {"storage": "1000Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"],
            "hostPath": {"path": "/nowhere"},
        },
    }))?;
    Api::all(client.clone())
        .create(&PostParams::default(), &volume)
        .await?;
    Ok(())
}
