//! What all trials share: a cluster without running Pods, what is installed in it, and who keeps the journal.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use corral_operator::crd;
use corral_operator::plan::Kind;
use corral_tests::cluster::Simulated;
use corral_tests::tools::{self, Tool};
use corral_tests::{command, progress};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::{conditions, wait};
use kube::{Client, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::journal::Journal;
use crate::replicas::Replicas;

/// Stands for the namespace of a trial in what is the same for all.
pub(crate) const NAMESPACE: &str = "the-namespace-of-the-trial";

pub(crate) struct Ground {
    pub(crate) client: Client,
    pub(crate) journal: Journal,
    /// The operator's binary.
    pub(crate) operator: PathBuf,
    /// The operator's ServiceAccount, Roles and bindings, as the chart makes them for one watched namespace.
    pub(crate) permissions: Vec<Value>,
    /// The Secrets `keys`, `other-keys` and `users`, with their canaries.
    pub(crate) secrets: Vec<(Value, String)>,
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
        let permissions = tokio::task::spawn_blocking(permissions).await??;
        let step = progress::step("a cluster without running Pods");
        let [.., high, low] = std::process::id().to_be_bytes();
        let cluster = Simulated::start_on(&format!("127.{}.{low}.1/16", high.clamp(1, 254))).await?;
        let client = cluster.client().await?;
        install(&client).await?;
        let ground = Self {
            journal: Journal::start(&client).await?,
            operator,
            permissions,
            secrets: secrets()?,
            _replicas: Replicas::start(client.clone()),
            client,
            cluster,
        };
        step.done();
        Ok(ground)
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the chart grants where it watches one namespace and lives in it too.
fn permissions() -> Result<Vec<Value>> {
    tools::ensure(&[Tool::Helm])?;
    let mut helm = Command::new(Tool::Helm.path()?);
    helm.args(["template", "corral"])
        .arg(repository().join("charts/corral"))
        .args(["--kube-version=1.33.0", "--namespace", NAMESPACE, "--set"])
        .arg(format!(
            "watchNamespaces={{{NAMESPACE}}},rbac.aggregateRoles=false,crds.install=false"
        ));
    let text = command::output(&mut helm)?;
    let mut granted = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        if matches!(
            object["kind"].as_str(),
            Some("ServiceAccount" | "Role" | "RoleBinding")
        ) {
            granted.push(object);
        }
    }
    Ok(granted)
}

async fn install(client: &Client) -> Result<()> {
    let mut definitions = vec![crd::definition()];
    for kind in Kind::ALL.into_iter().filter(|kind| kind.may_be_unserved()) {
        definitions.push(anything(kind)?);
    }
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions {
        let name = definition.name_any();
        let parameters = PatchParams::apply("campaign").force();
        api.patch(&name, &parameters, &Patch::Apply(&definition)).await?;
        wait::await_condition(api.clone(), &name, conditions::is_crd_established()).await?;
    }
    Ok(())
}

/// A kind that is no part of Kubernetes: its name and no more of it.
fn anything(kind: Kind) -> Result<CustomResourceDefinition> {
    let resource = kind.resource();
    let version = json!({"name": resource.version, "served": true, "storage": true, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{}.{}", resource.plural, resource.group),
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {"group": resource.group, "scope": "Namespaced", "versions": [version],
            "names": {"kind": resource.kind, "plural": resource.plural, "singular": resource.kind.to_lowercase()}}});
    Ok(serde_json::from_value(definition)?)
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
