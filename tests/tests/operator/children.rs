//! What an OllamaService has, keeps, and never takes from others.

use corral_operator::crd::OllamaService;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::lab::{Lab, eventually};

fn full() -> serde_json::Value {
    json!({
        "replicas": 2,
        "gpu": {"count": 1},
        "resources": {"requests": {"cpu": "1500m", "memory": "1024Mi"}},
        "models": [{"name": "gemma3:270m"}],
        "storage": {"size": "1024Mi"},
        "runtime": {"env": [{"name": "OLLAMA_FLASH_ATTENTION", "value": ""}]},
        "service": {"type": "LoadBalancer", "annotations": {"a": "b"}, "loadBalancerSourceRanges": ["10.0.0.0/8"]},
        "network": {"ingress": {"hosts": ["ollama.example"], "tlsSecretName": "certificate"}},
    })
}

#[tokio::test]
async fn all_children_come_and_then_nothing_is_written() {
    let lab = Lab::new("children").await;
    let mut operator = lab.operator(&[]).await;
    lab.create("full", full()).await;
    lab.create("smallest", json!({})).await;
    lab.condition("full", "Available", "False", "Starting").await;
    lab.condition("smallest", "Available", "False", "Starting").await;
    let settled = lab.settled().await;
    let names: Vec<_> = settled
        .iter()
        .map(|version| version.rsplit_once(' ').unwrap().0.replace('"', ""))
        .collect();
    let expected = [
        "ConfigMap full",
        "ConfigMap smallest",
        "Deployment full",
        "Deployment smallest",
        "Ingress full",
        "NetworkPolicy full",
        "NetworkPolicy smallest",
        "OllamaService full",
        "OllamaService smallest",
        "PersistentVolumeClaim full-models",
        "PodDisruptionBudget full",
        "Secret full-credentials",
        "Secret full-digest-key",
        "Secret smallest-credentials",
        "Secret smallest-digest-key",
        "Service full",
        "Service smallest",
        "ServiceAccount full",
        "ServiceAccount smallest",
    ];
    assert_eq!(names, expected);

    let mark = lab.cluster.audit().mark().unwrap();
    let _ = operator.kill().await;
    let _operator = lab.operator(&[]).await;
    // Long enough for the new one to look at everything.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(lab.versions().await, settled);
    let writes = lab.cluster.audit().writes_since(mark).unwrap();
    let ours: Vec<_> = writes
        .iter()
        .filter(|write| write.namespace == lab.namespace)
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[tokio::test]
async fn what_is_deleted_or_edited_comes_back() {
    let lab = Lab::new("drift").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"replicas": 2})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    lab.settled().await;

    lab.api::<Service>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the Service comes back", || async {
        lab.api::<Service>()
            .get("x")
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await;

    let edits = [
        ("replicas", json!({"spec": {"replicas": 5}})),
        (
            "an image",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "proxy", "image": "other"}]}}}}),
        ),
        (
            "a label",
            json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}),
        ),
        (
            "another label",
            json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "other"}}}),
        ),
    ];
    let before = lab.api::<Deployment>().get("x").await.unwrap();
    for (name, edit) in edits {
        lab.api::<Deployment>()
            .patch("x", &PatchParams::default(), &Patch::Strategic(edit))
            .await
            .unwrap();
        eventually(&format!("{name} is set right"), || async {
            let now = lab.api::<Deployment>().get("x").await.unwrap();
            let right = now.spec == before.spec && now.labels() == before.labels();
            if right {
                Ok(())
            } else {
                Err(format!("{:?}", now.labels()))
            }
        })
        .await;
    }

    let edit = json!({"data": {"proxy.yaml": "listen: 0.0.0.0:1"}});
    let before = lab.api::<ConfigMap>().get("x").await.unwrap();
    lab.api::<ConfigMap>()
        .patch("x", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    eventually("the configuration is set right", || async {
        let now = lab.api::<ConfigMap>().get("x").await.unwrap();
        if now.data == before.data {
            Ok(())
        } else {
            Err(format!("{:?}", now.data))
        }
    })
    .await;
}

