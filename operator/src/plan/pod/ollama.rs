//! The container of Ollama.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar, ExecAction, Probe, ResourceClaim, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{container_security, volumes};
use crate::crd::{GpuClaim, GpuVendor};
use crate::plan::{Prepared, storage};

pub(super) const CONTAINER: &str = "ollama";

/// Ollama's image has `/bin/ollama` as its entry point.
pub(super) fn container(prepared: &Prepared<'_>) -> Container {
    Container {
        name: CONTAINER.to_owned(),
        image: Some(prepared.ollama_image.clone()),
        image_pull_policy: Some(format!("{:?}", prepared.pull_policy)),
        args: Some(vec!["serve".to_owned()]),
        env: Some(environment(prepared)),
        restart_policy: Some("Always".to_owned()),
        startup_probe: Some(startup_probe()),
        resources: resources(prepared),
        security_context: Some(container_security()),
        volume_mounts: Some(volumes::of_ollama()),
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

fn environment(prepared: &Prepared<'_>) -> Vec<EnvVar> {
    let runtime = prepared.spec.runtime.clone().unwrap_or_default();
    let number = |number: Option<i32>| number.map(|number| number.to_string());
    let cloud = runtime
        .env
        .iter()
        .any(|variable| variable.name == "OLLAMA_NO_CLOUD");
    let prunes = runtime
        .env
        .iter()
        .any(|variable| variable.name == "OLLAMA_NOPRUNE");
    let shared = storage::is_shared(prepared.spec.storage.as_ref());
    let owned = [
        ("HOME", Some(volumes::HOME_DIRECTORY.to_owned())),
        ("TMPDIR", Some(volumes::TEMPORARY_DIRECTORY.to_owned())),
        ("OLLAMA_HOST", Some("127.0.0.1:11434".to_owned())),
        ("OLLAMA_MODELS", Some(volumes::MODELS_DIRECTORY.to_owned())),
        ("OLLAMA_NO_CLOUD", (!cloud).then(|| "true".to_owned())),
        ("OLLAMA_NOPRUNE", (shared && !prunes).then(|| "true".to_owned())),
        // The image says `all`, which on a node whose default runtime is NVIDIA's hands out GPUs that nobody asked for.
        // NVIDIA's device plugin sets its own; a claim's devices come by CDI, which needs none.
        (
            "NVIDIA_VISIBLE_DEVICES",
            (!by_nvidia_plugin(prepared)).then(|| "void".to_owned()),
        ),
        ("OLLAMA_KEEP_ALIVE", runtime.keep_alive),
        ("OLLAMA_CONTEXT_LENGTH", number(runtime.context_length)),
        ("OLLAMA_NUM_PARALLEL", number(runtime.num_parallel)),
    ];
    let given = owned.into_iter().filter(|(_, value)| value.is_some());
    let owned = given.map(|(name, value)| EnvVar {
        name: name.to_owned(),
        value,
        value_from: None,
    });
    owned.chain(runtime.env).collect()
}

fn by_nvidia_plugin(prepared: &Prepared<'_>) -> bool {
    let gpu = prepared.gpu.as_ref();
    gpu.is_some_and(|gpu| gpu.vendor == GpuVendor::Nvidia && gpu.claims.is_empty())
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
    let given = |list: BTreeMap<_, _>| Some(list).filter(|list| !list.is_empty());
    let resources = ResourceRequirements {
        limits: given(limits),
        requests: given(requests),
        claims: Some(claims).filter(|claims| !claims.is_empty()),
    };
    Some(resources).filter(|resources| *resources != ResourceRequirements::default())
}

fn of_claim(claim: &GpuClaim) -> ResourceClaim {
    ResourceClaim {
        name: claim.name.clone(),
        request: claim.request.clone(),
    }
}
