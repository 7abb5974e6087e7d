//! How clients reach the service.

use corral_proxy::config::Cors;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crd::exposure::{HttpRoute, Ingress};

/// How clients reach the service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.proxyProtocol) || !self.proxyProtocol || has(self.trustedProxies)")
    .message("proxyProtocol needs trustedProxies: only from there it is taken"))]
pub struct Network {
    /// Networks that may call; everyone without any. Others get 403 whatever their credential.
    #[serde(default, rename = "allowedCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 64)))]
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
    /// An Ingress of the same name. Name its controller's addresses in trustedProxies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,
    /// An HTTPRoute of the same name, where the cluster has the Gateway API. Name the Gateway's addresses in trustedProxies.
    /// With `tls` the Gateway needs a BackendTLSPolicy of yours too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_route: Option<HttpRoute>,
}

/// The certificate that clients see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NetworkTls {
    /// A Secret of type kubernetes.io/tls in the same namespace, as cert-manager makes it. Another name here restarts the
    /// Pods; a renewed certificate in the Secret doesn't.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: String,
}
