//! How Ollama runs.

use k8s_openapi::api::core::v1::EnvVar;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How Ollama runs. A change restarts the Pods.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.env) || self.env.all(variable, !(\
        has(self.cloud) && variable.name == 'OLLAMA_NO_CLOUD' || \
        has(self.debug) && variable.name == 'OLLAMA_DEBUG' || \
        has(self.flashAttention) && variable.name == 'OLLAMA_FLASH_ATTENTION' || \
        has(self.gpuOverheadBytes) && variable.name == 'OLLAMA_GPU_OVERHEAD' || \
        has(self.hsaOverrideGfxVersion) && variable.name == 'HSA_OVERRIDE_GFX_VERSION' || \
        has(self.httpsProxy) && variable.name == 'HTTPS_PROXY' || \
        has(self.kvCacheType) && variable.name == 'OLLAMA_KV_CACHE_TYPE' || \
        has(self.llmLibrary) && variable.name == 'OLLAMA_LLM_LIBRARY' || \
        has(self.loadTimeout) && variable.name == 'OLLAMA_LOAD_TIMEOUT' || \
        has(self.maxLoadedModels) && variable.name == 'OLLAMA_MAX_LOADED_MODELS' || \
        has(self.maxQueue) && variable.name == 'OLLAMA_MAX_QUEUE' || \
        has(self.noPrune) && variable.name == 'OLLAMA_NOPRUNE' || \
        has(self.noProxy) && variable.name == 'NO_PROXY' || \
        has(self.spreadOverGpus) && variable.name == 'OLLAMA_SCHED_SPREAD'))")
        .message("a variable in runtime.env has a field of its own in runtime, and both are given: keep the field"),
    validation = Rule::new("!has(self.kvCacheType) || self.kvCacheType == 'f16' || !has(self.flashAttention) || self.flashAttention")
        .message("runtime.kvCacheType can only be f16 with flashAttention: false; without flash attention Ollama keeps f16 all the same"),
)]
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
    /// How many models may be in memory at a time (OLLAMA_MAX_LOADED_MODELS); three for each GPU, or on the CPU, without
    /// it. No fewer than have keepLoaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub max_loaded_models: Option<i32>,
    /// How many requests may wait before Ollama answers 503 (OLLAMA_MAX_QUEUE); 512 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_queue: Option<i32>,
    /// How long a model may take to load, such as 15m (OLLAMA_LOAD_TIMEOUT); 5m without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^([0-9]+|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$")
    )]
    pub load_timeout: Option<String>,
    /// Attention that takes less memory (OLLAMA_FLASH_ATTENTION); where the model and the GPU can, without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_attention: Option<bool>,
    /// How exactly the context is kept in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kv_cache_type: Option<KvCacheType>,
    /// Bytes of each GPU's memory that are left free (OLLAMA_GPU_OVERHEAD).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub gpu_overhead_bytes: Option<i64>,
    /// A model is spread over all GPUs even where one is enough (OLLAMA_SCHED_SPREAD).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread_over_gpus: Option<bool>,
    /// Which of Ollama's libraries computes, such as cuda_v12 (OLLAMA_LLM_LIBRARY); what it finds without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub llm_library: Option<String>,
    /// What an AMD GPU is taken for, such as 10.3.0, where ROCm doesn't know it (HSA_OVERRIDE_GFX_VERSION).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^[0-9]+\.[0-9]+\.[0-9]+$"))]
    pub hsa_override_gfx_version: Option<String>,
    /// Parts of models that no model needs stay on the volume (OLLAMA_NOPRUNE). Without it so on a volume that replicas
    /// may share, since one would clear away what another is pulling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_prune: Option<bool>,
    /// Requests may go on to Ollama's cloud models; without it they don't (OLLAMA_NO_CLOUD).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud: Option<bool>,
    /// A more talkative log (OLLAMA_DEBUG).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debug: Option<bool>,
    /// The proxy by which models are pulled (HTTPS_PROXY).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024), regex(pattern = r"^(https?|socks5h?)://[^@[:space:]]+$"))]
    pub https_proxy: Option<String>,
    /// Hosts that are reached without it (NO_PROXY).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub no_proxy: Option<String>,
    /// More environment of the Ollama container, as in a Pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new(
        "self.all(variable, !(variable.name in ['HOME', 'NVIDIA_VISIBLE_DEVICES', 'OLLAMA_CONTEXT_LENGTH', 'OLLAMA_DEBUG_LOG_REQUESTS', 'OLLAMA_HOST', 'OLLAMA_KEEP_ALIVE', 'OLLAMA_MODELS', 'OLLAMA_NUM_PARALLEL', 'OLLAMA_ORIGINS', 'TMPDIR']))")
        .message("the operator owns HOME, TMPDIR, NVIDIA_VISIBLE_DEVICES, OLLAMA_HOST, OLLAMA_ORIGINS, OLLAMA_MODELS and OLLAMA_DEBUG_LOG_REQUESTS; for OLLAMA_KEEP_ALIVE, OLLAMA_CONTEXT_LENGTH and OLLAMA_NUM_PARALLEL use keepAlive, contextLength and numParallel"))]
    #[x_kube(validation = Rule::new("self.all(variable, variable.name != '')")
        .message("a variable in runtime.env needs a name"))]
    #[x_kube(validation = Rule::new(
        "self.all(variable, !has(variable.valueFrom) || \
         (!has(variable.value) || variable.value == '') && [has(variable.valueFrom.configMapKeyRef), \
         has(variable.valueFrom.fieldRef), has(variable.valueFrom.resourceFieldRef), \
         has(variable.valueFrom.secretKeyRef)].exists_one(source, source))")
        .message("a variable in runtime.env has a value or a valueFrom, and a valueFrom names one source: configMapKeyRef, fieldRef, resourceFieldRef or secretKeyRef"))]
    pub env: Vec<EnvVar>,
}

/// How exactly the context is kept in memory (OLLAMA_KV_CACHE_TYPE). Less than f16 takes flashAttention: true; without that
/// only those models have it for which Ollama turns it on by itself, and with false none. All others have f16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum KvCacheType {
    /// In full.
    F16,
    /// In half of the memory, with little loss.
    Q8_0,
    /// In a quarter of it, with more loss.
    Q4_0,
}

impl KvCacheType {
    /// As Ollama calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        }
    }
}
