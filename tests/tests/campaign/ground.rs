//! What all trials share: a cluster without running Pods, what is installed in it, and who keeps the journal.

use std::collections::BTreeMap;
use std::iter;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};
use corral_operator::crd;
use corral_tests::cluster::{Simulated, define};
use corral_tests::foreign::Foreign;
use corral_tests::{command, progress};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::node::v1::RuntimeClass;
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::journal::Journal;
use crate::replicas::Replicas;
use crate::rights::Rights;

/// Stands for the namespace of a trial in what is the same for all.
pub(crate) const NAMESPACE: &str = "the-namespace-of-the-trial";

/// The node that kwok says is there.
const NODE: &str = "simulated";

pub(crate) struct Ground {
    pub(crate) client: Client,
    pub(crate) journal: Journal,
    /// The operator's binary.
    pub(crate) operator: PathBuf,
    /// What the chart grants with each of the rights.
    granted: BTreeMap<Rights, Vec<Value>>,
    /// The Secrets `keys`, `other-keys` and `users`, with their canaries.
    pub(crate) secrets: Vec<(Value, String)>,
    node_ports: AtomicU16,
    _replicas: Replicas,
    // Last: the others end before their cluster.
    pub(crate) cluster: Simulated,
}

impl Ground {
    /// Starts the cluster; the operator is that binary, or the one of this workspace.
    pub(crate) async fn prepare(operator: Option<PathBuf>) -> Result<Self> {
        let operator = match operator {
            Some(operator) => operator,
            None => tokio::task::spawn_blocking(|| command::build("corral-operator")).await??,
        };
        let granted = tokio::task::spawn_blocking(granted).await??;
        let definitions = tokio::task::spawn_blocking(definitions).await??;
        let step = progress::step("a cluster without running Pods");
        let [.., high, low] = std::process::id().to_be_bytes();
        let cluster = Simulated::start_on(&format!("127.{}.{low}.1/16", high.clamp(1, 254))).await?;
        let client = cluster.client().await?;
        for definition in &definitions {
            define(&client, definition).await?;
        }
        name_classes(&client).await?;
        furnish_node(&client).await?;
        let ground = Self {
            journal: Journal::start(&client).await?,
            operator,
            granted,
            secrets: secrets()?,
            node_ports: AtomicU16::new(0),
            _replicas: Replicas::start(client.clone()),
            client,
            cluster,
        };
        step.done();
        Ok(ground)
    }

    /// The operator's ServiceAccount, Roles and bindings with those rights.
    pub(crate) fn granted(&self, rights: Rights) -> &[Value] {
        self.granted.get(&rights).map_or(&[], Vec::as_slice)
    }

    /// A port of the nodes' (30000 to 32767) that no other trial has.
    pub(crate) fn next_node_port(&self) -> u16 {
        30_000 + self.node_ports.fetch_add(1, Ordering::Relaxed) % 2768
    }
}

fn granted() -> Result<BTreeMap<Rights, Vec<Value>>> {
    let all = Rights::ALL.into_iter();
    all.map(|rights| Ok((rights, rights.granted()?))).collect()
}

/// The operator's kind, and those of its children that other projects bring.
fn definitions() -> Result<Vec<CustomResourceDefinition>> {
    let foreign = [Foreign::Certificate, Foreign::HttpRoute, Foreign::ScaledObject].map(Foreign::definition);
    let all = iter::once(Ok(crd::definition())).chain(foreign);
    all.collect()
}

/// The classes that specs name: Pods of one that isn't there are refused.
async fn name_classes(client: &Client) -> Result<()> {
    let parameters = PostParams::default();
    for name in ["nvidia", "sample-text"] {
        let class = json!({"metadata": {"name": name}, "handler": "none"});
        let class: RuntimeClass = serde_json::from_value(class)?;
        Api::all(client.clone()).create(&parameters, &class).await?;
    }
    for name in ["high", "sample-text"] {
        let class = json!({"metadata": {"name": name}, "value": 1000});
        let class: PriorityClass = serde_json::from_value(class)?;
        Api::all(client.clone()).create(&parameters, &class).await?;
    }
    Ok(())
}

/// What Pods are spread over, choose nodes by and ask for.
async fn furnish_node(client: &Client) -> Result<()> {
    let labels = json!({"kubernetes.io/hostname": "simulated", "topology.kubernetes.io/zone": "a",
        "kubernetes.io/zone": "a", "pool": "gpu"});
    let labelled = Patch::Merge(json!({"metadata": {"labels": labels}}));
    // Enough for all trials at a time, and less than what specs ask for to have none.
    let resources = json!({"cpu": "900", "memory": "9Ti", "pods": "900", "nvidia.com/gpu": "60",
        "nvidia.com/mig-1g.10gb": "60", "amd.com/gpu": "60", "gpu.intel.com/i915": "60", "gpu.intel.com/xe": "60",
        "example.com/gpu": "60", "example.com/sample": "60"});
    let equipped = Patch::Merge(json!({"status": {"capacity": resources, "allocatable": resources}}));
    let nodes: Api<Node> = Api::all(client.clone());
    let parameters = PatchParams::default();
    nodes.patch(NODE, &parameters, &labelled).await?;
    nodes.patch_status(NODE, &parameters, &equipped).await?;
    Ok(())
}

/// What users make: credentials with content that must show nowhere.
fn secrets() -> Result<Vec<(Value, String)>> {
    let mut secrets = Vec::new();
    for name in ["keys", "other-keys", "users"] {
        let canary = format!(
            "canary-of-{name}-{}",
            hex::encode(getrandom::u64()?.to_be_bytes())
        );
        let (entry, content) = match name {
            "users" => (
                "auth",
                format!("ci:{}", bcrypt::hash(&canary, 4).context("bcrypt")?),
            ),
            _ => ("ci", canary.clone()),
        };
        // Of a password only the hash is in the cluster.
        let hidden = content.rsplit(':').next().unwrap_or_default().to_owned();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {entry: content}});
        secrets.push((secret, hidden));
    }
    Ok(secrets)
}
