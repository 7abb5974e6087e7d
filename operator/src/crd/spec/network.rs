//! How clients reach the service.

use corral_proxy::config::Cors;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::exposure::{HOST, HttpRoute, Ingress};

/// A time as Go writes it.
const DURATION: &str = r"^([0-9]{1,6}(h|m|s)){1,3}$";

/// How clients reach the service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.proxyProtocol) || !self.proxyProtocol || has(self.trustedProxies)")
    .message("proxyProtocol needs trustedProxies: only from there it is taken"))]
pub struct Network {
    /// Networks that may call; everyone without any. Others get 403 whatever their credential.
    #[serde(default, rename = "allowedCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 43)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("allowedCIDRs must be networks such as 10.0.0.0/8 or 2001:db8::/32 (one address: 192.0.2.7/32)"))]
    pub allowed_cidrs: Vec<String>,
    /// Networks of the proxies before the service (the ingress controller's Pods), whose X-Forwarded-For names the client.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("trustedProxies must be networks such as 10.0.0.0/8 or 2001:db8::/32 (one address: 192.0.2.7/32)"))]
    pub trusted_proxies: Vec<String>,
    /// Whether connections from trustedProxies begin with the PROXY protocol, version 1 or 2, which names the client: that
    /// of a load balancer that doesn't speak HTTP. One that doesn't is closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
    /// Pages in browsers that may call, with a credential like everyone else. Browsers let none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<Cors>,
    /// HTTPS in place of HTTP, on the same port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<NetworkTls>,
    /// Who may reach the Pods, and where they may connect, by the NetworkPolicy of the same name. It needs a network that
    /// enforces such policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// An Ingress of the same name. Name its controller's addresses in trustedProxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// An HTTPRoute of the same name, where the cluster has the Gateway API. Name the Gateway's addresses in trustedProxies.
    /// With `tls` the Gateway needs a BackendTLSPolicy of yours too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,
}

/// What the NetworkPolicy says beside what it always does: only the operator and those who collect metrics reach the admin
/// port, and nothing else has a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// Who may connect; everyone without it. What comes through a load balancer or a node's port may have the node's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub clients: Option<Vec<PolicyPeer>>,
    /// Where the Pods may connect, beside `dns`; anywhere without the list. They need the registries that models come from,
    /// the issuers of `auth.jwt` whose keys are fetched and, with `auth.kubernetes`, the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub egress: Option<Vec<PolicyEgress>>,
    /// Where names are resolved, where `egress` limits the rest; any address, on port 53, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub dns: Option<Vec<PolicyPeer>>,
}

/// One end of a connection: a network, or Pods by their labels and those of their namespaces.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.cidr) != (has(self.namespaceSelector) || has(self.podSelector))")
        .message("give cidr, or namespaceSelector, podSelector or both of them"),
    validation = Rule::new("!has(self.cidr) || isCIDR(self.cidr)")
        .message("cidr must be a network such as 10.0.0.0/8 or 2001:db8::/32 (one address: 192.0.2.7/32)"),
    validation = Rule::new("!has(self.except) || has(self.cidr)")
        .message("except goes with cidr"),
    validation = Rule::new("!has(self.except) || !has(self.cidr) || !isCIDR(self.cidr) || self.except.all(network, !isCIDR(network) || \
        cidr(self.cidr).containsCIDR(network) && cidr(network).prefixLength() > cidr(self.cidr).prefixLength())")
        .message("except must be networks within cidr, and smaller than it"),
)]
pub struct PolicyPeer {
    /// A network.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 43))]
    pub cidr: Option<String>,
    /// Networks in it that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("except must be networks such as 10.0.0.0/8 or 2001:db8::/32 (one address: 192.0.2.7/32)"))]
    pub except: Vec<String>,
    /// Labels of namespaces; the OllamaService's own namespace without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Labels of Pods; all Pods of those namespaces without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
}

/// Where the Pods may connect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyEgress {
    /// To whom.
    #[schemars(length(min = 1, max = 64))]
    pub to: Vec<PolicyPeer>,
    /// TCP ports; all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(range(min = 1, max = 65535)))]
    pub ports: Vec<u16>,
}

/// The certificate that clients see: exactly one of both.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretName) != has(self.certificate)")
    .message("network.tls needs exactly one of secretName (a Secret that holds a certificate) and certificate (cert-manager makes one)"))]
pub struct NetworkTls {
    /// A Secret of type kubernetes.io/tls in the same namespace, as cert-manager makes it. Another name here restarts the
    /// Pods; a renewed certificate in the Secret doesn't.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: Option<String>,
    /// Have cert-manager make and renew one, in the Secret NAME-tls, for the Service's names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<IssuedCertificate>,
}

/// A Certificate of cert-manager (cert-manager.io/v1) for the Service's names in the cluster: NAME, NAME.NAMESPACE,
/// NAME.NAMESPACE.svc and NAME.NAMESPACE.svc.cluster.local.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.renewBefore) || !has(self.duration) || duration(self.renewBefore) < duration(self.duration)")
    .message("network.tls.certificate: renewBefore must be shorter than duration"))]
pub struct IssuedCertificate {
    /// Who signs it.
    pub issuer_ref: IssuerRef,
    /// More names, under which it is found from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253), regex(pattern = HOST)))]
    pub dns_names: Vec<String>,
    /// How long it is good, such as 2160h; cert-manager's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub duration: Option<String>,
    /// How long before its end it is renewed, such as 360h; cert-manager's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = DURATION))]
    pub renew_before: Option<String>,
}

/// An Issuer of cert-manager in the same namespace, or a ClusterIssuer, or one of another kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its kind.
    #[serde(default = "issuer")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The group of that kind.
    #[serde(default = "cert_manager")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

fn issuer() -> String {
    "Issuer".to_owned()
}

fn cert_manager() -> String {
    "cert-manager.io".to_owned()
}
