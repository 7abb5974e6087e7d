//! GPUs and the other resources of each replica.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::one;

/// GPUs of each replica.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.resourceName) || !self.resourceName.startsWith('nvidia.com/mig-') || self.count == 1")
        .message("gpu.count must be 1 with MIG slices: a process can use one slice only; take a larger profile, or more replicas"),
    validation = Rule::new("!has(self.resourceClaims) || (!has(self.resourceName) && self.count == 1)")
        .message("gpu.resourceClaims goes without count and resourceName: the claims say how many devices and which"),
)]
pub struct Gpu {
    /// Who makes it: decides the resource's name, Ollama's image and the environment. Ollama computes on Intel's GPUs by
    /// Vulkan (OLLAMA_VULKAN), for which its own image has no driver: name one in `image` that has Mesa's.
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
    /// Claims of dynamic resource allocation (resource.k8s.io/v1), in place of a device plugin's resource.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub resource_claims: Vec<GpuClaim>,
}

/// A claim of dynamic resource allocation: exactly one of a template, from which each Pod gets a claim of its own, and a
/// claim that all Pods share.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.resourceClaimTemplateName) != has(self.resourceClaimName)")
    .message("a claim needs exactly one of resourceClaimTemplateName and resourceClaimName"))]
pub struct GpuClaim {
    /// Its name in the Pod.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// A ResourceClaimTemplate in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub resource_claim_template_name: Option<String>,
    /// A ResourceClaim in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub resource_claim_name: Option<String>,
    /// One of the claim's requests; all of them without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub request: Option<String>,
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
    /// Intel: resource gpu.intel.com/i915, OLLAMA_VULKAN=1.
    Intel,
}

/// Resources of a container, as in a Pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// What the scheduler sets aside.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub requests: BTreeMap<String, Quantity>,
    /// What the container can't exceed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub limits: BTreeMap<String, Quantity>,
}
