//! What the API server refuses keeps back what needs it, and nothing else.

use std::collections::BTreeSet;

use corral_operator::plan::Kind;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::lab::{Lab, eventually};
use crate::replica::{Replica, ready_pods};

/// Has the API server refuse a kind in the lab's namespace.
async fn refuse(lab: &Lab, group: &str, resource: &str) {
    refuse_unless(lab, group, resource, "false").await;
}

/// Has the API server refuse objects of a kind of which this expression isn't true, nor of a Lease.
async fn refuse_unless(lab: &Lab, group: &str, resource: &str, expression: &str) {
    let name = &lab.namespace;
    let rules = [(group, resource), ("coordination.k8s.io", "leases")].map(|(group, resource)| {
        json!({"apiGroups": [group], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": [resource]})
    });
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name}, "spec": {"matchConstraints": {"resourceRules": rules},
            "validations": [{"expression": expression, "message": "not in this namespace"}]}});
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(policy).unwrap();
    let binding = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}}});
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(binding).unwrap();
    let parameters = PostParams::default();
    let policies = Api::all(lab.client.clone());
    policies.create(&parameters, &policy).await.unwrap();
    let bindings = Api::all(lab.client.clone());
    bindings.create(&parameters, &binding).await.unwrap();
    // It is in force a moment later, for Leases as well.
    let probe = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "probe"}, "spec": {}});
    let probe: Lease = serde_json::from_value(probe).unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the policy is in force", || async {
        match lab.api::<Lease>().create(&dry, &probe).await {
            Ok(_) => Err("a Lease may be made".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
}

/// The kinds of which there is an object of that name.
async fn there(lab: &Lab, kinds: &[Kind]) -> BTreeSet<&'static str> {
    let mut there = BTreeSet::new();
    for kind in kinds {
        let api = Api::<DynamicObject>::namespaced_with(lab.client.clone(), &lab.namespace, &kind.resource());
        let name = if *kind == Kind::PersistentVolumeClaim {
            "x-models"
        } else {
            "x"
        };
        if api.get_opt(name).await.unwrap().is_some() {
            there.insert(kind.name());
        }
    }
    there
}

#[tokio::test]
async fn what_needs_nothing_that_is_refused_is_made() {
    const KINDS: [Kind; 9] = [
        Kind::ServiceAccount,
        Kind::ConfigMap,
        Kind::Service,
        Kind::NetworkPolicy,
        Kind::PersistentVolumeClaim,
        Kind::Deployment,
        Kind::PodDisruptionBudget,
        Kind::HorizontalPodAutoscaler,
        Kind::Ingress,
    ];
    let spec = json!({
        "autoscaling": {"maxReplicas": 2, "target": {"requestsInFlight": 1}},
        "disruption": {"maxUnavailable": 1},
        "storage": {"size": "1Gi"},
        "network": {"ingress": {"hosts": ["a.example"]}},
    });
    let pods = ["Deployment", "HorizontalPodAutoscaler"];
    let outside = ["Ingress"];
    // What is refused, and what is kept back by that.
    let cases = [
        (("", "serviceaccounts"), "ServiceAccount", vec![&pods[..]]),
        (
            ("", "configmaps"),
            "ConfigMap",
            vec![&["Service", "NetworkPolicy"], &pods, &outside],
        ),
        (("", "services"), "Service", vec![&outside]),
        (("", "secrets"), "Secret", vec![&pods]),
        (
            ("networking.k8s.io", "networkpolicies"),
            "NetworkPolicy",
            vec![&pods, &outside],
        ),
        (
            ("", "persistentvolumeclaims"),
            "PersistentVolumeClaim",
            vec![&pods],
        ),
        (
            ("apps", "deployments"),
            "Deployment",
            vec![&["HorizontalPodAutoscaler"]],
        ),
        (("networking.k8s.io", "ingresses"), "Ingress", vec![]),
    ];
    for ((group, resource), refused, kept_back) in cases {
        let lab = Lab::new("refusals").await;
        refuse(&lab, group, resource).await;
        let _operator = lab.operator(&[]).await;
        lab.create("x", spec.clone()).await;
        let message = lab.condition("x", "Degraded", "True", "ApplyRefused").await;
        assert!(message.contains(&format!("{refused} x")), "{resource}: {message}");
        assert!(message.contains("not in this namespace"), "{resource}: {message}");
        let kept_back: BTreeSet<_> = kept_back.concat().into_iter().chain([refused]).collect();
        let all = KINDS.map(Kind::name).into_iter();
        let expected: BTreeSet<_> = all.filter(|kind| !kept_back.contains(kind)).collect();
        assert_eq!(there(&lab, &KINDS).await, expected, "{resource}");
    }
}

#[tokio::test]
async fn a_kubelet_that_can_not_be_told_makes_nothing_unready() {
    let lab = Lab::new("untold").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "CredentialsSynced", "Unknown", "NoReplicas")
        .await;
    let (one, other) = (
        Replica::start(&lab, "x", 1).await,
        Replica::start(&lab, "x", 2).await,
    );
    ready_pods(&lab, "x", 2).await;
    lab.condition("x", "Ready", "True", "Ready").await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    refuse_unless(&lab, "", "pods", "object.metadata.name == 'x-2'").await;
    let edit = json!({"stringData": {"other": "another-long-enough-key"}});
    lab.api::<Secret>()
        .patch("x-credentials", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    other.nudged_since(None).await;
    assert_eq!(one.nudge().await, None, "it can't be told");
    other.mount().await;
    let message = lab.condition("x", "CredentialsSynced", "False", "Rotating").await;
    assert!(message.contains("Pod x-1"), "{message}");
    lab.condition("x", "Ready", "True", "Ready").await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    // The kubelet comes to it by itself.
    one.mount().await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
}
