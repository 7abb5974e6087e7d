//! A rotation is said to be done when it is done on every replica, and not before.

use std::time::{Duration, Instant};

use corral_operator::crd::OllamaService;
use corral_proxy::status::{ModelState, ModelStatus};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;

use crate::lab::{Lab, eventually};
use crate::replica::{Replica, ready_pods};

async fn in_force(lab: &Lab, service: &str, secret: &str) -> Option<String> {
    let secrets = lab.status(service).await.credentials.unwrap_or_default().secrets;
    secrets
        .into_iter()
        .find(|one| one.name == secret)
        .map(|one| one.resource_version)
}

#[tokio::test]
async fn a_version_is_in_force_when_every_replica_has_it() {
    let lab = Lab::new("rotation").await;
    let _operator = lab.operator(&[]).await;
    let first = lab
        .secret("keys", json!({"alice": "first-long-enough-key"}))
        .await
        .resource_version()
        .unwrap();
    lab.create(
        "x",
        json!({"replicas": 2, "auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}),
    )
    .await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    assert_eq!(in_force(&lab, "x", "keys").await, None, "no replica has it yet");

    let (one, two) = (
        Replica::start(&lab, "x", 1).await,
        Replica::start(&lab, "x", 2).await,
    );
    ready_pods(&lab, "x", 2).await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    lab.condition("x", "Ready", "True", "Ready").await;
    assert_eq!(in_force(&lab, "x", "keys").await, Some(first.clone()));
    let told = (one.nudge().await, two.nudge().await);
    let deployment = lab.api::<Deployment>().get("x").await.unwrap();

    let second = lab
        .secret("keys", json!({"alice": "second-long-enough-key"}))
        .await
        .resource_version()
        .unwrap();
    one.nudged_since(told.0.as_deref()).await;
    two.nudged_since(told.1.as_deref()).await;
    let message = lab.condition("x", "CredentialsSynced", "False", "Rotating").await;
    assert!(message.contains("0 of 2 replicas"), "{message}");
    one.mount().await;
    eventually("one replica has it", || async {
        let synced = lab.status("x").await.credentials.unwrap().synced_replicas;
        if synced == 1 {
            Ok(())
        } else {
            Err(synced.to_string())
        }
    })
    .await;
    assert_eq!(
        in_force(&lab, "x", "keys").await,
        Some(first),
        "one replica is not every replica"
    );
    lab.condition("x", "Ready", "True", "Ready").await;
    two.mount().await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    assert_eq!(in_force(&lab, "x", "keys").await, Some(second));
    let now = lab.api::<Deployment>().get("x").await.unwrap();
    assert_eq!(
        now.metadata.generation, deployment.metadata.generation,
        "the Pods' template is untouched"
    );
}

#[tokio::test]
async fn a_replica_that_comes_with_something_older_takes_the_word_back() {
    let lab = Lab::new("older").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"replicas": 2})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let one = Replica::start(&lab, "x", 1).await;
    let two = Replica::start(&lab, "x", 2).await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    let told = one.nudge().await;
    let edit = json!({"stringData": {"other": "another-long-enough-key"}});
    lab.api::<Secret>()
        .patch("x-credentials", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    one.nudged_since(told.as_deref()).await;
    lab.condition("x", "CredentialsSynced", "False", "Rotating").await;
    lab.api::<k8s_openapi::api::core::v1::Pod>()
        .delete(&two.pod, &DeleteParams::default().grace_period(0))
        .await
        .unwrap();
    one.mount().await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    assert!(in_force(&lab, "x", "x-credentials").await.is_some());
    let deaf = {
        let late = Replica::start(&lab, "x", 3).await;
        lab.condition("x", "CredentialsSynced", "True", "InForce").await;
        late
    };
    let edit = json!({"stringData": {"third": "yet-another-long-enough-key"}});
    lab.api::<Secret>()
        .patch("x-credentials", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    let message = lab.condition("x", "CredentialsSynced", "False", "Rotating").await;
    assert!(
        message.contains("has not the newest Secret x-credentials yet"),
        "{message}"
    );
    one.mount().await;
    let told = deaf.nudge().await;
    deaf.nudged_since(told.as_deref()).await;
    deaf.mount().await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
}

/// What is tried again and again is no reason to look more rarely at what goes on.
#[tokio::test]
async fn a_rotation_is_proven_while_something_is_refused() {
    let lab = Lab::new("refused").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"storage": {"size": "1Gi"}})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let one = Replica::start(&lab, "x", 1).await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    // A claim that isn't bound can't grow.
    lab.patch("x", json!({"storage": {"size": "2Gi"}})).await;
    lab.condition("x", "Degraded", "True", "VolumeNotGrown").await;
    for event in 0..12 {
        let label = json!({"metadata": {"labels": {"event": event.to_string()}}});
        lab.api::<OllamaService>()
            .patch("x", &PatchParams::default(), &Patch::Merge(label))
            .await
            .unwrap();
        // Until it has been looked at.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let told = one.nudge().await;
    let edit = json!({"stringData": {"other": "another-long-enough-key"}});
    let secret = lab
        .api::<Secret>()
        .patch("x-credentials", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    one.nudged_since(told.as_deref()).await;
    lab.condition("x", "CredentialsSynced", "False", "Rotating").await;
    // Until nothing happens any more by which it would be looked at.
    lab.settled().await;
    one.mount().await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    assert_eq!(
        in_force(&lab, "x", "x-credentials").await,
        secret.resource_version()
    );
    lab.condition("x", "Degraded", "True", "VolumeNotGrown").await;
}

#[tokio::test]
async fn a_deleted_secret_is_in_force_too() {
    let lab = Lab::new("deleted").await;
    let _operator = lab.operator(&[]).await;
    lab.secret("keys", json!({"alice": "first-long-enough-key"}))
        .await;
    lab.create("x", json!({"auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}))
        .await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let one = Replica::start(&lab, "x", 1).await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    let told = one.nudge().await;
    lab.api::<Secret>()
        .delete("keys", &DeleteParams::default())
        .await
        .unwrap();
    one.nudged_since(told.as_deref()).await;
    lab.condition("x", "Ready", "False", "SecretMissing").await;
    one.mount().await;
    eventually("the replica has nothing, as it should", || async {
        let credentials = lab.status("x").await.credentials.unwrap();
        let right =
            credentials.synced_replicas == 1 && credentials.secrets.is_empty() && credentials.clients == 0;
        if right {
            Ok(())
        } else {
            Err(format!("{credentials:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn rules_and_models_reach_the_replicas_the_same_way() {
    let lab = Lab::new("rules").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let one = Replica::start(&lab, "x", 1).await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    let told = one.nudge().await;
    let deployment = lab.api::<Deployment>().get("x").await.unwrap();
    let patch = json!({"spec": {"models": [{"name": "a"}, {"name": "b"}], "access": [{"clients": ["*"], "allow": ["Read"]}]}});
    lab.api::<OllamaService>()
        .patch("x", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    one.nudged_since(told.as_deref()).await;
    let message = lab.condition("x", "CredentialsSynced", "False", "Rotating").await;
    assert!(
        message.contains("has not the newest configuration yet"),
        "{message}"
    );
    one.mount().await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    assert_eq!(
        lab.api::<Deployment>()
            .get("x")
            .await
            .unwrap()
            .metadata
            .generation,
        deployment.metadata.generation
    );

    let model = |name: &str, state, progress, message: Option<&str>| ModelStatus {
        name: name.to_owned(),
        state,
        progress,
        completed: None,
        total: None,
        digest: None,
        size: None,
        message: message.map(str::to_owned),
        displaced: 0,
    };
    one.models(vec![
        model("a", ModelState::Ready, None, None),
        model("b", ModelState::Pulling, Some(42), None),
    ]);
    eventually("progress shows", || async {
        let status = lab.status("x").await;
        let right = status.ready_models.as_deref() == Some("1/2") && status.models[1].progress == Some(42);
        if right {
            Ok(())
        } else {
            Err(format!("{:?}", status.models))
        }
    })
    .await;
    one.models(vec![
        model("a", ModelState::Ready, None, None),
        model("b", ModelState::Failed, None, Some("file does not exist")),
    ]);
    let message = lab.condition("x", "Degraded", "True", "PullFailed").await;
    assert!(
        message.contains("Model b: Ollama says: file does not exist"),
        "{message}"
    );
}

#[tokio::test]
async fn a_rotation_is_proven_fast() {
    const EDITS: u32 = 20;
    let lab = Lab::new("latency").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"replicas": 2})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let replicas = [
        Replica::start(&lab, "x", 1).await,
        Replica::start(&lab, "x", 2).await,
    ];
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    let mut nudges = Vec::new();
    let mut proofs = Vec::new();
    for edit in 0..EDITS {
        let told = replicas[0].nudge().await;
        let patch = json!({"stringData": {"other": format!("a-long-enough-key-{edit}")}});
        let start = Instant::now();
        let secret = lab
            .api::<Secret>()
            .patch("x-credentials", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        replicas[0].nudged_since(told.as_deref()).await;
        nudges.push(start.elapsed());
        replicas[0].mount().await;
        replicas[1].mount().await;
        let mounted = Instant::now();
        eventually("the rotation is proven", || async {
            let version = in_force(&lab, "x", "x-credentials").await;
            if version == secret.resource_version() {
                Ok(())
            } else {
                Err(format!("{version:?}"))
            }
        })
        .await;
        proofs.push(mounted.elapsed());
    }
    nudges.sort();
    proofs.sort();
    let median = |times: &[Duration]| times[times.len() / 2];
    println!(
        "{EDITS} edits: nudged within {:?} (median), {:?} (worst); proven after the mount within {:?} (median), {:?} (worst)",
        median(&nudges),
        nudges[nudges.len() - 1],
        median(&proofs),
        proofs[proofs.len() - 1]
    );
    assert!(median(&nudges) + median(&proofs) < Duration::from_millis(700));
}
