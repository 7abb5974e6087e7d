//! The operators that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use corral_operator::crd::{self, OllamaService};
use corral_operator::plan::Kind;
use corral_tests::command;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

/// An operator and what it takes to measure it.
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// Its arguments, with the address where its metrics are to be.
    pub(crate) arguments: fn(metrics: &str) -> Vec<String>,
    /// Where it answers once it works.
    pub(crate) ready_path: &'static str,
    pub(crate) definition: CustomResourceDefinition,
    pub(crate) resource: ApiResource,
    /// The spec of each custom resource.
    pub(crate) spec: fn() -> Value,
    /// Whether the status of a custom resource says that it is ready.
    pub(crate) is_ready: fn(&DynamicObject) -> bool,
    /// The last of the children that it makes for a custom resource.
    pub(crate) last_children: Vec<ApiResource>,
    /// What its metrics count as a reconcile that has ended, and as work that waits.
    pub(crate) counters: Counters,
}

/// Names of metrics; those with labels are summed.
#[derive(Clone, Copy)]
pub(crate) struct Counters {
    pub(crate) reconciled: &'static str,
    pub(crate) waiting: &'static str,
}

impl Subject {
    /// Corral's own, as its image has it where no program is given.
    pub(crate) fn corral(program: Option<PathBuf>) -> Result<Self> {
        let name = format!("corral-operator {}", env!("CARGO_PKG_VERSION"));
        Ok(Self {
            program: program.map_or_else(image_operator, Ok)?,
            name,
            arguments: |metrics| {
                vec![
                    "run".to_owned(),
                    format!("--metrics-listen={metrics}"),
                    "--pod-namespace=corral-system".to_owned(),
                ]
            },
            ready_path: "/readyz",
            definition: crd::definition(),
            resource: ApiResource::erase::<OllamaService>(&()),
            spec: || json!({}),
            is_ready: |object| condition(object, "Ready"),
            last_children: vec![Kind::Deployment.resource()],
            counters: Counters {
                reconciled: "corral_operator_reconciles_total",
                waiting: "corral_operator_queue",
            },
        })
    }

    /// github.com/nekomeowww/ollama-operator, which makes a Deployment and a Service for each Model, without authentication:
    /// somebody's program of it, and the definition of Model that comes with it.
    pub(crate) fn ollama_operator(program: PathBuf, definition: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(definition).with_context(|| definition.display().to_string())?;
        Ok(Self {
            name: "ollama-operator".to_owned(),
            program,
            arguments: |metrics| {
                vec![
                    format!("--metrics-bind-address={metrics}"),
                    "--health-probe-bind-address=0".to_owned(),
                ]
            },
            ready_path: "/metrics",
            definition: serde_yaml::from_str(&text).with_context(|| definition.display().to_string())?,
            resource: ApiResource {
                group: "ollama.ayaka.io".to_owned(),
                version: "v1".to_owned(),
                api_version: "ollama.ayaka.io/v1".to_owned(),
                kind: "Model".to_owned(),
                plural: "models".to_owned(),
            },
            spec: || json!({"image": "gemma3:270m"}),
            is_ready: |object| condition(object, "Available"),
            // The Service comes once the Deployment is ready, under a name that says little.
            last_children: vec![Kind::Deployment.resource()],
            counters: Counters {
                reconciled: "controller_runtime_reconcile_total",
                waiting: "workqueue_depth",
            },
        })
    }

    /// A custom resource.
    pub(crate) fn object(&self, name: &str) -> DynamicObject {
        DynamicObject::new(name, &self.resource).data(json!({"spec": (self.spec)()}))
    }
}

fn condition(object: &DynamicObject, type_: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == type_ && one["status"] == "True")
}

/// Compiles the operator as its image has it, if need be.
fn image_operator() -> Result<PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args([
        "build",
        "--locked",
        "--profile=image",
        "--package",
        "corral-operator",
        "--bin",
        "corral-operator",
    ]);
    let messages = command::output(cargo.arg("--message-format=json-render-diagnostics"))?;
    let mut executables = messages.lines().rev().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables.next().context("corral-operator has no binary")
}
