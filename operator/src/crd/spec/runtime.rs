//! How Ollama runs.

use k8s_openapi::api::core::v1::EnvVar;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

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
