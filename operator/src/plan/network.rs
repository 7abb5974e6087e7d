//! Who the Pods are and who reaches which of their ports: ServiceAccount and NetworkPolicy.

use corral_proxy::config::{ADMIN_PORT, PROXY_PORT};
use ipnet::IpNet;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Prepared;
use super::names::{metadata, selector_labels};
use crate::cli::PlanOptions;
use crate::crd::{OllamaServiceSpec, Policy, PolicyEgress, PolicyPeer};

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

/// Without `network.policy` anyone may reach the proxy, which knows the client's address and answers one that is not allowed
/// with a reason; behind address translation a NetworkPolicy would compare the wrong one, and drop without a word. The admin
/// port is for the operator and for those who collect metrics; nothing else has a port.
pub(super) fn network_policy(prepared: &Prepared<'_>, options: &PlanOptions) -> NetworkPolicy {
    let Policy { clients, egress, dns } = policy(prepared);
    let clients = clients.map(|clients| clients.iter().map(peer).collect());
    let mut ingress = vec![rule(PROXY_PORT, clients)];
    let admin = admin_peers(options);
    if !admin.is_empty() {
        ingress.push(rule(ADMIN_PORT, Some(admin)));
    }
    let egress = egress.map(|rules| egress_rules(&rules, dns.as_deref()));
    let types = ["Ingress"].into_iter().chain(egress.as_ref().map(|_| "Egress"));
    NetworkPolicy {
        metadata: metadata(prepared, prepared.name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labelled(selector_labels(prepared.name))),
            policy_types: Some(types.map(str::to_owned).collect()),
            ingress: Some(ingress),
            egress,
        }),
    }
}

fn policy(prepared: &Prepared<'_>) -> Policy {
    let network = prepared.spec.network.as_ref();
    network
        .and_then(|network| network.policy.clone())
        .unwrap_or_default()
}

/// Names are always resolved: without that nobody is reached by name.
fn egress_rules(rules: &[PolicyEgress], dns: Option<&[PolicyPeer]>) -> Vec<NetworkPolicyEgressRule> {
    const DNS_PORT: u16 = 53;
    let names = NetworkPolicyEgressRule {
        to: dns.map(|dns| dns.iter().map(peer).collect()),
        ports: Some(vec![port(DNS_PORT, "UDP"), port(DNS_PORT, "TCP")]),
    };
    let rule = |PolicyEgress { to, ports }: &PolicyEgress| NetworkPolicyEgressRule {
        to: Some(to.iter().map(peer).collect()),
        ports: (!ports.is_empty()).then(|| ports.iter().map(|number| port(*number, "TCP")).collect()),
    };
    std::iter::once(names).chain(rules.iter().map(rule)).collect()
}

fn peer(peer: &PolicyPeer) -> NetworkPolicyPeer {
    let PolicyPeer {
        cidr,
        except,
        namespace_selector,
        pod_selector,
    } = peer.clone();
    NetworkPolicyPeer {
        ip_block: cidr.map(|cidr| IPBlock {
            cidr,
            except: Some(except).filter(|networks| !networks.is_empty()),
        }),
        namespace_selector,
        pod_selector,
    }
}

/// What is wrong with a policy.
pub(super) fn policy_problems(spec: &OllamaServiceSpec) -> Vec<String> {
    let Some(Policy { clients, egress, dns }) =
        spec.network.as_ref().and_then(|network| network.policy.as_ref())
    else {
        return Vec::new();
    };
    const FIELD: &str = "spec.network.policy";
    let mut problems = Vec::new();
    for (field, peers) in [("clients", clients), ("dns", dns)] {
        if peers.as_ref().is_some_and(Vec::is_empty) {
            problems.push(format!(
                "{FIELD}.{field}: at least one; leave it out to have everyone"
            ));
        }
    }
    let rules = egress.iter().flatten();
    if rules.clone().any(|rule| rule.to.is_empty()) {
        problems.push(format!("{FIELD}.egress: each rule needs to"));
    }
    let peers = clients.iter().chain(dns).flatten();
    let peers = peers.chain(rules.flat_map(|rule| &rule.to));
    problems.extend(
        peers
            .filter_map(peer_problem)
            .map(|problem| format!("{FIELD}: {problem}")),
    );
    if egress.as_ref().is_some_and(Vec::is_empty)
        && let Some(needed) = needed_elsewhere(spec)
    {
        problems.push(format!("{FIELD}.egress: with no rule at all {needed}"));
    }
    problems
}

fn peer_problem(peer: &PolicyPeer) -> Option<String> {
    let selects = peer.namespace_selector.is_some() || peer.pod_selector.is_some();
    if peer.cidr.is_some() == selects || (peer.cidr.is_none() && !peer.except.is_empty()) {
        return Some("a peer needs cidr, or namespaceSelector, podSelector or both of them".to_owned());
    }
    let mut networks = peer.cidr.iter().chain(&peer.except);
    networks
        .find(|network| network.parse::<IpNet>().is_err())
        .map(|network| format!("`{network}` is no network such as 10.0.0.0/8"))
}

/// Whom the proxies must reach, so that anyone is let in.
fn needed_elsewhere(spec: &OllamaServiceSpec) -> Option<&'static str> {
    let auth = spec.auth.as_ref()?;
    if auth.kubernetes.is_some() {
        return Some("the proxies can't ask the API server, as spec.auth.kubernetes needs");
    }
    auth.jwt
        .iter()
        .any(|issuer| issuer.secret_ref.is_none())
        .then_some("the proxies can't fetch the keys of the issuers in spec.auth.jwt")
}

fn rule(number: u16, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from,
        ports: Some(vec![port(number, "TCP")]),
    }
}

fn port(number: u16, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number.into())),
        protocol: Some(protocol.to_owned()),
        ..NetworkPolicyPort::default()
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
