//! Who the Pods are and who reaches which of their ports: ServiceAccount and NetworkPolicy.

use corral_proxy::config::{ADMIN_PORT, PROXY_PORT};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Prepared;
use super::names::{metadata, selector_labels};
use crate::cli::PlanOptions;

pub(super) fn service_account(prepared: &Prepared<'_>) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(prepared, prepared.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// The ClusterRole by which Pods may have tokens reviewed, where nobody has named one.
const TOKEN_REVIEWER: &str = "corral-token-reviewer";

/// What an administrator types so that the proxies may ask the API server whose tokens are, where they have to. The operator
/// may not do it: it would need the right to give rights.
pub(super) fn token_reviewer_binding(prepared: &Prepared<'_>, role: Option<&str>) -> Option<String> {
    prepared.spec.auth.as_ref()?.kubernetes.as_ref()?;
    let Prepared { name, namespace, .. } = prepared;
    let bind = |role: &str| {
        format!(
            "kubectl create clusterrolebinding {role}-{namespace}-{name} --clusterrole={role} \
             --serviceaccount={namespace}:{name}"
        )
    };
    Some(role.map_or_else(
        || {
            format!(
                "kubectl create clusterrole {TOKEN_REVIEWER} --verb=create \
                 --resource=tokenreviews.authentication.k8s.io; {}",
                bind(TOKEN_REVIEWER)
            )
        },
        bind,
    ))
}

/// Anyone may reach the proxy, which knows the client's address and answers one that is not allowed with a reason; behind
/// address translation a NetworkPolicy would compare the wrong one, and drop without a word. The admin port is for the
/// operator and for those who collect metrics; nothing else has a port.
pub(super) fn network_policy(prepared: &Prepared<'_>, options: &PlanOptions) -> NetworkPolicy {
    let mut ingress = vec![rule(PROXY_PORT, None)];
    let admin = admin_peers(options);
    if !admin.is_empty() {
        ingress.push(rule(ADMIN_PORT, Some(admin)));
    }
    NetworkPolicy {
        metadata: metadata(prepared, prepared.name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(selector_labels(prepared.name))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn rule(port: u16, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from,
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port.into())),
            protocol: Some("TCP".to_owned()),
            ..NetworkPolicyPort::default()
        }]),
    }
}

fn admin_peers(options: &PlanOptions) -> Vec<NetworkPolicyPeer> {
    let in_namespace = |namespace: &String| NetworkPolicyPeer {
        namespace_selector: Some(labelled([(
            "kubernetes.io/metadata.name".to_owned(),
            namespace.clone(),
        )])),
        ..NetworkPolicyPeer::default()
    };
    let operator = options.pod_namespace.iter().map(|namespace| NetworkPolicyPeer {
        pod_selector: Some(labelled([
            ("app.kubernetes.io/component".to_owned(), "operator".to_owned()),
            ("app.kubernetes.io/part-of".to_owned(), "corral".to_owned()),
        ])),
        ..in_namespace(namespace)
    });
    operator
        .chain(options.metrics_from_namespaces.iter().map(in_namespace))
        .collect()
}

fn labelled(labels: impl IntoIterator<Item = (String, String)>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels.into_iter().collect()),
        ..LabelSelector::default()
    }
}
