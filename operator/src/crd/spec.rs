//! What a user writes.

use std::collections::BTreeMap;

use corral_proxy::config::{AccessRule, OllamaKeys};
use k8s_openapi::api::core::v1::{EnvVar, LocalObjectReference, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::exposure::{HttpRoute, Ingress, ServiceExposure};
use super::status::OllamaServiceStatus;

/// A running Ollama that nobody reaches without a credential.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "corral.dev",
    version = "v1alpha1",
    kind = "OllamaService",
    plural = "ollamaservices",
    shortname = "olsvc",
    category = "all",
    namespaced,
    derive = "PartialEq",
    status = "OllamaServiceStatus",
    doc = "A running Ollama that nobody reaches without a credential.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas", description = "Replicas that are ready"),
    printcolumn(name = "Models", type_ = "string", json_path = ".status.readyModels", description = "Models that every replica has, of those asked for"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version", priority = 1),
    printcolumn(name = "Clients", type_ = "integer", json_path = ".status.credentials.clients", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = Rule::new("self.metadata.name.size() <= 50")
        .message("metadata.name may have at most 50 characters, so that NAME-credentials and the other objects made from it fit into 63"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must begin with a lower-case letter and have only lower-case letters, digits and '-', since the Service takes it as its name"),
)]
#[serde(rename_all = "camelCase")]
pub struct OllamaServiceSpec {
    /// Version of Ollama, such as 0.17.4: the tag of its image. Without it the operator's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))]
    pub version: Option<String>,
    /// Another image of Ollama than the operator's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// How many Pods serve. Each has its own copy of the loaded models.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// GPUs of each replica. Without it Ollama computes on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Resources of the Ollama container, beside the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Models that every replica has before it takes traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<Model>,
    /// Where models are kept. Without it they last as long as the Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// How Ollama runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Who may call. Without it the operator makes one API key, in the Secret NAME-credentials; the service is never open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// What clients may do: the first rule that names the client decides. A client that no rule names may use models and
    /// look at them (Inference, Read), not change them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub access: Vec<AccessRule>,
    /// How clients reach the service: which addresses may call, whether by HTTPS, and how it is found from outside the
    /// cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// The Service that clients connect to. Without it, one of type ClusterIP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceExposure>,
    /// Labels of the nodes that may run the Pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the Pods tolerate, beside the one that GPU nodes usually have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// RuntimeClass of the Pods, such as nvidia where that is not the node's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub runtime_class_name: Option<String>,
}

fn one() -> i32 {
    1
}

/// An image of Ollama.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.tag) && has(self.digest))")
    .message("give tag or digest, not both: a digest already names one image"))]
pub struct Image {
    /// Registry and repository, such as registry.example/ollama/ollama. Without it the operator's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = r"^[a-z0-9][A-Za-z0-9._:/-]*$"))]
    pub repository: Option<String>,
    /// Tag, taken as it is. Without it spec.version, with -rocm added for AMD GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$"))]
    pub tag: Option<String>,
    /// Digest, as sha256:….
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^sha256:[a-f0-9]{64}$"))]
    pub digest: Option<String>,
    /// When the node pulls the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<PullPolicy>,
    /// Secrets with the registry's credentials; they serve the proxy's image too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pull_secrets: Vec<LocalObjectReference>,
}

/// When the node pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// Each time a container starts.
    Always,
    /// When the node has it not yet.
    IfNotPresent,
    /// Never: it must be on the node.
    Never,
}

/// GPUs of each replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    /// Who makes it: decides the resource's name, Ollama's image and the environment.
    #[serde(default)]
    pub vendor: GpuVendor,
    /// How many each replica gets.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 64))]
    pub count: i32,
    /// The resource of the device plugin, where it is not the vendor's usual one: a MIG slice (nvidia.com/mig-1g.10gb),
    /// Intel's xe driver (gpu.intel.com/xe).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 317),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub resource_name: Option<String>,
}

/// Who makes the GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GpuVendor {
    /// NVIDIA: resource nvidia.com/gpu.
    #[default]
    Nvidia,
    /// AMD: resource amd.com/gpu, Ollama's -rocm image.
    Amd,
    /// Intel: resource gpu.intel.com/i915.
    Intel,
}

/// Resources of a container, as in a Pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What the container can't exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A model that every replica has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// As in `ollama pull`: [HOST/][NAMESPACE/]NAME[:TAG].
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$")
    )]
    pub name: String,
    /// Load it at start and keep it in memory.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_loaded: bool,
    /// Pull it from a registry without TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
}

