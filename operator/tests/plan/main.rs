//! Each file in cases/ is an OllamaService; the file of the same name in golden/ is what it becomes.
//! `UPDATE_GOLDEN=1 cargo test -p corral-operator` writes the golden files anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod asked;
mod mistakes;

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use corral_operator::cli::{Cli, Command, PlanOptions};
use corral_operator::render::render;
use corral_proxy::config::{Config, paths, validate::validate};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// Options of a case: its first line, `# options: …`. The images are fixed, so that a release changes no golden file.
fn options(text: &str) -> PlanOptions {
    let given = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# options: "))
        .unwrap_or_default();
    let fixed = [
        "corral-operator",
        "render",
        "-",
        "--proxy-image=proxy:test",
        "--default-version=0.0.0",
    ];
    let Command::Render(options) = Cli::parse_from(fixed.into_iter().chain(given.split_whitespace())).command
    else {
        panic!("render was asked for");
    };
    options.plan
}

fn rendered(text: &str) -> String {
    render(text, &options(text)).unwrap()
}

#[test]
fn cases_become_their_golden_files() {
    let cases: Vec<_> = fs::read_dir(folder("cases"))
        .unwrap()
        .map(|case| case.unwrap().path())
        .collect();
    assert!(!cases.is_empty());
    for case in cases {
        let golden = folder("golden").join(case.file_name().unwrap());
        let rendered = rendered(&fs::read_to_string(&case).unwrap());
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &rendered).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(
            rendered,
            expected,
            "{} (UPDATE_GOLDEN=1 writes it anew)",
            golden.display()
        );
    }
}

/// The child of a kind among those of a case.
fn of_kind<'a>(rendered: &'a str, kind: &str) -> Option<&'a str> {
    let header = format!("\nkind: {kind}\n");
    rendered
        .split("---\n")
        .find(|document| document.contains(&header))
}

/// The child of a kind of a changed case, as text.
fn child(text: &str, kind: &str) -> String {
    of_kind(&rendered(text), kind).unwrap().to_owned()
}

#[test]
fn the_proxy_accepts_its_configuration() {
    for case in fs::read_dir(folder("cases")).unwrap() {
        let path = case.unwrap().path();
        let document = child(&fs::read_to_string(&path).unwrap(), "ConfigMap");
        let config_map: serde_yaml::Value = serde_yaml::from_str(&document).unwrap();
        let text = config_map["data"][paths::CONFIG_FILE].as_str().unwrap();
        let config: Config = serde_yaml::from_str(text).unwrap();
        validate(&config).unwrap_or_else(|invalid| panic!("{}: {invalid}", path.display()));
    }
}

#[test]
fn what_may_change_while_a_model_is_loaded_is_not_in_the_pod() {
    let before = fs::read_to_string(folder("cases").join("everything.yaml")).unwrap();
    let changes = [
        ("an access rule", "allow: [Inference]", "allow: [Read]"),
        ("a model", "gemma3:270m", "gemma3:1b"),
        ("a model kept loaded", "keepLoaded: true", "keepLoaded: false"),
        (
            "pulls at a time",
            "replicas: 2",
            "replicas: 2\n  parallelPulls: 3",
        ),
        (
            "models to be deleted",
            "replicas: 2",
            "replicas: 2\n  pruneModels: true",
        ),
        ("an allowed network", "10.0.0.0/8", "192.168.0.0/16"),
        ("a trusted proxy", "10.244.0.0/16", "10.245.0.0/16"),
        ("the entry with the credentials", "key: users", "key: others"),
        ("the clock skew", "clockSkewSeconds: 10", "clockSkewSeconds: 20"),
    ];
    for (name, from, to) in changes {
        let after = before.replace(from, to);
        assert_eq!(
            child(&before, "Deployment"),
            child(&after, "Deployment"),
            "{name}"
        );
        assert_ne!(child(&before, "ConfigMap"), child(&after, "ConfigMap"), "{name}");
    }
}

#[test]
fn no_volume_of_the_operator_can_be_given() {
    for case in ["everything.yaml", "tokens.yaml"] {
        let text = fs::read_to_string(folder("cases").join(case)).unwrap();
        let deployment: serde_yaml::Value = serde_yaml::from_str(&child(&text, "Deployment")).unwrap();
        let volumes = deployment["spec"]["template"]["spec"]["volumes"]
            .as_sequence()
            .unwrap();
        for name in volumes.iter().map(|volume| volume["name"].as_str().unwrap()) {
            let spec =
                format!("{{podTemplate: {{volumes: [{{name: {name}, emptyDir: {{sizeLimit: 1Mi}}}}]}}}}");
            let text = format!(
                "{{metadata: {{name: x}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {spec}}}"
            );
            let error = render(&text, &options("")).unwrap_err().to_string();
            assert!(
                error.contains(&format!("{name} is the operator's volume")),
                "{error}"
            );
        }
    }
}

