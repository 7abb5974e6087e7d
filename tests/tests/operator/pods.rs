//! What a person reads when Pods don't come to run.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::lab::{Lab, eventually};
use crate::replica::ready_pods;

/// A Pod of the service `x`, as its Deployment would make it.
async fn make_pod(lab: &Lab, name: &str) {
    let deployment = lab.api::<Deployment>().get("x").await.unwrap();
    let labels = deployment.spec.unwrap().template.metadata.unwrap().labels;
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "proxy", "image": "proxy"}]}});
    let _: Pod = lab.apply(name, pod).await;
}

#[tokio::test]
async fn why_pods_do_not_run_is_said() {
    let lab = Lab::new("pods").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"gpu": {"count": 1}})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    make_pod(&lab, "x-1").await;
    let words = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.";
    let waiting = |container: &str, reason: &str| {
        json!({"containerStatuses": [{"name": container, "image": "proxy", "imageID": "",
        "ready": false, "restartCount": 3, "state": {"waiting": {"reason": reason, "message": "its words"}}}]})
    };
    let cases = [
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": words,
                "lastTransitionTime": "2026-01-02T03:04:05Z"}]}),
            "Unschedulable",
            "1 Insufficient nvidia.com/gpu. Free what is short",
        ),
        (
            json!({"conditions": [{"type": "PodReadyToStartContainers", "status": "False", "reason": "PodSandboxNotReady",
                "lastTransitionTime": "2026-01-02T03:04:05Z"}]}),
            "PodStuck",
            "Pod x-1 has a node and has waited since 2026-01-02T03:04:05Z",
        ),
        (
            waiting("proxy", "ImagePullBackOff"),
            "ImagePullFailed",
            "the image proxy can't be pulled: its words",
        ),
        (
            waiting("proxy", "CrashLoopBackOff"),
            "ContainerFailing",
            "kubectl logs x-1 -c proxy --previous",
        ),
        (
            waiting("proxy", "CreateContainerConfigError"),
            "ContainerFailing",
            "its words",
        ),
    ];
    for (status, reason, expected) in cases {
        let status = json!({"status": status});
        let pods = lab.api::<Pod>();
        pods.patch_status("x-1", &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
        let message = lab.condition("x", "Available", "False", reason).await;
        assert!(message.contains(expected), "{message}");
        let nothing = json!({"status": {"conditions": null, "containerStatuses": null}});
        pods.patch_status("x-1", &PatchParams::default(), &Patch::Merge(nothing))
            .await
            .unwrap();
        eventually("the Pod is well again", || async {
            let reason = lab.status("x").await.conditions[1].reason.clone();
            if reason == "Starting" { Ok(()) } else { Err(reason) }
        })
        .await;
    }
}

/// Nothing happens when it is over, so the operator has to look by itself.
#[tokio::test]
async fn a_pod_that_waits_is_spoken_of_when_it_has_waited_too_long() {
    let lab = Lab::new("stuck").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    make_pod(&lab, "x-1").await;
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(110);
    let waits = json!({"status": {"conditions": [{"type": "PodReadyToStartContainers", "status": "False",
        "reason": "PodSandboxNotReady", "lastTransitionTime": since}]}});
    lab.api::<Pod>()
        .patch_status("x-1", &PatchParams::default(), &Patch::Merge(waits))
        .await
        .unwrap();
    let message = lab.condition("x", "Degraded", "True", "PodStuck").await;
    assert!(message.contains("kubectl describe pod x-1"), "{message}");
    assert_eq!(lab.event("PodStuck").await, ("Warning".to_owned(), message));
}

/// What a kubelet says that evicts a Pod (a fake of it: there is none in the cluster).
#[tokio::test]
async fn an_evicted_pod_is_spoken_of_until_another_is_ready() {
    let lab = Lab::new("evicted").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"storage": {"ephemeral": {"sizeLimit": "1Gi"}}}))
        .await;
    lab.condition("x", "Available", "False", "Starting").await;
    make_pod(&lab, "x-1").await;
    let words = "Usage of EmptyDir volume \"models\" exceeds the limit \"1Gi\". ";
    let evicted = json!({"status": {"phase": "Failed", "reason": "Evicted", "message": words, "conditions": [
        {"type": "Ready", "status": "False", "lastTransitionTime": jiff::Timestamp::now()}]}});
    let pods = lab.api::<Pod>();
    pods.patch_status("x-1", &PatchParams::default(), &Patch::Merge(evicted))
        .await
        .unwrap();
    let message = lab.condition("x", "Available", "False", "Evicted").await;
    assert!(
        message.contains("Pod x-1 was evicted") && message.contains("exceeds the limit \"1Gi\". It may"),
        "{message}"
    );
    assert_eq!(lab.condition("x", "Degraded", "True", "Evicted").await, message);
    assert_eq!(lab.event("Evicted").await, ("Warning".to_owned(), message));

    ready_pods(&lab, "x", 1).await;
    lab.condition("x", "Available", "True", "ReplicasReady").await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    assert!(pods.get_opt("x-1").await.unwrap().is_some(), "its record stays");

    lab.patch("x", json!({"suspend": true})).await;
    eventually("what is newest is in force where nothing runs", || async {
        let credentials = lab.status("x").await.credentials.unwrap_or_default();
        let is_named = credentials
            .secrets
            .iter()
            .any(|secret| secret.name == "x-credentials");
        is_named.then_some(()).ok_or_else(|| format!("{credentials:?}"))
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_the_cluster_refuses_is_spoken_of() {
    let lab = Lab::with_controllers("refused").await;
    let _operator = lab.operator(&[]).await;
    lab.create("class", json!({"runtimeClassName": "nowhere"})).await;
    let message = lab.condition("class", "Degraded", "True", "PodRefused").await;
    assert!(
        message.contains("RuntimeClass \"nowhere\" not found"),
        "{message}"
    );

    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}}});
    let _: ResourceQuota = lab.apply("none", quota).await;
    eventually("the quota counts", || async {
        let quota = lab.api::<ResourceQuota>().get("none").await.unwrap();
        let counted = quota.status.and_then(|status| status.used);
        counted.map(drop).ok_or_else(|| "not yet".to_owned())
    })
    .await;
    lab.create("quota", json!({})).await;
    let message = lab.condition("quota", "Degraded", "True", "PodRefused").await;
    assert!(message.contains("exceeded quota: none"), "{message}");
    assert_eq!(
        lab.condition("quota", "Ready", "False", "PodRefused").await,
        message
    );
    let (type_, _) = lab.event("PodRefused").await;
    assert_eq!(type_, "Warning");
}
