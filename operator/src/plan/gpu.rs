//! GPUs: what is wrong with how they are asked for, and what the scheduler is asked.

use std::collections::BTreeSet;

use crate::crd::{GPU_RESOURCES, Gpu, GpuClaim, GpuVendor, OllamaServiceSpec, Resources};

/// How NVIDIA's device plugin names slices of a GPU.
const MIG_PREFIX: &str = "nvidia.com/mig-";

/// A GPU as the scheduler knows it.
#[derive(Debug)]
pub(super) struct GpuRequest<'a> {
    pub(super) vendor: GpuVendor,
    /// The resource asked for.
    pub(super) resource: String,
    /// The key of the taint that such nodes usually have.
    pub(super) taint: &'static str,
    pub(super) count: i32,
    /// Claims in place of that resource.
    pub(super) claims: &'a [GpuClaim],
}

/// What is wrong with the GPUs of a spec, each by its field.
pub(super) fn gpu_problems(spec: &OllamaServiceSpec) -> Vec<String> {
    let mut problems = Vec::new();
    check_gpu(spec.gpu.as_ref(), &mut problems);
    check_resources(spec.resources.as_ref(), &mut problems);
    problems
}

fn check_gpu(gpu: Option<&Gpu>, problems: &mut Vec<String>) {
    let Some(Gpu {
        vendor: _,
        count,
        resource_name,
        resource_claims,
    }) = gpu
    else {
        return;
    };
    let slice = resource_name
        .as_deref()
        .is_some_and(|name| name.starts_with(MIG_PREFIX));
    if slice && *count != 1 {
        problems.push("spec.gpu.count: 1 with MIG slices, of which a process can use one only".to_owned());
    }
    if !resource_claims.is_empty() && (*count != 1 || resource_name.is_some()) {
        problems.push("spec.gpu: resourceClaims goes without count and resourceName".to_owned());
    }
    for claim in resource_claims {
        if claim.resource_claim_template_name.is_some() == claim.resource_claim_name.is_some() {
            problems.push(format!(
                "spec.gpu.resourceClaims: {} needs exactly one of resourceClaimTemplateName and resourceClaimName",
                claim.name
            ));
        }
    }
}

/// A GPU that is asked for here would come without what Ollama needs for it.
fn check_resources(resources: Option<&Resources>, problems: &mut Vec<String>) {
    let named = resources
        .into_iter()
        .flat_map(|Resources { requests, limits }| requests.keys().chain(limits.keys()));
    let gpus: BTreeSet<_> = named
        .filter(|name| GPU_RESOURCES.iter().any(|gpu| name.starts_with(gpu)))
        .collect();
    for name in gpus {
        problems.push(format!("spec.resources: {name} is asked for by spec.gpu"));
    }
}

/// What is asked of the scheduler.
pub(super) fn gpu_request(spec: &OllamaServiceSpec) -> Option<GpuRequest<'_>> {
    let gpu = spec.gpu.as_ref()?;
    let usual = match gpu.vendor {
        GpuVendor::Nvidia => "nvidia.com/gpu",
        GpuVendor::Amd => "amd.com/gpu",
        GpuVendor::Intel => "gpu.intel.com/i915",
    };
    Some(GpuRequest {
        vendor: gpu.vendor,
        resource: gpu.resource_name.clone().unwrap_or_else(|| usual.to_owned()),
        taint: usual,
        count: gpu.count,
        claims: &gpu.resource_claims,
    })
}
