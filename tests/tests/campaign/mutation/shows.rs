//! In which children a field shows: what a person would expect, written down apart from the operator's own plan.

use serde_json::{Value, json};

/// The kinds of children that a field may change; empty for a field that says when and not what.
pub(crate) fn kinds(field: &str) -> &'static [&'static str] {
    const TABLE: [(&str, &[&str]); 33] = [
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
        ("models", &["ConfigMap"]),
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
        ("registryKey", &["Deployment"]),
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
        // Kubernetes drops it as long as it is experimental (HPAConfigurableTolerance).
        _ if field.ends_with(".tolerance") => &[],
        "version" => &["Deployment"],
        // The number is each trial's own.
        "service.nodePort" => &[],
        // With the time that Pods have for their end.
        "podTemplate" => &["ConfigMap", "Deployment"],
        _ => TABLE
            .iter()
            .find(|(prefix, _)| of(prefix))
            .map_or(&[], |(_, kinds)| kinds),
    }
}

/// A value, unless it says what is so without it.
pub(crate) fn said<'a>(field: &str, value: Option<&'a Value>) -> Option<&'a Value> {
    let default = match field {
        "disruption.maxUnavailable" => json!(1),
        "service.sessionAffinity" => json!("None"),
        "podTemplate.dnsPolicy" => json!("ClusterFirst"),
        "podTemplate.terminationGracePeriodSeconds" => json!(120),
        "streams.askForUsage" => json!(true),
        // Without the list the Pods may connect anywhere, with an empty one nowhere.
        "network.policy.egress" => Value::Null,
        _ => return value.filter(|value| !is_nothing(value)),
    };
    value.filter(|value| **value != default)
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) | Value::String(_) => false,
    }
}
