//! The custom resource `OllamaService`: what a user writes, and what the operator answers in its status.
//!
//! The Rust types are the only definition: `corral-operator crds` prints the CustomResourceDefinition made from them.
//! Rules that types can't express are CEL rules beside the field they speak of.

#[expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function, where nothing reaches it"
)]
mod exposure;
#[expect(
    unreachable_pub,
    reason = "KubeSchema repeats each struct inside a function, where nothing reaches it"
)]
mod spec;
mod status;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use exposure::{
    HttpRoute, HttpRouteTimeouts, Ingress, ParentRef, ServiceExposure, ServiceType, SessionAffinity,
    TrafficPolicy,
};
pub use spec::{
    ApiKeysAuth, Auth, Autoscaling, AutoscalingTarget, BasicAuth, ClaimVolume, ClientCertificatesAuth,
    ConfigMapKeyRef, ConfigMapVolume, Disruption, DnsConfig, DnsOption, DnsPolicy, EmptyVolume,
    EphemeralStorage, Gpu, GpuClaim, GpuVendor, HostAlias, Image, IssuedCertificate, IssuerRef, JwtAuth,
    Keda, KedaAuthentication, KedaTrigger, KubernetesAuth, KvCacheType, Model, ModelfileSource, Network,
    NetworkTls, OllamaKeysAuth, OllamaService, OllamaServiceSpec, PodMount, PodTemplate, PodVolume, Policy,
    PolicyEgress, PolicyPeer, PullPolicy, RegistryKey, Resources, Retention, Rollout, Runtime, SecretKeyRef,
    SecretRef, SecretVolume, Sidecar, Storage, TopologySpread, UpgradePolicy, WhenUnsatisfiable,
};
pub use status::{CredentialsStatus, ModelStatus, OllamaServiceStatus, SecretStatus};

/// Longest name of an OllamaService: its longest child, `NAME-credentials`, must fit into 63 characters.
pub const MAXIMUM_NAME_LENGTH: usize = 50;

/// Environment variables of Ollama that the operator owns: each would open Ollama up, move its files, or has a field.
pub const OWNED_VARIABLES: [&str; 10] = [
    "HOME",
    "NVIDIA_VISIBLE_DEVICES",
    "OLLAMA_CONTEXT_LENGTH",
    "OLLAMA_DEBUG_LOG_REQUESTS",
    "OLLAMA_HOST",
    "OLLAMA_KEEP_ALIVE",
    "OLLAMA_MODELS",
    "OLLAMA_NUM_PARALLEL",
    "OLLAMA_ORIGINS",
    "TMPDIR",
];

/// Names of the operator's volumes, beside those of issuers, which begin with `jwt-`.
pub const OWNED_VOLUMES: [&str; 13] = [
    "models",
    "home",
    "tmp",
    "state",
    "config",
    "basic",
    "api-keys",
    "ollama-keys",
    "client-certificates",
    "kubernetes",
    "tls",
    "digest-key",
    "registry-key",
];

/// How the names of resources begin that `spec.gpu` asks for, and `spec.resources` may not.
pub const GPU_RESOURCES: [&str; 4] = [
    "amd.com/gpu",
    "gpu.intel.com/",
    "nvidia.com/gpu",
    "nvidia.com/mig-",
];

/// The definition that is committed under `crds/` and installed by the chart.
pub fn definition() -> CustomResourceDefinition {
    OllamaService::crd()
}
