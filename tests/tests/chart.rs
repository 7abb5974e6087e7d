//! The chart: what it renders in each mode, which values it refuses, and that a real API server takes what it installs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory, Parser};
use corral_operator::cli::Cli;
use corral_tests::cluster::ControlPlane;
use corral_tests::command;
use corral_tests::tools::{self, Tool};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt, discovery};
use serde::Deserialize;
use serde_json::Value;

/// Where the operator lives in these tests.
const NAMESPACE: &str = "corral-system";

/// A way of installing the chart.
struct Mode {
    name: &'static str,
    values: &'static [&'static str],
}

const MODES: [Mode; 3] = [
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
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chart() -> PathBuf {
    repository().join("charts/corral")
}

fn helm() -> Command {
    tools::ensure(&[Tool::Helm]).unwrap();
    Command::new(Tool::Helm.path().unwrap())
}

/// What `helm template` says: a helm built from its module takes itself for one of Kubernetes 1.20.
fn template(values: &[&str]) -> anyhow::Result<String> {
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
fn objects(mode: &Mode) -> Vec<Value> {
    let text = template(&[mode.values, &["crds.install=false"]].concat()).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

#[test]
fn helm_finds_no_fault() {
    command::output(helm().args(["lint", "--strict"]).arg(chart())).unwrap();
}

#[test]
fn each_mode_renders_as_committed() {
    for mode in &MODES {
        let path = repository().join(format!("tests/golden/chart/{}.yaml", mode.name));
        let rendered = template(&[mode.values, &["crds.install=false"]].concat()).unwrap() + "\n";
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &rendered).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            rendered == committed,
            "{} is not what the chart renders; see `git diff` after UPDATE_GOLDEN=1 cargo test --test chart",
            path.display()
        );
    }
}

#[test]
fn the_chart_carries_the_committed_definition() {
    for entry in fs::read_dir(repository().join("crds")).unwrap() {
        let path = entry.unwrap().path();
        let copy = chart().join("files/crds").join(path.file_name().unwrap());
        let (text, copied) = (fs::read(&path).unwrap(), fs::read(&copy).unwrap_or_default());
        assert!(text == copied, "copy {} to {}", path.display(), copy.display());
    }
}

#[test]
fn the_definition_is_rendered_whole_and_kept() {
    let text = template(&["fullnameOverride=corral"]).unwrap();
    let rendered = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .find(|object| object["kind"] == "CustomResourceDefinition")
        .unwrap();
    assert_eq!(
        rendered["metadata"]["annotations"]["helm.sh/resource-policy"],
        "keep"
    );
    let rendered: CustomResourceDefinition = serde_json::from_value(rendered).unwrap();
    assert_eq!(rendered.spec, corral_operator::crd::definition().spec);
}

#[test]
fn the_schema_refuses_what_is_not_a_value() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "a misspelt value",
            "watchNamespace=a",
            "additional properties 'watchNamespace' not allowed",
        ),
        (
            "a misspelt value further in",
            "images.proxy.repo=x",
            "additional properties 'repo' not allowed",
        ),
        (
            "one namespace instead of a list",
            "watchNamespaces=a",
            "'/watchNamespaces': got string, want array",
        ),
        (
            "no name of a namespace",
            "watchNamespaces={Team_A}",
            "'Team_A' does not match pattern",
        ),
        (
            "a namespace twice",
            "watchNamespaces={a,a}",
            "items at 0 and 1 are equal",
        ),
        (
            "an unknown way with Secrets",
            "rbac.secrets=write",
            "value must be one of 'read', 'none'",
        ),
        (
            "a tag in the repository",
            "images.operator.repository=registry/x:1",
            "'registry/x:1' does not match pattern",
        ),
        (
            "a number as tag",
            "images.operator.tag=2",
            "'/images/operator/tag': got number, want string",
        ),
        (
            "a digest without its kind",
            "images.proxy.digest=0123",
            "'0123' does not match pattern",
        ),
        (
            "an unknown pull policy",
            "images.pullPolicy=Sometimes",
            "value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        (
            "less than no replica",
            "replicas=-1",
            "'/replicas': minimum: got -1, want 0",
        ),
        (
            "a word for a number",
            "replicas=two",
            "'/replicas': got string, want integer",
        ),
        (
            "no port",
            "metrics.service.port=70000",
            "maximum: got 70,000, want 65,535",
        ),
        (
            "an unknown log format",
            "log.format=xml",
            "value must be one of 'json', 'text'",
        ),
        (
            "a pull secret by its bare name",
            "imagePullSecrets={registry}",
            "'/imagePullSecrets/0': got string, want object",
        ),
    ];
    for (name, value, expected) in cases {
        let error = template(&[value]).map_or_else(|error| error.to_string(), |_| "accepted".into());
        assert!(error.contains(expected), "{name}: {error}");
    }
}

