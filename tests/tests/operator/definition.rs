//! What the API server says to a wrong OllamaService.

use kube::api::{Patch, PatchParams, PostParams};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::Lab;

/// A spec that can't be stored.
#[derive(Deserialize)]
struct Refused {
    spec: Value,
    /// What the API server must say of it.
    says: String,
}

#[tokio::test]
async fn a_wrong_spec_is_refused_with_words_that_help() {
    let lab = Lab::new("definition").await;
    let cases: Vec<Refused> = serde_yaml::from_str(include_str!("definition/refused.yaml")).unwrap();
    assert!(!cases.is_empty());
    for Refused { spec, says } in cases {
        let words = refusal(&lab, "x", &spec).await;
        assert!(words.contains(&says), "{spec}: {words}");
    }
}

/// What lies beside what is refused.
#[tokio::test]
async fn a_right_spec_is_taken() {
    let lab = Lab::new("taken").await;
    let specs: Vec<Value> = serde_yaml::from_str(include_str!("definition/taken.yaml")).unwrap();
    assert!(!specs.is_empty());
    for (index, spec) in specs.into_iter().enumerate() {
        lab.create(&format!("x{index}"), spec).await;
    }
}

/// What would open a way round the proxy has no field: the API server drops it.
#[tokio::test]
async fn what_would_open_a_way_round_the_proxy_can_not_be_said() {
    let lab = Lab::new("round").await;
    let sidecar = |extra: Value| {
        let mut sidecar = json!({"name": "a", "image": "x"});
        sidecar
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"sidecars": [sidecar]})
    };
    let cases = [
        ("the node's network", json!({"hostNetwork": true})),
        ("the node's processes", json!({"hostPID": true})),
        ("the Pod's processes", json!({"shareProcessNamespace": true})),
        (
            "the proxy's container",
            json!({"containers": [{"name": "proxy", "command": ["x"]}]}),
        ),
        ("a service account", json!({"serviceAccountName": "other"})),
        ("a token", json!({"automountServiceAccountToken": true})),
        ("a security context", json!({"securityContext": {"runAsUser": 0}})),
        (
            "a node's path",
            json!({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1Mi"}, "hostPath": {"path": "/"}}]}),
        ),
        (
            "a port",
            sidecar(json!({"ports": [{"containerPort": 11434, "hostPort": 11434}]})),
        ),
        (
            "a container's security context",
            sidecar(json!({"securityContext": {"privileged": true}})),
        ),
        (
            "a Secret's entry",
            sidecar(json!({"envFrom": [{"secretRef": {"name": "x-credentials"}}]})),
        ),
    ];
    for (index, (name, template)) in cases.into_iter().enumerate() {
        let service = object(&format!("x{index}"), &json!({"podTemplate": template}));
        let path = format!(
            "/apis/corral.dev/v1alpha1/namespaces/{}/ollamaservices?fieldValidation=Strict",
            lab.namespace
        );
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(service.to_string().into_bytes()).unwrap();
        let outcome = lab.client.request::<Value>(request).await;
        let words = outcome.map_or_else(|error| error.to_string(), |_| "accepted".to_owned());
        assert!(words.contains("unknown field"), "{name}: {words}");
    }
}

#[tokio::test]
async fn a_name_that_no_service_can_have_is_refused() {
    let lab = Lab::new("names").await;
    for (name, expected) in [
        ("1st", "must begin with a lower-case letter"),
        ("a.b", "must begin with a lower-case letter"),
        (&*"a".repeat(51), "at most 50 characters"),
    ] {
        let words = refusal(&lab, name, &json!({})).await;
        assert!(words.contains(expected), "{name}: {words}");
    }
    lab.create(&"a".repeat(50), json!({})).await;
}

#[tokio::test]
async fn a_volume_neither_shrinks_nor_changes_its_kind() {
    let lab = Lab::new("volumes").await;
    lab.create(
        "x",
        json!({"storage": {"size": "2Gi", "storageClassName": "a", "accessModes": ["ReadWriteOnce"]}}),
    )
    .await;
    let cases = [
        (json!({"size": "1Gi"}), Some("may grow, not shrink")),
        (
            json!({"storageClassName": "b"}),
            Some("storageClassName can't change"),
        ),
        (
            json!({"storageClassName": null}),
            Some("storageClassName can't change"),
        ),
        (
            json!({"accessModes": ["ReadWriteMany"]}),
            Some("accessModes can't change"),
        ),
        (json!({"size": "2048Mi"}), None),
        (json!({"size": "3Gi"}), None),
        (
            json!({"existingClaim": "x-models", "size": null, "storageClassName": null, "accessModes": null}),
            Some("can't be NAME-models"),
        ),
    ];
    for (storage, expected) in cases {
        let patch = Patch::Merge(json!({"spec": {"storage": storage}}));
        let services = lab.api::<corral_operator::crd::OllamaService>();
        let outcome = services
            .patch("x", &PatchParams::default(), &patch)
            .await
            .map_err(|error| error.to_string());
        match expected {
            Some(expected) => assert!(
                outcome.clone().is_err_and(|words| words.contains(expected)),
                "{storage}: {outcome:?}"
            ),
            None => assert!(outcome.is_ok(), "{storage}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn an_unknown_field_is_refused_where_asked_and_else_warned_of() {
    let lab = Lab::new("unknown").await;
    let service = object("x", &json!({"modles": []}));
    let path = format!(
        "/apis/corral.dev/v1alpha1/namespaces/{}/ollamaservices?fieldValidation=Strict",
        lab.namespace
    );
    let request = http::Request::post(path).header("content-type", "application/json");
    let outcome = lab
        .client
        .request::<Value>(request.body(service.to_string().into_bytes()).unwrap())
        .await;
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("unknown field \"spec.modles\"")
    );
    let kubectl = corral_tests::cluster::Kubectl::new(Some(lab.cluster.kubeconfig())).unwrap();
    let mut apply = kubectl.command(&["create", "--validate=warn", "-n", &lab.namespace, "-f", "-"]);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), service.to_string()).unwrap();
    let output = apply
        .stdin(std::fs::File::open(file.path()).unwrap())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && words.contains("unknown field \"spec.modles\""),
        "{words}"
    );
}

fn object(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "metadata": {"name": name}, "spec": spec})
}

async fn refusal(lab: &Lab, name: &str, spec: &Value) -> String {
    use kube::api::{Api, ApiResource, DynamicObject};
    let resource = ApiResource::erase::<corral_operator::crd::OllamaService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(lab.client.clone(), &lab.namespace, &resource);
    let object: DynamicObject = serde_json::from_value(object(name, spec)).unwrap();
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => panic!("{name} {spec} was accepted"),
        Err(error) => error.to_string(),
    }
}
