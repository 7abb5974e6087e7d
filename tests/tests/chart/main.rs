//! The chart: what it renders in each mode, which values it refuses, and that a real API server takes what it installs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod examples;
mod helm;
mod installed;

use std::collections::BTreeSet;
use std::fs;

use clap::{CommandFactory, Parser};
use corral_operator::cli::Cli;
use corral_tests::command;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Deserialize;
use serde_json::Value;

use crate::helm::{MODES, chart, helm, objects, repository, template};

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
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::copy(&path, &copy).unwrap();
        }
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
    let whole = rendered.spec == corral_operator::crd::definition().spec;
    assert!(whole, "the chart renders another definition than crds/ has");
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
            "a service without its namespace",
            "rbac.tokenReviewer.services[0].name=x",
            "missing property 'namespace'",
        ),
        (
            "services without the role that they are to have",
            "rbac.tokenReviewer.services[0].name=x,rbac.tokenReviewer.services[0].namespace=y",
            "rbac.tokenReviewer.services needs rbac.tokenReviewer.create",
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
            "a log level with a slip",
            "log.level=inof",
            "'/log/level': 'inof' does not match pattern",
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
fn monitors_find_what_has_metrics() {
    let text = template(&[
        "crds.install=false",
        "watchNamespaces={team-a}",
        "metrics.service.enabled=true",
        "metrics.serviceMonitor.enabled=true",
        "metrics.podMonitor.enabled=true",
        "metrics.podMonitor.interval=30s",
    ])
    .unwrap();
    let objects: Vec<_> = serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let of = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    assert_eq!(
        of("ServiceMonitor")["spec"]["selector"]["matchLabels"],
        of("Deployment")["spec"]["selector"]["matchLabels"]
    );
    let proxies = &of("PodMonitor")["spec"];
    assert_eq!(proxies["namespaceSelector"]["matchNames"][0], "team-a");
    assert_eq!(proxies["podMetricsEndpoints"][0]["port"], "admin");
    assert_eq!(proxies["podMetricsEndpoints"][0]["interval"], "30s");
    let error = template(&["metrics.serviceMonitor.enabled=true"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("needs metrics.service.enabled"), "{error}");
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

/// A right: API group, resource, verb.
type Right = (String, String, String);

#[test]
fn the_roles_grant_what_the_operator_says_that_it_uses() {
    let granted: BTreeSet<Right> = objects(&MODES[0])
        .iter()
        .filter(|object| {
            object["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"].is_null()
        })
        .flat_map(|object| object["rules"].as_array().cloned().unwrap_or_default())
        .flat_map(|rule| rights(&rule))
        .collect();
    assert_eq!(granted, documented_rights());
}

fn rights(rule: &Value) -> Vec<Right> {
    let list = |field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).unwrap() };
    let pairs = list("resources").into_iter().flat_map(|resource| {
        list("verbs")
            .into_iter()
            .map(move |verb| (resource.clone(), verb))
    });
    pairs
        .map(|(resource, verb)| (list("apiGroups").concat(), resource, verb))
        .collect()
}

/// The table in the operator's own documentation.
fn documented_rights() -> BTreeSet<Right> {
    let text = fs::read_to_string(repository().join("operator/src/lib.rs")).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .skip(1);
    rows.flat_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let group = if cells[0] == "core" { "" } else { cells[0] };
        let verbs = cells[2].split(", ");
        let pairs = cells[1]
            .split(", ")
            .flat_map(move |resource| verbs.clone().map(move |verb| (resource, verb)));
        pairs
            .map(|(resource, verb)| (group.to_owned(), resource.to_owned(), verb.to_owned()))
            .collect::<Vec<_>>()
    })
    .collect()
}
