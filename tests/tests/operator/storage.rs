//! What becomes of the models' volume.

use corral_operator::crd::OllamaService;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};

async fn owners(lab: &Lab, expected: usize) -> PersistentVolumeClaim {
    eventually(&format!("the claim has {expected} owners"), || async {
        let claim = lab.api::<PersistentVolumeClaim>().get("x-models").await;
        let claim = claim.map_err(|error| error.to_string())?;
        if claim.owner_references().len() == expected {
            Ok(claim)
        } else {
            Err(format!("{:?}", claim.owner_references()))
        }
    })
    .await
}

/// Kubernetes deletes what an owner leaves behind; without an owner, nothing does.
#[tokio::test]
async fn a_claim_that_is_to_be_kept_has_no_owner_and_is_taken_over_again() {
    let lab = Lab::new("retain").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"storage": {"size": "1Gi"}})).await;
    let made = owners(&lab, 1).await;
    lab.patch("x", json!({"storage": {"retain": "Retain"}})).await;
    owners(&lab, 0).await;
    lab.patch("x", json!({"storage": {"retain": null}})).await;
    owners(&lab, 1).await;
    lab.patch("x", json!({"storage": {"retain": "Retain"}})).await;
    owners(&lab, 0).await;
    lab.settled().await;

    lab.api::<OllamaService>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    // No garbage collector runs here: what has an owner is deleted by hand.
    lab.create("y", json!({})).await;
    lab.condition("y", "Available", "False", "Starting").await;
    let kept = owners(&lab, 0).await;
    assert_eq!(kept.uid(), made.uid());

    for (kind, path) in [
        ("serviceaccounts", "api/v1"),
        ("configmaps", "api/v1"),
        ("services", "api/v1"),
        ("secrets", "api/v1"),
        ("deployments", "apis/apps/v1"),
        ("networkpolicies", "apis/networking.k8s.io/v1"),
    ] {
        let selector = "labelSelector=app.kubernetes.io%2Finstance%3Dx";
        let path = format!("/{path}/namespaces/{}/{kind}?{selector}", lab.namespace);
        let request = http::Request::delete(path).body(Vec::new()).unwrap();
        lab.client.request::<Value>(request).await.unwrap();
    }
    lab.create("x", json!({"storage": {"size": "1Gi", "retain": "Retain"}}))
        .await;
    lab.condition("x", "Available", "False", "Starting").await;
    assert_eq!(owners(&lab, 0).await.uid(), made.uid(), "the same models");
    lab.patch("x", json!({"storage": {"retain": "Delete"}})).await;
    assert_eq!(owners(&lab, 1).await.uid(), made.uid());
}

/// Its volume may not grow, and yet it is kept: a real garbage collector leaves it be.
#[tokio::test]
async fn a_claim_that_cannot_grow_is_kept_all_the_same() {
    let lab = Lab::with_controllers("ungrown").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"storage": {"size": "1Gi"}})).await;
    owners(&lab, 1).await;
    // A claim that isn't bound can't grow.
    lab.patch("x", json!({"storage": {"size": "2Gi"}})).await;
    lab.condition("x", "Degraded", "True", "VolumeNotGrown").await;
    lab.patch("x", json!({"storage": {"retain": "Retain"}})).await;
    let kept = owners(&lab, 0).await;
    lab.settled().await;
    lab.condition("x", "Degraded", "True", "VolumeNotGrown").await;
    lab.api::<OllamaService>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    eventually("what has an owner goes with it", || async {
        let services = lab.api::<Service>().get_opt("x").await.unwrap();
        services.map_or(Ok(()), |_| Err("it is there".to_owned()))
    })
    .await;
    assert_eq!(owners(&lab, 0).await.uid(), kept.uid());
}

