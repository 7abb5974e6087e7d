//! What the conditions say of the number of replicas and of who decides on it.

use super::*;

fn deployment(replicas: i32) -> (Kind, Value) {
    (Kind::Deployment, json!({"spec": {"replicas": replicas}}))
}

fn autoscaler(kind: Kind, condition: &str, reason: &str) -> (Kind, Value) {
    let conditions = [json!({"type": condition, "status": "False", "reason": reason, "message": "words"})];
    (kind, json!({"status": {"conditions": conditions}}))
}

#[test]
fn replicas_are_those_that_somebody_wants() {
    let target = json!({"autoscaling": {"maxReplicas": 4, "target": {"requestsInFlight": 2}}});
    let keda = json!({"autoscaling": {"minReplicas": 0, "maxReplicas": 4,
        "keda": {"triggers": [{"type": "cron", "metadata": {}}]}}});
    let never_by_hand =
        json!({"replicas": 0, "autoscaling": {"maxReplicas": 4, "target": {"requestsInFlight": 2}}});
    let suspended = json!({"suspend": true, "replicas": 2, "models": [{"name": "m"}]});
    let blind = |kind, condition, reason| vec![deployment(1), autoscaler(kind, condition, reason)];
    let none = |spec: &Value, children| Case {
        spec: spec.clone(),
        ready: 0,
        replicas: vec![],
        children,
        ..Case::default()
    };
    let one = |spec: &Value, children| Case {
        spec: spec.clone(),
        children,
        ..Case::default()
    };
    let well = "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
                Degraded=False/AsExpected";
    let blind_says = "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce \
                      ModelsReady=True/NoneAsked Degraded=True/AutoscalerBlind";
    check([
        (
            "suspended",
            none(&suspended, vec![]),
            "Ready=False/Suspended Available=False/Suspended CredentialsSynced=True/InForce \
             ModelsReady=False/Suspended Degraded=False/AsExpected",
        ),
        (
            "the autoscaler wants one",
            one(&target, vec![deployment(1)]),
            well,
        ),
        (
            "the autoscaler wants another",
            one(&target, vec![deployment(2)]),
            "Ready=False/SomeReplicasReady Available=True/SomeReplicasReady CredentialsSynced=True/InForce \
             ModelsReady=True/NoneAsked Degraded=False/AsExpected",
        ),
        (
            "KEDA wants none",
            none(&keda, vec![deployment(0)]),
            "Ready=False/ScaledToZero Available=False/ScaledToZero CredentialsSynced=True/InForce \
             ModelsReady=True/NoneAsked Degraded=False/AsExpected",
        ),
        (
            "spec.replicas is 0, and the autoscaler wants some",
            none(&never_by_hand, vec![deployment(1)]),
            "Ready=False/Starting Available=False/Starting CredentialsSynced=Unknown/NoReplicas ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "the metrics can't be read",
            one(
                &target,
                blind(
                    Kind::HorizontalPodAutoscaler,
                    "ScalingActive",
                    "FailedGetPodsMetric",
                ),
            ),
            blind_says,
        ),
        (
            "it was scaled to zero by hand, and is again at one",
            one(
                &target,
                blind(Kind::HorizontalPodAutoscaler, "ScalingActive", "ScalingDisabled"),
            ),
            well,
        ),
        (
            "KEDA can't read its triggers",
            one(
                &keda,
                blind(Kind::ScaledObject, "Ready", "ScaledObjectCheckFailed"),
            ),
            blind_says,
        ),
        (
            "there are no metrics before there are Pods",
            none(
                &target,
                blind(
                    Kind::HorizontalPodAutoscaler,
                    "ScalingActive",
                    "FailedGetPodsMetric",
                ),
            ),
            "Ready=False/Starting Available=False/Starting CredentialsSynced=Unknown/NoReplicas ModelsReady=True/NoneAsked \
             Degraded=False/AsExpected",
        ),
        (
            "the cluster has no KEDA",
            Case {
                unserved: &[Kind::ScaledObject],
                ..one(&keda, vec![deployment(1)])
            },
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/KEDAMissing",
        ),
    ]);
}
