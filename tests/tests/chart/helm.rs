//! The chart's modes, and helm.

use std::path::{Path, PathBuf};
use std::process::Command;

use corral_tests::cluster::ControlPlane;
use corral_tests::command;
use corral_tests::tools::{self, Tool};
use serde::Deserialize;
use serde_json::Value;

/// Where the operator lives in these tests.
pub(crate) const NAMESPACE: &str = "corral-system";

/// A way of installing the chart.
pub(crate) struct Mode {
    pub(crate) name: &'static str,
    pub(crate) values: &'static [&'static str],
}

pub(crate) const MODES: [Mode; 4] = [
    Mode {
        name: "cluster",
        values: &[],
    },
    Mode {
        name: "namespaces",
        values: &[
            "watchNamespaces={team-a,team-b}",
            "rbac.aggregateRoles=false",
            "replicas=2",
            "metrics.service.enabled=true",
            "metrics.fromNamespaces={monitoring}",
        ],
    },
    Mode {
        name: "no-secrets",
        values: &["rbac.secrets=none"],
    },
    Mode {
        name: "token-reviewer",
        values: &[
            "rbac.tokenReviewer.create=true",
            "rbac.tokenReviewer.services[0].namespace=team-a",
            "rbac.tokenReviewer.services[0].name=chat",
        ],
    },
];

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn chart() -> PathBuf {
    repository().join("charts/corral")
}

pub(crate) fn helm() -> Command {
    tools::ensure(&[Tool::Helm]).unwrap();
    Command::new(Tool::Helm.path().unwrap())
}

/// What `helm template` says: a helm built from its module takes itself for one of Kubernetes 1.20.
pub(crate) fn template(values: &[&str]) -> anyhow::Result<String> {
    let mut helm = helm();
    helm.args([
        "template",
        "corral",
        "--kube-version=1.33.0",
        "--namespace",
        NAMESPACE,
    ])
    .arg(chart());
    for value in values {
        helm.args(["--set", value]);
    }
    command::output(&mut helm)
}

/// The objects of a mode, without the definition, which has a test of its own.
pub(crate) fn objects(mode: &Mode) -> Vec<Value> {
    let text = template(&[mode.values, &["crds.install=false"]].concat()).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

pub(crate) fn install(cluster: &ControlPlane, mode: &Mode) -> String {
    let chart = chart();
    let mut arguments = vec!["install", "corral", chart.to_str().unwrap()];
    for value in mode.values {
        arguments.extend(["--set", value]);
    }
    helm_in(cluster, &arguments)
}

/// What helm says, warnings included.
pub(crate) fn helm_in(cluster: &ControlPlane, arguments: &[&str]) -> String {
    let output = helm()
        .args(arguments)
        .args(["--namespace", NAMESPACE, "--kubeconfig"])
        .arg(cluster.kubeconfig())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "helm {arguments:?}: {said}");
    said
}
