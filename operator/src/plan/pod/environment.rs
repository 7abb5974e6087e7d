//! The environment of the Ollama container (Ollama's envconfig/config.go).

use k8s_openapi::api::core::v1::EnvVar;

use super::volumes;
use crate::crd::{GpuVendor, Runtime};
use crate::plan::{Prepared, storage};

/// What the operator owns, what has a field, and then the rest.
pub(super) fn environment(prepared: &Prepared<'_>) -> Vec<EnvVar> {
    let runtime = prepared.spec.runtime.clone().unwrap_or_default();
    let owned = owned(prepared);
    let fields = fields(&runtime);
    let defaults = defaults(prepared).into_iter().filter(|(name, _)| {
        let in_field = fields
            .iter()
            .any(|(field, value)| field == name && value.is_some());
        !in_field && runtime.env.iter().all(|variable| variable.name != *name)
    });
    let defaults: Vec<_> = defaults.collect();
    let all = owned.into_iter().chain(defaults).chain(fields);
    let given = all.filter(|(_, value)| value.is_some());
    let named = given.map(|(name, value)| EnvVar {
        name: name.to_owned(),
        value,
        value_from: None,
    });
    named.chain(runtime.env).collect()
}

/// Whether parts of models that no model needs stay on the volume, and in whose words.
pub(in crate::plan) fn keeps_parts(prepared: &Prepared<'_>) -> Option<EnvVar> {
    let mut variables = environment(prepared).into_iter();
    variables.find(|variable| variable.name == KEEPS_PARTS)
}

const KEEPS_PARTS: &str = "OLLAMA_NOPRUNE";

type Variable = (&'static str, Option<String>);

fn owned(prepared: &Prepared<'_>) -> Vec<Variable> {
    vec![
        ("HOME", Some(volumes::HOME_DIRECTORY.to_owned())),
        ("TMPDIR", Some(volumes::TEMPORARY_DIRECTORY.to_owned())),
        ("OLLAMA_HOST", Some("127.0.0.1:11434".to_owned())),
        ("OLLAMA_MODELS", Some(volumes::MODELS_DIRECTORY.to_owned())),
        // The image says `all`, which on a node whose default runtime is NVIDIA's hands out GPUs that nobody asked for.
        // NVIDIA's device plugin sets its own; a claim's devices come by CDI, which needs none.
        (
            "NVIDIA_VISIBLE_DEVICES",
            (!by_nvidia_plugin(prepared)).then(|| "void".to_owned()),
        ),
    ]
}

fn by_nvidia_plugin(prepared: &Prepared<'_>) -> bool {
    let gpu = prepared.gpu.as_ref();
    gpu.is_some_and(|gpu| gpu.vendor == GpuVendor::Nvidia && gpu.claims.is_empty())
}

/// What holds unless the user says otherwise, in a field or in the environment.
fn defaults(prepared: &Prepared<'_>) -> [Variable; 3] {
    let shared = storage::is_shared(prepared.spec.storage.as_ref());
    let intel = prepared
        .gpu
        .as_ref()
        .is_some_and(|gpu| gpu.vendor == GpuVendor::Intel);
    [
        ("OLLAMA_NO_CLOUD", Some("true".to_owned())),
        (KEEPS_PARTS, shared.then(|| "true".to_owned())),
        // Nothing else of Ollama's computes on Intel's GPUs, and without this it passes Vulkan over (discover/runner.go).
        ("OLLAMA_VULKAN", intel.then(|| "true".to_owned())),
    ]
}

fn fields(runtime: &Runtime) -> Vec<Variable> {
    let Runtime {
        keep_alive,
        context_length,
        num_parallel,
        max_loaded_models,
        max_queue,
        load_timeout,
        flash_attention,
        kv_cache_type,
        gpu_overhead_bytes,
        spread_over_gpus,
        llm_library,
        hsa_override_gfx_version,
        no_prune,
        cloud,
        debug,
        https_proxy,
        no_proxy,
        env: _,
    } = runtime;
    let number = |number: &Option<i32>| number.map(|number| number.to_string());
    let switch = |switch: &Option<bool>| switch.map(|switch| switch.to_string());
    vec![
        ("OLLAMA_KEEP_ALIVE", keep_alive.clone()),
        ("OLLAMA_CONTEXT_LENGTH", number(context_length)),
        ("OLLAMA_NUM_PARALLEL", number(num_parallel)),
        ("OLLAMA_MAX_LOADED_MODELS", number(max_loaded_models)),
        ("OLLAMA_MAX_QUEUE", number(max_queue)),
        ("OLLAMA_LOAD_TIMEOUT", load_timeout.clone()),
        ("OLLAMA_FLASH_ATTENTION", switch(flash_attention)),
        (
            "OLLAMA_KV_CACHE_TYPE",
            kv_cache_type.map(|kind| kind.name().to_owned()),
        ),
        (
            "OLLAMA_GPU_OVERHEAD",
            gpu_overhead_bytes.map(|bytes| bytes.to_string()),
        ),
        ("OLLAMA_SCHED_SPREAD", switch(spread_over_gpus)),
        ("OLLAMA_LLM_LIBRARY", llm_library.clone()),
        ("HSA_OVERRIDE_GFX_VERSION", hsa_override_gfx_version.clone()),
        (KEEPS_PARTS, switch(no_prune)),
        ("OLLAMA_NO_CLOUD", cloud.map(|cloud| (!cloud).to_string())),
        ("OLLAMA_DEBUG", switch(debug)),
        ("HTTPS_PROXY", https_proxy.clone()),
        ("NO_PROXY", no_proxy.clone()),
    ]
}

/// Variables of the environment whose field is given as well: one of both would be ignored without a word.
pub(in crate::plan) fn given_twice(runtime: &Runtime) -> Vec<&str> {
    let fields = fields(runtime);
    let twice = runtime.env.iter().filter(|variable| {
        let same = |(name, value): &Variable| *name == variable.name && value.is_some();
        fields.iter().any(same)
    });
    twice.map(|variable| variable.name.as_str()).collect()
}
