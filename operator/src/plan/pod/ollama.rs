//! The container of Ollama.

use k8s_openapi::api::core::v1::{Container, ExecAction, Probe, ResourceClaim, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{container_security, environment, requirements, volumes};
use crate::crd::GpuClaim;
use crate::plan::Prepared;

pub(super) const CONTAINER: &str = "ollama";

/// Ollama's image has `/bin/ollama` as its entry point.
pub(super) fn container(prepared: &Prepared<'_>) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(prepared.ollama_image.clone()),
        image_pull_policy: Some(format!("{:?}", prepared.pull_policy)),
        args: Some(vec!["serve".to_owned()]),
        env: Some(environment::environment(prepared)),
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(startup_probe()),
        resources: resources(prepared),
        security_context: Some(container_security()),
        volume_mounts: Some(volumes::of_ollama(prepared)),
        ..Container::default()
    }
}

/// The proxy starts once this succeeds. Afterwards the process ends by itself or not at all: a probe that kills it would
/// kill pulls and long generations.
fn startup_probe() -> Probe {
    Probe {
        exec: Some(ExecAction {
            command: Some(vec!["ollama".to_owned(), "list".to_owned()]),
        }),
        period_seconds: Some(1),
        timeout_seconds: Some(5),
        failure_threshold: Some(120),
        ..Probe::default()
    }
}

/// What the user asks for, and the GPU, which `gpu` alone decides.
fn resources(prepared: &Prepared<'_>) -> Option<ResourceRequirements> {
    let resources = prepared.spec.resources.clone().unwrap_or_default();
    let mut limits = resources.limits;
    let mut requests = resources.requests;
    let claims = prepared.gpu.iter().flat_map(|gpu| gpu.claims);
    let claims: Vec<_> = claims.map(of_claim).collect();
    if let Some(gpu) = prepared.gpu.as_ref().filter(|_| claims.is_empty()) {
        let count = Quantity(gpu.count.to_string());
        limits.insert(gpu.resource.clone(), count.clone());
        requests.insert(gpu.resource.clone(), count);
    }
    let resources = requirements(requests, limits, claims);
    Some(resources).filter(|resources| *resources != ResourceRequirements::default())
}

fn of_claim(claim: &GpuClaim) -> ResourceClaim {
    ResourceClaim {
        name: claim.name.clone(),
        request: claim.request.clone(),
    }
}
