//! In which children a field shows: what a person would expect, written down apart from the operator's own plan.

use serde_json::{Value, json};

/// The kinds of children that a field may change; empty for a field that says when and not what.
pub(crate) fn kinds(field: &str) -> &'static [&'static str] {
    const TABLE: [(&str, &[&str]); 32] = [
        ("access", &["ConfigMap"]),
        ("auth", &["ConfigMap", "Deployment", "Secret"]),
        (
            "autoscaling",
            &[
                "ConfigMap",
                "Deployment",
                "HorizontalPodAutoscaler",
                "PodDisruptionBudget",
                "ScaledObject",
            ],
        ),
        ("disruption", &["PodDisruptionBudget"]),
        ("gpu", &["Deployment"]),
        ("image", &["Deployment"]),
        ("models", &["ConfigMap", "Deployment"]),
        ("network.allowedCIDRs", &["ConfigMap"]),
        ("network.cors", &["ConfigMap"]),
        ("network.httpRoute", &["HTTPRoute"]),
        ("network.ingress", &["Ingress"]),
        ("network.policy", &["NetworkPolicy"]),
        ("network.proxyProtocol", &["ConfigMap"]),
        (
            "network.tls",
            &[
                "Certificate",
                "ConfigMap",
                "Deployment",
                "HTTPRoute",
                "Ingress",
                "Service",
            ],
        ),
        ("network.trustedProxies", &["ConfigMap"]),
        // All of them together.
        (
            "network",
            &[
                "Certificate",
                "ConfigMap",
                "Deployment",
                "HTTPRoute",
                "Ingress",
                "NetworkPolicy",
                "Service",
            ],
        ),
        ("nodeSelector", &["Deployment"]),
        (
            "podTemplate.terminationGracePeriodSeconds",
            &["ConfigMap", "Deployment"],
        ),
        ("podTemplate", &["Deployment"]),
        ("parallelPulls", &["ConfigMap"]),
        ("pruneModels", &["ConfigMap"]),
        ("replicas", &["ConfigMap", "Deployment", "PodDisruptionBudget"]),
        ("resources", &["Deployment"]),
        ("rollout", &["Deployment"]),
        ("runtime", &["Deployment"]),
        ("runtimeClassName", &["Deployment"]),
        ("service", &["Service"]),
        ("storage", &["Deployment", "PersistentVolumeClaim"]),
        ("streams", &["ConfigMap"]),
        (
            "suspend",
            &["Deployment", "HorizontalPodAutoscaler", "ScaledObject"],
        ),
        ("tolerations", &["Deployment"]),
        ("topologySpread", &["Deployment"]),
    ];
    let of = |prefix: &str| {
        field
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    match field {
        "version" => &["Deployment"],
        _ => TABLE
            .iter()
            .find(|(prefix, _)| of(prefix))
            .map_or(&[], |(_, kinds)| kinds),
    }
}

/// Whether a value says what is so without it.
pub(crate) fn is_default(field: &str, value: Option<&Value>) -> bool {
    field == "disruption.maxUnavailable" && value == Some(&json!(1))
}
