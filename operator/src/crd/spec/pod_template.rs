//! What the Pods have beside what the operator gives them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Affinity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Resources;

/// What the Pods have beside what the operator gives them. It is a list of what may be said and no template as in a
/// Deployment: what would open a way round the proxy (the node's network, ports, other commands) can't be said at all.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.dnsPolicy) || self.dnsPolicy != 'None' || (has(self.dnsConfig) && has(self.dnsConfig.nameservers) && self.dnsConfig.nameservers.size() > 0)")
    .message("podTemplate.dnsPolicy None needs dnsConfig.nameservers: there are no others"))]
pub struct PodTemplate {
    /// More labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {
        "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"}))]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('corral.dev/') && !key.startsWith('app.kubernetes.io/'))")
        .message("labels that begin with corral.dev/ or app.kubernetes.io/ are the operator's"))]
    pub labels: BTreeMap<String, String>,
    /// More annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('corral.dev/') && key != 'kubectl.kubernetes.io/default-container')")
        .message("annotations that begin with corral.dev/, and kubectl.kubernetes.io/default-container, are the operator's"))]
    pub annotations: BTreeMap<String, String>,
    /// Which nodes, and beside which Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How important the Pods are to the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Another scheduler than the cluster's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub scheduler_name: Option<String>,
    /// How long a Pod that is to end has for its streams and its own end; 120 without it, and no less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 120, max = 86_400))]
    pub termination_grace_period_seconds: Option<u32>,
    /// More groups of all that runs in the Pods, such as the node's own that GPU devices belong to. Not 0, which is root's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 2_147_483_647)), extend("x-kubernetes-list-type" = "set"))]
    pub supplemental_groups: Vec<i64>,
    /// Names that the Pods know beside those of the cluster's DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["ip"]))]
    pub host_aliases: Vec<HostAlias>,
    /// Where the Pods look names up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_policy: Option<DnsPolicy>,
    /// More name servers, domains and options of the resolver; with dnsPolicy None there are no others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns_config: Option<DnsConfig>,
    /// Volumes for ollamaMounts and sidecars.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(volume, !(volume.name in ['models', 'home', 'tmp', 'state', 'config', 'basic', 'api-keys', 'ollama-keys', 'client-certificates', 'kubernetes', 'tls', 'digest-key', 'registry-key']) && !volume.name.startsWith('jwt-'))")
        .message("models, home, tmp, state, config, basic, api-keys, ollama-keys, client-certificates, kubernetes, tls, digest-key, registry-key and those that begin with jwt- are the operator's volumes"))]
    pub volumes: Vec<PodVolume>,
    /// Where Ollama has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    #[x_kube(validation = Rule::new("self.all(mount, ['/models/', '/home/ollama/', '/tmp/'].all(owned, !(mount.mountPath + '/').startsWith(owned) && !owned.startsWith(mount.mountPath == '/' ? '/' : mount.mountPath + '/')))")
        .message("/models, /home/ollama and /tmp are the operator's mounts: nothing may lie in them or over them"))]
    pub ollama_mounts: Vec<PodMount>,
    /// More containers. They start before the proxy and end after it. They are in the Pod's network, so they reach Ollama
    /// without a credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(container, !(container.name in ['ollama', 'proxy']))")
        .message("ollama and proxy are the operator's containers"))]
    pub sidecars: Vec<Sidecar>,
}

/// An address and names of it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostAlias {
    /// The address.
    #[schemars(length(max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)").message("podTemplate.hostAliases: ip must be an address such as 192.0.2.7 or 2001:db8::7"))]
    pub ip: String,
    /// Its names.
    #[schemars(length(min = 1, max = 16), inner(length(max = 253), regex(pattern = NAME)))]
    #[x_kube(validation = Rule::new("self.all(name, name != 'localhost' && !name.endsWith('.localhost'))")
        .message("podTemplate.hostAliases can't name localhost, which is the Pod itself"))]
    pub hostnames: Vec<String>,
}

/// A name as DNS has it (RFC 1123).
const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Where a Pod looks names up; ClusterFirst without it. What goes with the node's network isn't among it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DnsPolicy {
    /// With the cluster's DNS.
    ClusterFirst,
    /// As the node does.
    Default,
    /// As dnsConfig says, and nowhere else.
    None,
}

/// More of what a Pod looks names up with.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DnsConfig {
    /// Addresses of name servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), inner(length(max = 45)))]
    #[x_kube(validation = Rule::new("self.all(server, isIP(server))")
        .message("podTemplate.dnsConfig: nameservers must be addresses such as 192.0.2.7 or 2001:db8::7"))]
    pub nameservers: Vec<String>,
    /// Domains in which names are looked up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(max = 253), regex(pattern = NAME)))]
    pub searches: Vec<String>,
    /// Options of the resolver, such as ndots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub options: Vec<DnsOption>,
}

/// An option of the resolver.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DnsOption {
    /// Its name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9-]+$"))]
    pub name: String,
    /// What it is set to, where it is no switch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^[0-9a-z-]+$"))]
    pub value: Option<String>,
}

/// A volume: exactly one of configMap, secret, emptyDir and persistentVolumeClaim.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.configMap), has(self.secret), has(self.emptyDir), has(self.persistentVolumeClaim)].filter(given, given).size() == 1")
    .message("a volume needs exactly one of configMap, secret, emptyDir and persistentVolumeClaim"))]
pub struct PodVolume {
    /// Its name in the Pod.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// A ConfigMap in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolume>,
    /// A Secret in the same namespace; none of those from which the service takes its credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolume>,
    /// An empty directory, for as long as the Pod lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyVolume>,
    /// A claim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ClaimVolume>,
}

/// A ConfigMap as a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapVolume {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A Secret as a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// An empty directory as a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyVolume {
    /// How much may be in it before the node evicts the Pod.
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size_limit: String,
}

/// A claim as a volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimVolume {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// Where a container has a volume of the template's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodMount {
    /// The volume's name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Where it is in the container.
    #[schemars(
        length(min = 1, max = 512),
        regex(pattern = r"^/([^/.:][^/:]*(/[^/.:][^/:]*)*)?$")
    )]
    pub mount_path: String,
    /// Whether it may be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
}

/// A container beside Ollama and the proxy, under the same security rules as they.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Its name.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// Its image.
    #[schemars(length(min = 1, max = 1024))]
    pub image: String,
    /// What runs in it; the image's entry point without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub command: Vec<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub args: Vec<String>,
    /// Its environment. What is secret comes by a volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub env: BTreeMap<String, String>,
    /// Its resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where it has the template's volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["mountPath"]))]
    pub volume_mounts: Vec<PodMount>,
}
