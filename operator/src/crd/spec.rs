//! What a user writes.

mod auth;
mod gpu;
mod image;
mod models;
mod network;
mod pod_template;
mod runtime;
mod scale;
mod storage;
mod upgrade;

use std::collections::BTreeMap;

use corral_proxy::config::{AccessRule, Streams};
use k8s_openapi::api::core::v1::Toleration;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::exposure::ServiceExposure;
use super::status::OllamaServiceStatus;

pub use auth::{
    ApiKeysAuth, Auth, BasicAuth, ClientCertificatesAuth, JwtAuth, KubernetesAuth, OllamaKeysAuth, SecretRef,
};
pub use gpu::{Gpu, GpuClaim, GpuVendor, Resources};
pub use image::{Image, PullPolicy};
pub use models::{ConfigMapKeyRef, Model, ModelfileSource, RegistryKey, SecretKeyRef};
pub use network::{IssuedCertificate, IssuerRef, Network, NetworkTls, Policy, PolicyEgress, PolicyPeer};
pub use pod_template::{
    ClaimVolume, ConfigMapVolume, DnsConfig, DnsOption, DnsPolicy, EmptyVolume, HostAlias, PodMount,
    PodTemplate, PodVolume, SecretVolume, Sidecar,
};
pub use runtime::{KvCacheType, Runtime};
pub use scale::{
    Autoscaling, AutoscalingTarget, Disruption, Keda, KedaAuthentication, KedaTrigger, TopologySpread,
    WhenUnsatisfiable,
};
pub use storage::{EphemeralStorage, Retention, Storage};
pub use upgrade::{Rollout, UpgradePolicy};

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
    validation = Rule::new("!has(self.spec.storage) || !has(self.spec.storage.existingClaim) || self.spec.storage.existingClaim != self.metadata.name + '-models'")
        .message("storage.existingClaim can't be NAME-models, the claim that the operator makes and deletes: with storage.size and retain: Retain it is kept"),
    validation = Rule::new("!has(self.spec.storage) || !has(self.spec.storage.size) || !has(oldSelf.spec.storage) || !has(oldSelf.spec.storage.size) \
        || quantity(self.spec.storage.size).compareTo(quantity(oldSelf.spec.storage.size)) >= 0 \
        || (has(oldSelf.status) && has(oldSelf.status.conditions) && oldSelf.status.conditions.exists(one, one.type == 'StorageReady' && one.reason == 'VolumeNotGrown'))")
        .message("storage.size may grow, not shrink: a volume can't be made smaller. What it couldn't grow to (VolumeNotGrown) may be taken back"),
)]
// Of the spec and not of the whole object: what is stored already and breaks a rule that came later can so have its status
// written all the same, since its spec doesn't change by that.
#[x_kube(
    validation = Rule::new("!has(self.auth) || !has(self.auth.clientCertificates) || (has(self.network) && has(self.network.tls))")
        .message("auth.clientCertificates needs network.tls: certificates are shown in its handshake"),
    validation = Rule::new("!has(self.pruneModels) || !self.pruneModels || (has(self.models) && self.models.size() > 0)")
        .message("pruneModels needs models: with none listed it would delete every model"),
    validation = Rule::new("!has(self.pruneModels) || !self.pruneModels || !has(self.storage) || !has(self.storage.existingClaim)")
        .message("pruneModels can't go with storage.existingClaim: others may keep their models there"),
    validation = Rule::new("!has(self.rollout) || !has(self.rollout.surge) || !self.rollout.surge || !has(self.storage) || !has(self.storage.size) || (has(self.storage.accessModes) && 'ReadWriteMany' in self.storage.accessModes)")
        .message("rollout.surge needs a volume that both Pods may have: accessModes [ReadWriteMany], or one of each Pod's own (ephemeral)"),
    validation = Rule::new("!has(self.runtime) || !has(self.runtime.maxLoadedModels) || !has(self.models) || self.models.filter(model, has(model.keepLoaded) && model.keepLoaded).size() <= self.runtime.maxLoadedModels")
        .message("more models have keepLoaded than runtime.maxLoadedModels lets be in memory: they would push one another out; raise it, or keep fewer loaded")
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
    /// How many Pods serve, where no autoscaler decides on it. Each has its own copy of the loaded models.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// As many replicas as the load needs, in place of `replicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// Nothing runs, and all else is kept as it is: addresses, credentials, volumes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How many replicas may be away while nodes are drained. Without it one, where there may be more than one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disruption: Option<Disruption>,
    /// When what a new version of the operator would change in the Pods, such as the proxy's image, goes in.
    #[serde(default)]
    pub upgrade_policy: UpgradePolicy,
    /// How Pods are replaced when what they are made from changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// How replicas are spread over nodes. Without it each goes to another node where there is room; an empty list leaves
    /// it to the scheduler.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["topologyKey"]))]
    pub topology_spread: Option<Vec<TopologySpread>>,
    /// GPUs of each replica. Without it Ollama computes on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Resources of the Ollama container, beside the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new(
        "['amd.com/gpu', 'gpu.intel.com/', 'nvidia.com/gpu', 'nvidia.com/mig-'].all(gpu, \
         (!has(self.requests) || self.requests.all(name, !name.startsWith(gpu))) && \
         (!has(self.limits) || self.limits.all(name, !name.startsWith(gpu))))")
        .message("amd.com/gpu, gpu.intel.com/…, nvidia.com/gpu and nvidia.com/mig-… don't go into resources: use spec.gpu, which sets up image and environment for them too"))]
    pub resources: Option<Resources>,
    /// Models that every replica has before it takes traffic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub models: Vec<Model>,
    /// How many models a replica pulls, makes and loads at a time; 2 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub parallel_pulls: Option<u32>,
    /// Models that `models` doesn't list are deleted, whoever has pulled or made them, once all that it lists are there.
    /// What a listed model is made from stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune_models: bool,
    /// By which key registries know every replica, such as ollama.com, where an account has it for its private models.
    /// Without it each Pod makes one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry_key: Option<RegistryKey>,
    /// Where models are kept. Without it they last as long as the Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// How Ollama runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Who may call. Without it the operator makes one API key, in the Secret NAME-credentials; the service is never open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// What clients may do: the first rule that names the client or one of its groups decides. A client that no rule names
    /// may use models and look at them (Inference, Read), not change them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub access: Vec<AccessRule>,
    /// How clients reach the service: which addresses may call, whether by HTTPS, and how it is found from outside the
    /// cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// What is done for streamed answers. A change restarts nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
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
    /// What the Pods have beside all this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,
}

fn one() -> i32 {
    1
}