#[tokio::test]
async fn an_edited_spec_reaches_the_children() {
    let lab = Lab::new("edits").await;
    let _operator = lab.operator(&[]).await;
    lab.create(
        "x",
        json!({"nodeSelector": {"a": "b"}, "storage": {"size": "1Gi"}}),
    )
    .await;
    lab.condition("x", "Available", "False", "Starting").await;
    let patch =
        json!({"spec": {"replicas": 3, "nodeSelector": {"a": null, "c": "d"}, "storage": {"size": "2Gi"}}});
    let services = lab.api::<OllamaService>();
    services
        .patch("x", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    eventually("the Deployment follows, a field that is gone as well", || async {
        let deployment = lab.api::<Deployment>().get("x").await.unwrap().spec.unwrap();
        let selector = deployment.template.spec.unwrap().node_selector.unwrap();
        let right = deployment.replicas == Some(3) && selector == [("c".to_owned(), "d".to_owned())].into();
        if right {
            Ok(())
        } else {
            Err(format!("{selector:?}"))
        }
    })
    .await;
    let message = lab.condition("x", "Degraded", "True", "VolumeNotGrown").await;
    assert!(
        message.contains("PersistentVolumeClaim x-models"),
        "an unbound claim can't grow: {message}"
    );
    lab.patch("x", json!({"storage": {"size": "1Gi"}})).await;
    eventually("the size is taken back", || async {
        let conditions = lab.status("x").await.conditions;
        match conditions.iter().find(|one| one.reason == "VolumeNotGrown") {
            None => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_others_is_left_alone() {
    let lab = Lab::new("taken").await;
    let _operator = lab.operator(&[]).await;
    let theirs = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "theirs"}}});
    let theirs: Service = lab.apply("x", theirs).await;
    lab.create("x", json!({})).await;
    let message = lab.condition("x", "Ready", "False", "NameTaken").await;
    assert!(
        message.contains("Service x is there and is not this OllamaService's"),
        "{message}"
    );
    assert_eq!(lab.api::<Service>().get("x").await.unwrap(), theirs);
    assert!(
        lab.api::<Deployment>().get_opt("x").await.unwrap().is_none(),
        "nothing else is made either"
    );

    lab.api::<Service>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    lab.condition("x", "Available", "False", "Starting").await;
}

#[tokio::test]
async fn a_secret_of_the_same_name_is_not_taken_for_a_generated_one() {
    let lab = Lab::new("secrets").await;
    let _operator = lab.operator(&[]).await;
    let theirs = lab.secret("x-credentials", json!({"a": "their-own-key"})).await;
    lab.create("x", json!({})).await;
    let message = lab.condition("x", "Ready", "False", "NameTaken").await;
    assert!(
        message.contains("name it in spec.auth.apiKeys.secretRef"),
        "{message}"
    );
    assert_eq!(lab.api::<Secret>().get("x-credentials").await.unwrap(), theirs);
}

#[tokio::test]
async fn generated_credentials_are_made_once() {
    let lab = Lab::new("generated").await;
    let mut operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let content = async |name: &str| lab.api::<Secret>().get(name).await.unwrap().data.unwrap();
    let credentials = content("x-credentials").await;
    let key = String::from_utf8(credentials["default"].0.clone()).unwrap();
    assert!(
        key.starts_with("corral_") && key.len() == 50,
        "the shape of a key"
    );
    let digest_key = content("x-digest-key").await;
    assert_eq!(digest_key["key"].0.len(), 64);

    let edit = json!({"stringData": {"second": "a-key-of-my-own"}});
    lab.api::<Secret>()
        .patch("x-credentials", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    let _ = operator.kill().await;
    let _operator = lab.operator(&[]).await;
    eventually("the second client counts", || async {
        let clients = lab.status("x").await.credentials.unwrap_or_default().clients;
        if clients == 2 {
            Ok(())
        } else {
            Err(clients.to_string())
        }
    })
    .await;
    assert_eq!(content("x-credentials").await["default"], credentials["default"]);
    assert_eq!(content("x-digest-key").await, digest_key);
}

#[tokio::test]
async fn a_digest_key_that_is_none_is_said_and_not_overwritten() {
    let lab = Lab::new("digest-key").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let secrets = lab.api::<Secret>();
    let edit = json!({"stringData": {"key": "too-short"}});
    let edited = secrets
        .patch("x-digest-key", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    let message = lab
        .condition("x", "CredentialsSynced", "False", "SecretInvalid")
        .await;
    for words in ["Secret x-digest-key", "`key`", "16 bytes", "delete the Secret"] {
        assert!(message.contains(words), "{message}");
    }
    lab.settled().await;
    assert_eq!(secrets.get("x-digest-key").await.unwrap(), edited);
    secrets
        .delete("x-digest-key", &DeleteParams::default())
        .await
        .unwrap();
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let content = secrets.get("x-digest-key").await.unwrap().data.unwrap();
    assert_eq!(content["key"].0.len(), 64);
}

#[tokio::test]
async fn without_privileges_on_secrets_none_is_touched() {
    let lab = Lab::new("minimal").await;
    let mark = lab.cluster.audit().mark().unwrap();
    let _operator = lab.operator(&["--secrets=none"]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "Unverified")
        .await;
    lab.settled().await;
    let writes = lab.cluster.audit().writes_since(mark).unwrap();
    let secrets: Vec<_> = writes
        .iter()
        .filter(|one| one.namespace == lab.namespace && one.resource == "secrets")
        .collect();
    assert!(secrets.is_empty(), "{secrets:?}");
    let pod = lab
        .api::<Deployment>()
        .get("x")
        .await
        .unwrap()
        .spec
        .unwrap()
        .template
        .spec
        .unwrap();
    assert!(
        !pod.volumes
            .unwrap()
            .iter()
            .any(|volume| volume.name == "digest-key")
    );
}

#[tokio::test]
async fn a_claim_that_somebody_made_larger_stays_so() {
    let lab = Lab::new("claims").await;
    let _operator = lab.operator(&[]).await;
    let class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"},
        "provisioner": "test", "allowVolumeExpansion": true});
    let class: StorageClass = serde_json::from_value(class).unwrap();
    Api::all(lab.client.clone())
        .create(&PostParams::default(), &class)
        .await
        .unwrap();
    lab.create(
        "x",
        json!({"storage": {"size": "1Gi", "storageClassName": "grows"}}),
    )
    .await;
    lab.condition("x", "Available", "False", "Starting").await;
    let claims = lab.api::<PersistentVolumeClaim>();
    let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}});
    claims
        .patch_status("x-models", &PatchParams::default(), &Patch::Merge(bound))
        .await
        .unwrap();
    let larger = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims
        .patch("x-models", &PatchParams::default(), &Patch::Merge(larger))
        .await
        .unwrap();
    lab.settled().await;
    let size = async || {
        claims
            .get("x-models")
            .await
            .unwrap()
            .spec
            .unwrap()
            .resources
            .unwrap()
            .requests
            .unwrap()
    };
    assert_eq!(size().await["storage"].0, "3Gi");
    lab.condition("x", "Degraded", "False", "AsExpected").await;

    let patch = json!({"spec": {"storage": {"size": "4Gi"}}});
    lab.api::<OllamaService>()
        .patch("x", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    eventually("the claim grows", || async {
        let size = size().await["storage"].0.clone();
        if size == "4Gi" { Ok(()) } else { Err(size) }
    })
    .await;
}
