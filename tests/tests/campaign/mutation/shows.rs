//! In which children a field shows: what a person would expect, written down apart from the operator's own plan.

/// The kinds of children that a field may change; empty for a field that says when and not what.
pub(crate) fn kinds(field: &str) -> &'static [&'static str] {
    const TABLE: [(&str, &[&str]); 27] = [
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
        ("network.proxyProtocol", &["ConfigMap"]),
        (
            "network.tls",
            &["ConfigMap", "Deployment", "HTTPRoute", "Ingress", "Service"],
        ),
        ("network.trustedProxies", &["ConfigMap"]),
        ("nodeSelector", &["Deployment"]),
        (
            "podTemplate.terminationGracePeriodSeconds",
            &["ConfigMap", "Deployment"],
        ),
        ("podTemplate", &["Deployment"]),
        ("replicas", &["ConfigMap", "Deployment", "PodDisruptionBudget"]),
        ("resources", &["Deployment"]),
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