/// Degraded tells of something else first.
#[tokio::test]
async fn a_size_that_cannot_be_had_is_taken_back_whatever_else_is_wrong() {
    let lab = Lab::new("back").await;
    let _operator = lab.operator(&[]).await;
    let auth = json!({"basic": {"secretRef": {"name": "users"}}});
    lab.create("x", json!({"auth": auth, "storage": {"size": "1Gi"}}))
        .await;
    lab.condition("x", "StorageReady", "False", "VolumePending").await;
    lab.patch("x", json!({"storage": {"size": "2Gi"}})).await;
    lab.condition("x", "StorageReady", "False", "VolumeNotGrown")
        .await;
    lab.condition("x", "Degraded", "True", "SecretMissing").await;
    lab.patch("x", json!({"storage": {"size": "1Gi"}})).await;
    lab.condition("x", "StorageReady", "False", "VolumePending").await;
}

/// Merges into what Kubernetes says of the claim.
async fn say(lab: &Lab, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    lab.api::<PersistentVolumeClaim>()
        .patch_status("x-models", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn asks_for(lab: &Lab, size: &str) {
    eventually(&format!("the claim asks for {size}"), || async {
        let claim = lab.api::<PersistentVolumeClaim>().get("x-models").await.unwrap();
        let requests = claim.spec.unwrap().resources.unwrap().requests.unwrap();
        let asked = &requests["storage"].0;
        if asked == size { Ok(()) } else { Err(asked.clone()) }
    })
    .await;
}

/// The class lets it grow, its driver can't: Kubernetes lets a claim ask for less again, as long as that is more than it has.
#[tokio::test]
async fn a_size_that_the_driver_cannot_make_is_taken_back() {
    let lab = Lab::new("driver").await;
    let class = lab.namespace.as_str();
    let object = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "corral.dev/none", "allowVolumeExpansion": true});
    Api::<StorageClass>::all(lab.client.clone())
        .create(&PostParams::default(), &serde_json::from_value(object).unwrap())
        .await
        .unwrap();
    let _operator = lab.operator(&[]).await;
    lab.create(
        "x",
        json!({"storage": {"size": "50Gi", "storageClassName": class}}),
    )
    .await;
    owners(&lab, 1).await;
    say(&lab, json!({"phase": "Bound", "capacity": {"storage": "50Gi"}})).await;
    lab.condition("x", "StorageReady", "True", "VolumeBound").await;

    lab.patch("x", json!({"storage": {"size": "500Gi"}})).await;
    asks_for(&lab, "500Gi").await;
    lab.condition("x", "StorageReady", "False", "VolumeGrowing").await;
    let failed = json!({"type": "ControllerResizeError", "status": "True", "message": "no such disk"});
    say(&lab, json!({"conditions": [failed]})).await;
    let message = lab
        .condition("x", "StorageReady", "False", "VolumeNotGrown")
        .await;
    assert!(message.contains("no such disk"), "{message}");

    lab.patch("x", json!({"storage": {"size": "50Gi"}})).await;
    eventually("it is said why the claim still asks for more", || async {
        let message = lab
            .condition("x", "StorageReady", "False", "VolumeNotGrown")
            .await;
        if message.contains("still asks for 500Gi") {
            Ok(())
        } else {
            Err(message)
        }
    })
    .await;
    asks_for(&lab, "500Gi").await;
    lab.patch("x", json!({"storage": {"size": "60Gi"}})).await;
    asks_for(&lab, "60Gi").await;
}

#[tokio::test]
async fn a_claim_of_somebody_else_is_never_taken_over() {
    let lab = Lab::new("others").await;
    let _operator = lab.operator(&[]).await;
    let theirs = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x-models"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let theirs: PersistentVolumeClaim = lab.apply("x-models", theirs).await;
    lab.create("x", json!({"storage": {"size": "1Gi", "retain": "Retain"}}))
        .await;
    lab.condition("x", "Ready", "False", "NameTaken").await;
    assert_eq!(
        lab.api::<PersistentVolumeClaim>().get("x-models").await.unwrap(),
        theirs
    );
}
