//! Models that every replica has.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model that every replica has: pulled from a registry, or made from a Modelfile.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.digest) || !has(self.modelfile)")
        .message("models: digest goes with a model that is pulled; one that a modelfile makes has whatever digest comes of it"),
    validation = Rule::new("!self.name.contains('@')")
        .message("models: name can't hold a user and a password, since Ollama sends a registry none"),
)]
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
    /// Pull it, or the model that its modelfile begins with, from a registry without TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// The digest that its manifest must have, as in `status.models`: with another one the model isn't ready. Any without
    /// it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^(sha256:)?[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// Make it from a Modelfile instead of pulling it. When that changes, the model is made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modelfile: Option<ModelfileSource>,
}

/// The private key by which registries know this Ollama.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryKey {
    /// An entry of a Secret in the same namespace: an ed25519 key without a passphrase, as OpenSSH and Ollama write it.
    pub secret_key_ref: SecretKeyRef,
}

/// An entry of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The entry's name.
    #[serde(default = "usual_file")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// Ollama's own name of the file (ollama/auth/auth.go, `defaultPrivateKey`).
fn usual_file() -> String {
    "id_ed25519".to_owned()
}

/// Where a Modelfile stands. Its FROM names a model, which is pulled if it isn't there; ADAPTER and paths of files can't be
/// used, since there are no files beside Ollama.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelfileSource {
    /// An entry of a ConfigMap in the same namespace.
    pub config_map_key_ref: ConfigMapKeyRef,
}

/// An entry of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigMapKeyRef {
    /// The ConfigMap's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The entry's name.
    #[serde(default = "usual_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

fn usual_key() -> String {
    "Modelfile".to_owned()
}
