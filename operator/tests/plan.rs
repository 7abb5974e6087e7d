//! Each file in cases/ is an OllamaService; the file of the same name in golden/ is what it becomes.
//! `UPDATE_GOLDEN=1 cargo test -p corral-operator` writes the golden files anew.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

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

/// The children of a changed case by kind, as text.
fn child(text: &str, kind: &str) -> String {
    let rendered = rendered(text);
    let found = rendered
        .split("---\n")
        .find(|document| document.contains(&format!("\nkind: {kind}\n")));
    found.unwrap().to_owned()
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
    ] {
        assert_eq!(template(spec), template("{}"), "{spec}");
    }
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

#[test]
fn what_is_wrong_is_named() {
    let cases = [
        (
            "{storage: {size: 1Gi, existingClaim: x}}",
            "spec.storage: exactly one of",
        ),
        (
            "{storage: {existingClaim: x, storageClassName: y}}",
            "spec.storage: storageClassName, accessModes and retain go with",
        ),
        ("{auth: {}}", "spec.auth: at least one of"),
        (
            "{auth: {jwt: [{issuer: '', audiences: [a], secretRef: {name: x}}]}}",
            "spec.auth.jwt[0].issuer: must not be empty",
        ),
        (
            "{auth: {jwt: [{issuer: a, audiences: [a], secretRef: {name: x}, algorithms: [HS256, RS256]}]}}",
            "spec.auth.jwt[0].algorithms: must not mix HS",
        ),
        ("{auth: {require: All}}", "spec.auth: at least one of"),
        (
            "{auth: {clientCertificates: {secretRef: {name: a}}}}",
            "spec.auth.clientCertificates: needs spec.network.tls",
        ),
        (
            "{auth: {anonymous: {}, apiKeys: {secretRef: {name: a}}, require: All}}",
            "spec.auth.require: can't be All with anonymous",
        ),
        (
            "{auth: {anonymous: {client: ' '}}}",
            "spec.credentials.anonymous.client: a name has",
        ),
        (
            "{auth: {basic: {secretRef: {name: a}}, ollamaKeys: {secretRef: {name: b}}, require: All}}",
            "spec.auth.require: can't be All: basic and ollamaKeys are each carried in Authorization",
        ),
        ("{auth: {require: Both}}", "unknown variant `Both`"),
        (
            "{network: {allowedCIDRs: [10.0.0.1]}}",
            "spec.network.allowedCIDRs: `10.0.0.1` is no network",
        ),
        (
            "{network: {trustedProxies: [x]}}",
            "spec.network.trustedProxies: `x` is no network",
        ),
        ("{image: {tag: x, digest: y}}", "spec.image: give tag or digest"),
        (
            "{runtime: {env: [{name: OLLAMA_HOST, value: x}]}}",
            "spec.runtime.env: the operator owns OLLAMA_HOST",
        ),
        (
            "{autoscaling: {maxReplicas: 2}}",
            "spec.autoscaling: exactly one of",
        ),
        (
            "{autoscaling: {maxReplicas: 2, target: {}}}",
            "spec.autoscaling.target: ",
        ),
        (
            "{autoscaling: {minReplicas: 3, maxReplicas: 2, target: {requestsInFlight: 1}}}",
            "minReplicas can't be more",
        ),
        (
            "{autoscaling: {minReplicas: 0, maxReplicas: 2, target: {requestsInFlight: 1}}}",
            "spec.autoscaling.minReplicas: 0 with keda",
        ),
        ("{disruption: {}}", "spec.disruption: exactly one of"),
        (
            "{storage: {ephemeral: {storageClassName: x}}}",
            "spec.storage.ephemeral: storageClassName needs sizeLimit",
        ),
        (
            "{gpu: {count: 2, resourceName: nvidia.com/mig-1g.10gb}}",
            "spec.gpu.count: 1 with MIG slices",
        ),
        (
            "{gpu: {count: 2, resourceClaims: [{name: gpu, resourceClaimName: x}]}}",
            "spec.gpu: resourceClaims goes without",
        ),
        (
            "{gpu: {resourceClaims: [{name: gpu}]}}",
            "spec.gpu.resourceClaims: gpu needs exactly one of",
        ),
        (
            "{runtime: {maxQueue: 2, env: [{name: OLLAMA_MAX_QUEUE, value: '1'}]}}",
            "spec.runtime.env: OLLAMA_MAX_QUEUE has a field of its own",
        ),
        (
            "{podTemplate: {labels: {app.kubernetes.io/name: other}}}",
            "spec.podTemplate.labels: app.kubernetes.io/name is the operator's",
        ),
        (
            "{podTemplate: {annotations: {corral.dev/nudge: x}}}",
            "spec.podTemplate.annotations: corral.dev/nudge is the operator's",
        ),
        (
            "{podTemplate: {annotations: {kubectl.kubernetes.io/default-container: x}}}",
            "spec.podTemplate.annotations: kubectl.kubernetes.io/default-container is",
        ),
        (
            "{podTemplate: {volumes: [{name: api-keys, emptyDir: {sizeLimit: 1Mi}}]}}",
            "spec.podTemplate.volumes: api-keys is the operator's volume",
        ),
        (
            "{podTemplate: {volumes: [{name: a}]}}",
            "spec.podTemplate.volumes: a needs exactly one of",
        ),
        (
            "{podTemplate: {volumes: [{name: a, secret: {secretName: x-credentials}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        (
            "{podTemplate: {volumes: [{name: a, secret: {secretName: x-digest-key}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        (
            "{network: {tls: {secretName: cert}}, podTemplate: {volumes: [{name: a, secret: {secretName: cert}}]}}",
            "spec.podTemplate.volumes: a is a Secret with this service's credentials",
        ),
        (
            "{podTemplate: {sidecars: [{name: proxy, image: x}]}}",
            "spec.podTemplate.sidecars: proxy is the operator's container",
        ),
        (
            "{podTemplate: {sidecars: [{name: ollama, image: x}]}}",
            "spec.podTemplate.sidecars: ollama is the operator's container",
        ),
        (
            "{podTemplate: {sidecars: [{name: a, image: x, volumeMounts: [{name: api-keys, mountPath: /keys}]}]}}",
            "spec.podTemplate: there is no api-keys in volumes",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: tls, mountPath: /keys}]}}",
            "spec.podTemplate: there is no tls in volumes",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: a, mountPath: /models/a}]}}",
            "spec.podTemplate.ollamaMounts: /models/a lies in or over",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: a, mountPath: /home}]}}",
            "spec.podTemplate.ollamaMounts: /home lies in or over",
        ),
        (
            "{podTemplate: {ollamaMounts: [{name: a, mountPath: /}]}}",
            "spec.podTemplate.ollamaMounts: / lies in or over",
        ),
        (
            "{podTemplate: {terminationGracePeriodSeconds: 30}}",
            "spec.podTemplate.terminationGracePeriodSeconds: 120 at least",
        ),
        ("{gpu: {vendor: other}}", "unknown variant `other`"),
        ("{service: {nodePort: 30000}}", "spec.service: nodePort"),
        (
            "{service: {type: NodePort, loadBalancerClass: x}}",
            "spec.service: loadBalancerClass",
        ),
        ("{network: {ingress: {hosts: []}}}", "spec.network.ingress.hosts"),
        (
            "{access: [{clients: [a], allow: [Read], models: ['a b']}]}",
            "spec.access[0].models[0]: ",
        ),
        (
            "{models: [{name: llama3}, {name: 'LLAMA3:latest'}]}",
            "spec.models[1].name: is the same model as an earlier one",
        ),
    ];
    for (spec, expected) in cases {
        let text = format!(
            "{{metadata: {{name: x}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {spec}}}"
        );
        let error = render(&text, &options("")).unwrap_err().to_string();
        assert!(error.contains(expected), "{spec}: {error}");
    }
    for name in ["1a", "a.b", "a-", "A", &"a".repeat(51)] {
        let text = format!(
            "{{metadata: {{name: \"{name}\"}}, kind: OllamaService, apiVersion: corral.dev/v1alpha1, spec: {{}}}}"
        );
        let error = render(&text, &options("")).unwrap_err().to_string();
        assert!(error.contains("metadata.name: at most 50"), "{name}: {error}");
    }
}