#[test]
fn the_operator_takes_its_arguments_and_environment() {
    let command = Cli::command();
    let run = command.find_subcommand("run").unwrap();
    let known: BTreeSet<_> = run
        .get_arguments()
        .filter_map(|argument| argument.get_env()?.to_str())
        .collect();
    for mode in &MODES {
        let objects = objects(mode);
        let deployment = objects
            .iter()
            .find(|object| object["kind"] == "Deployment")
            .unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let arguments = container["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|argument| argument.as_str().unwrap());
        Cli::try_parse_from(std::iter::once("corral-operator").chain(arguments))
            .unwrap_or_else(|error| panic!("{}: {error}", mode.name));
        let variables = container["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| variable["name"].as_str().unwrap());
        for variable in variables.filter(|name| *name != "RUST_LOG") {
            assert!(
                known.contains(variable),
                "{}: the operator knows no {variable}",
                mode.name
            );
        }
    }
}

#[test]
fn roles_have_no_wildcard_and_reach_no_further_than_asked() {
    for mode in &MODES {
        for object in objects(mode) {
            let kind = object["kind"].as_str().unwrap();
            let name = format!("{}: {kind} {}", mode.name, object["metadata"]["name"]);
            assert!(
                !object["rules"].to_string().contains('*'),
                "{name} has a wildcard"
            );
            if mode.name == "namespaces" {
                assert!(
                    !kind.starts_with("Cluster"),
                    "{name} reaches beyond the namespaces"
                );
            }
            if mode.name == "no-secrets" {
                assert!(
                    !object["rules"].to_string().contains("secrets"),
                    "{name} reaches Secrets"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_real_api_server_takes_every_mode_and_grants_what_it_promises() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    for namespace in [NAMESPACE, "team-a", "team-b", "elsewhere"] {
        create_namespace(&client, namespace).await;
    }
    for mode in &MODES {
        let said = install(&cluster, mode);
        assert!(!said.contains("PodSecurity"), "{}: {said}", mode.name);
        assert!(
            said.contains("kubectl apply"),
            "{}: the notes don't say what to do next: {said}",
            mode.name
        );
        check_permissions(&client, mode).await;
        helm_in(&cluster, &["uninstall", "corral"]);
    }
    let definitions = Api::<CustomResourceDefinition>::all(client);
    definitions
        .get("ollamaservices.corral.dev")
        .await
        .expect("kept when the chart is uninstalled");
}

#[tokio::test]
async fn the_examples_are_valid() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    let definitions = Api::<CustomResourceDefinition>::all(client.clone());
    definitions
        .create(&PostParams::default(), &corral_operator::crd::definition())
        .await
        .unwrap();
    let established = kube::runtime::conditions::is_crd_established();
    kube::runtime::wait::await_condition(definitions, "ollamaservices.corral.dev", established)
        .await
        .unwrap();
    let mut count = 0;
    for entry in fs::read_dir(repository().join("docs/examples")).unwrap() {
        let path = entry.unwrap().path();
        for document in serde_yaml::Deserializer::from_str(&fs::read_to_string(&path).unwrap()) {
            let object = DynamicObject::deserialize(document).unwrap();
            try_apply(&client, &object)
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            count += 1;
        }
    }
    assert!(count >= 5, "only {count} objects in docs/examples");
}

/// Server-side apply as a dry run; unknown and duplicate fields are errors.
async fn try_apply(client: &Client, object: &DynamicObject) -> anyhow::Result<()> {
    let types = object.types.as_ref().expect("apiVersion and kind");
    let (resource, _) = discovery::pinned_kind(client, &GroupVersionKind::try_from(types)?).await?;
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), "default", &resource);
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::apply("test").validation_strict()
    };
    api.patch(&object.name_any(), &parameters, &Patch::Apply(object))
        .await?;
    Ok(())
}

async fn create_namespace(client: &Client, name: &str) {
    let labels = [(
        "pod-security.kubernetes.io/warn".to_owned(),
        "restricted".to_owned(),
    )];
    let metadata = ObjectMeta {
        name: Some(name.into()),
        labels: Some(labels.into()),
        ..ObjectMeta::default()
    };
    let namespace = Namespace {
        metadata,
        ..Namespace::default()
    };
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

fn install(cluster: &ControlPlane, mode: &Mode) -> String {
    let chart = chart();
    let mut arguments = vec!["install", "corral", chart.to_str().unwrap()];
    for value in mode.values {
        arguments.extend(["--set", value]);
    }
    helm_in(cluster, &arguments)
}

/// What helm says, warnings included.
fn helm_in(cluster: &ControlPlane, arguments: &[&str]) -> String {
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

/// Whether the operator may do something, in each mode.
struct Permission {
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: &'static str,
    /// Modes in which it may.
    granted_in: &'static [&'static str],
}

const EVERY_MODE: &[&str] = &["cluster", "namespaces", "no-secrets"];

#[rustfmt::skip]
const PERMISSIONS: &[Permission] = &[
    Permission { verb: "watch", group: "corral.dev", resource: "ollamaservices", namespace: "team-a", granted_in: EVERY_MODE },
    Permission { verb: "watch", group: "corral.dev", resource: "ollamaservices", namespace: "elsewhere", granted_in: &["cluster", "no-secrets"] },
    Permission { verb: "patch", group: "corral.dev", resource: "ollamaservices", namespace: "team-a", granted_in: &[] },
    Permission { verb: "patch", group: "apps", resource: "deployments", namespace: "team-b", granted_in: EVERY_MODE },
    Permission { verb: "patch", group: "apps", resource: "deployments", namespace: NAMESPACE, granted_in: &["cluster", "no-secrets"] },
    Permission { verb: "get", group: "", resource: "secrets", namespace: "team-a", granted_in: &["cluster", "namespaces"] },
    Permission { verb: "get", group: "", resource: "secrets", namespace: "elsewhere", granted_in: &["cluster"] },
    Permission { verb: "delete", group: "", resource: "secrets", namespace: "team-a", granted_in: &[] },
    Permission { verb: "create", group: "", resource: "pods", namespace: "team-a", granted_in: &[] },
    Permission { verb: "patch", group: "coordination.k8s.io", resource: "leases", namespace: NAMESPACE, granted_in: EVERY_MODE },
    Permission { verb: "patch", group: "coordination.k8s.io", resource: "leases", namespace: "team-a", granted_in: &[] },
    Permission { verb: "create", group: "rbac.authorization.k8s.io", resource: "roles", namespace: "team-a", granted_in: &[] },
];

async fn check_permissions(client: &Client, mode: &Mode) {
    for Permission {
        verb,
        group,
        resource,
        namespace,
        granted_in,
    } in PERMISSIONS
    {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{NAMESPACE}:corral")),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some((*verb).into()),
                    group: Some((*group).into()),
                    resource: Some((*resource).into()),
                    namespace: Some((*namespace).into()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = Api::all(client.clone())
            .create(&PostParams::default(), &review)
            .await
            .unwrap();
        let allowed = answer.status.unwrap().allowed;
        let name = format!("{}: may {verb} {group}/{resource} in {namespace}", mode.name);
        assert_eq!(allowed, granted_in.contains(&mode.name), "{name}");
    }
}