/// Where models are kept: exactly one of size, existingClaim, ephemeral.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.size), has(self.existingClaim), has(self.ephemeral)].filter(given, given).size() == 1")
        .message("storage needs exactly one of size (a claim made for you), existingClaim (one you made) or ephemeral (lasts as long as the Pod)"),
    validation = Rule::new("has(self.size) || !(has(self.storageClassName) || has(self.accessModes))")
        .message("storageClassName and accessModes go with size: an existing claim has its own"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message("storage.size may grow, not shrink: a volume can't be made smaller"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || (has(self.storageClassName) ? (has(oldSelf.storageClassName) && self.storageClassName == oldSelf.storageClassName) : !has(oldSelf.storageClassName))")
        .message("storage.storageClassName can't change once the claim is there: make another OllamaService, or move to an existingClaim"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || (has(self.accessModes) ? (has(oldSelf.accessModes) && self.accessModes == oldSelf.accessModes) : !has(oldSelf.accessModes))")
        .message("storage.accessModes can't change once the claim is there: make another OllamaService, or move to an existingClaim"),
)]
pub struct Storage {
    /// Size of the claim NAME-models that the operator makes, such as 50Gi. It is deleted with the OllamaService.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size: Option<String>,
    /// StorageClass of that claim; the cluster's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// Access modes of that claim, ReadWriteOnce without it: replicas on several nodes need ReadWriteMany.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4), extend("items" = {
        "type": "string", "enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]}))]
    pub access_modes: Option<Vec<String>>,
    /// A PersistentVolumeClaim of yours in the same namespace. Nobody deletes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub existing_claim: Option<String>,
    /// The node's own disk, for as long as the Pod lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralStorage>,
}

/// The node's own disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EphemeralStorage {
    /// How much the models may take before the node evicts the Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size_limit: Option<String>,
}

/// How Ollama runs. A change restarts the Pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// How long a model stays in memory after its last use, such as 30m; a negative time is for ever (OLLAMA_KEEP_ALIVE).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^-?([0-9]+|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$")
    )]
    pub keep_alive: Option<String>,
    /// Tokens of context where the request names none (OLLAMA_CONTEXT_LENGTH).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub context_length: Option<i32>,
    /// Requests that one loaded model answers at a time (OLLAMA_NUM_PARALLEL).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub num_parallel: Option<i32>,
    /// More environment of the Ollama container, as in a Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new(
        "self.all(variable, !(variable.name in ['HOME', 'NVIDIA_VISIBLE_DEVICES', 'OLLAMA_CONTEXT_LENGTH', 'OLLAMA_DEBUG_LOG_REQUESTS', 'OLLAMA_HOST', 'OLLAMA_KEEP_ALIVE', 'OLLAMA_MODELS', 'OLLAMA_NUM_PARALLEL', 'OLLAMA_ORIGINS', 'TMPDIR']))")
        .message("the operator owns HOME, TMPDIR, NVIDIA_VISIBLE_DEVICES, OLLAMA_HOST, OLLAMA_ORIGINS, OLLAMA_MODELS and OLLAMA_DEBUG_LOG_REQUESTS; for OLLAMA_KEEP_ALIVE, OLLAMA_CONTEXT_LENGTH and OLLAMA_NUM_PARALLEL use keepAlive, contextLength and numParallel"))]
    pub env: Vec<EnvVar>,
}

/// Who may call: each means that is listed lets its clients in.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.basic) || has(self.apiKeys) || has(self.ollamaKeys)")
    .message("auth needs at least one of basic, apiKeys or ollamaKeys; leave auth out and the operator makes an API key for you"))]
pub struct Auth {
    /// Users and passwords (HTTP Basic).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// API keys, sent as Bearer, X-Ollama-Token or x-api-key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<ApiKeysAuth>,
    /// Public keys of the stock ollama CLI, which signs its requests where OLLAMA_AUTH=1 is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama_keys: Option<OllamaKeysAuth>,
}

/// Users and passwords (HTTP Basic).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// A Secret with an htpasswd file under `auth` or under `key`, or of type kubernetes.io/basic-auth.
    pub secret_ref: SecretRef,
}

/// API keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeysAuth {
    /// A Secret whose entries are clients, each with its keys one a line; or, with `key`, one key file.
    pub secret_ref: SecretRef,
}

/// Public keys of the stock ollama CLI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OllamaKeysAuth {
    /// A Secret with a file of authorized_keys lines under `authorized_keys` or under `key`, where each line's comment
    /// names its client; or whose entries are clients, each with its keys one a line.
    pub secret_ref: SecretRef,
    /// How many seconds a request may be signed before or after it comes; 30 without it. Within them it can be sent again
    /// by whoever has seen it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = OllamaKeys::MOST_CLOCK_SKEW_SECONDS))]
    pub clock_skew_seconds: Option<u32>,
}

/// A Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Its name. Another name here restarts the Pods; another content of the Secret doesn't.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The entry that is the credential file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: Option<String>,
}

/// How clients reach the service.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
