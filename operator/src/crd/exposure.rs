//! How clients outside the cluster find the service.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host name, or all of a domain: `*.example`.
pub(super) const HOST: &str = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The Service that clients connect to.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.nodePort) || self.type != 'ClusterIP'")
        .message("service.nodePort goes with type NodePort or LoadBalancer"),
    validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
        .message("service.externalTrafficPolicy goes with type NodePort or LoadBalancer"),
    validation = Rule::new("!(has(self.loadBalancerClass) || has(self.loadBalancerSourceRanges)) || self.type == 'LoadBalancer'")
        .message("service.loadBalancerClass and service.loadBalancerSourceRanges go with type LoadBalancer"),
)]
pub struct ServiceExposure {
    /// ClusterIP is reached from the cluster only, NodePort through every node, LoadBalancer through the cloud's.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    /// Annotations of the Service, such as those that tell a cloud's load balancer what to be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('corral.dev/'))")
        .message("annotations that begin with corral.dev/ are the operator's"))]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the Service, beside the operator's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('corral.dev/') && !key.startsWith('app.kubernetes.io/'))")
        .message("labels that begin with corral.dev/ or app.kubernetes.io/ are the operator's"))]
    pub labels: BTreeMap<String, String>,
    /// The nodes' port; one that is free without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub node_port: Option<i32>,
    /// Which load balancer makes it, where that is not the cloud's default. It can't change while the type stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Networks that the load balancer lets through. `network.allowedCIDRs` is the proxy's own rule, and answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("loadBalancerSourceRanges must be networks such as 10.0.0.0/8 or 2001:db8::/32 (one address: 192.0.2.7/32)"))]
    pub load_balancer_source_ranges: Vec<String>,
    /// To which nodes traffic from outside may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Whether one client stays with one replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
}

/// From where a Service is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From the cluster only.
    #[default]
    ClusterIP,
    /// Through a port of every node.
    NodePort,
    /// Through a load balancer of the cloud's.
    LoadBalancer,
}

/// To which nodes traffic from outside may go. Local keeps the client's address, which `network.allowedCIDRs` needs, and
/// uses no node without a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficPolicy {
    /// To any; the client's address is lost on the way.
    Cluster,
    /// To those with a replica; the client's address is kept.
    Local,
}

/// Whether one client stays with one replica: ClientIP sends one address to one replica, where its models stay loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionAffinity {
    /// No.
    None,
    /// By its address.
    ClientIP,
}

/// An Ingress for the service. Timeouts and buffering of ingress-nginx, F5 NGINX, HAProxy and Contour are set so that
/// streams pass as they are made. There is no path: Ollama's routes are known from the root only, so give it a host.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ingress {
    /// Which controller serves it; the cluster's default class without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Host names under which it is found, such as ollama.example or *.example.
    #[schemars(
        length(min = 1, max = 32),
        inner(
            length(max = 253),
            regex(pattern = HOST)
        )
    )]
    #[x_kube(validation = Rule::new("self.all(host, !isIP(host))").message("a host must be a name such as ollama.example, not an address"))]
    pub hosts: Vec<String>,
    /// More annotations, or others than the operator's for streams: one of the same key replaces it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The Secret with the certificate of all hosts, as cert-manager makes it. Without it there is no TLS to the Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub tls_secret_name: Option<String>,
}

/// An HTTPRoute of the Gateway API (gateway.networking.k8s.io/v1) for the service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// The Gateways that serve it.
    #[schemars(length(min = 1, max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// Host names under which it is found; every one of the Gateway's without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(
            length(max = 253),
            regex(pattern = HOST)
        )
    )]
    #[x_kube(validation = Rule::new("self.all(host, !isIP(host))").message("a host must be a name such as ollama.example, not an address"))]
    pub hostnames: Vec<String>,
    /// Annotations of the HTTPRoute.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// How long answers may take; for ever without it, since a stream has no natural end.
    #[serde(default)]
    pub timeouts: HttpRouteTimeouts,
}

/// A Gateway, or one of its listeners.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; the OllamaService's own without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// The listener's name; all listeners without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
    /// The listener's port.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
}

/// Longest times, such as 10m; 0s is for ever (GEP-2257).
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.backendRequest) || !has(self.request) || duration(self.request) == duration('0s') || duration(self.backendRequest) <= duration(self.request)")
    .message("httpRoute.timeouts: backendRequest can't be longer than request"))]
pub struct HttpRouteTimeouts {
    /// Of a request from its beginning to the end of its answer.
    #[serde(default = "for_ever")]
    #[schemars(length(max = 28), regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub request: String,
    /// Of one try of the Gateway to have it answered; not more than `request`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 28), regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub backend_request: Option<String>,
}

fn for_ever() -> String {
    "0s".to_owned()
}

impl Default for HttpRouteTimeouts {
    fn default() -> Self {
        Self {
            request: for_ever(),
            backend_request: None,
        }
    }
}