/// A template that changes replaces every Pod, and with it every model in GPU memory.
#[test]
fn the_number_of_replicas_changes_nothing_in_the_pods() {
    let template = |spec: &str| {
        let text = format!(
            "{{metadata: {{name: x}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {spec}}}"
        );
        let deployment: serde_yaml::Value = serde_yaml::from_str(&child(&text, "Deployment")).unwrap();
        deployment["spec"]["template"].clone()
    };
    for spec in [
        "{replicas: 3}",
        "{suspend: true}",
        "{autoscaling: {maxReplicas: 3, target: {requestsInFlight: 1}}}",
        "{disruption: {minAvailable: 1}}",
        "{rollout: {surge: true}}",
    ] {
        assert_eq!(template(spec), template("{}"), "{spec}");
    }
}

/// A new Pod beside the old one could wait for ever for what the old one holds.
#[test]
fn the_new_pod_comes_first_only_where_it_can_or_is_asked_to() {
    let cases = [
        ("{}", 0),
        ("{storage: {size: 1Gi}}", 0),
        ("{storage: {existingClaim: x}}", 0),
        ("{storage: {ephemeral: {}}}", 0),
        ("{storage: {size: 1Gi, accessModes: [ReadWriteMany]}}", 1),
        ("{storage: {size: 1Gi, accessModes: [ReadWriteMany]}, gpu: {}}", 0),
        (
            "{storage: {size: 1Gi, accessModes: [ReadWriteMany]}, rollout: {surge: false}}",
            0,
        ),
        ("{rollout: {surge: true}}", 1),
        ("{rollout: {surge: true}, gpu: {}}", 1),
    ];
    for (spec, surge) in cases {
        let text = format!(
            "{{metadata: {{name: x}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {spec}}}"
        );
        let deployment: serde_yaml::Value = serde_yaml::from_str(&child(&text, "Deployment")).unwrap();
        let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
        let number = |field: &str| rolling[field].as_i64().unwrap();
        assert_eq!(
            (number("maxSurge"), number("maxUnavailable")),
            (surge, 1 - surge),
            "{spec}"
        );
    }
}

/// Pods that are yet to be replaced have the newest configuration too, and only the Secrets that they were made with.
#[test]
fn another_secret_of_an_issuer_leaves_the_configuration_of_the_pods_before_it() {
    let before = fs::read_to_string(folder("cases").join("tokens.yaml")).unwrap();
    for (from, to) in [
        (
            "{name: idp-keys, key: jwks.json}",
            "{name: new-keys, key: jwks.json}",
        ),
        ("gateway.secret", "gateway-2.secret"),
        ("internal-ca", "internal-ca-2"),
    ] {
        let after = before.replace(from, to);
        assert_ne!(
            child(&before, "Deployment"),
            child(&after, "Deployment"),
            "{from}"
        );
        assert_eq!(child(&before, "ConfigMap"), child(&after, "ConfigMap"), "{from}");
    }
}

#[test]
fn another_order_of_issuers_restarts_nothing() {
    let before = fs::read_to_string(folder("cases").join("tokens.yaml")).unwrap();
    let mut object: serde_yaml::Value = serde_yaml::from_str(&before).unwrap();
    let issuers = object["spec"]["auth"]["jwt"].as_sequence_mut().unwrap();
    issuers.reverse();
    let after = serde_yaml::to_string(&object).unwrap();
    assert_eq!(child(&before, "Deployment"), child(&after, "Deployment"));
    assert_ne!(child(&before, "ConfigMap"), child(&after, "ConfigMap"));
}

/// The kubelet mounts a Secret by its name; what stands in it may change at any time.
#[test]
fn another_certificate_secret_restarts_the_pods() {
    let before = fs::read_to_string(folder("cases").join("everything.yaml")).unwrap();
    let after = before.replace("team-tls", "other-tls");
    assert_ne!(child(&before, "Deployment"), child(&after, "Deployment"));
    for kind in ["ConfigMap", "Service"] {
        assert_eq!(child(&before, kind), child(&after, kind), "{kind}");
    }
}
