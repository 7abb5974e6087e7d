//! What the operator answers.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the service is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OllamaServiceStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Available, CredentialsSynced, ModelsReady, Degraded; StorageReady where a claim is made for the models,
    /// Exposed where a way from outside the cluster is asked for, AnonymousAccess where callers need no credential. The
    /// message says what to do; docs/operations.md has the reasons.
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where clients in the cluster find it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Pods that there are.
    pub replicas: i32,
    /// Pods that take traffic.
    pub ready_replicas: i32,
    /// What a new version of the operator would change in the Pods, and what has it go in; nothing waits without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_upgrade: Option<String>,
    /// Label selector of the Pods, for the scale subresource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// The credentials in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsStatus>,
    /// The models of the spec, over all replicas.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelStatus>,
    /// Models that every replica has, of those asked for: `1/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_models: Option<String>,
}

impl OllamaServiceStatus {
    /// Whether it has a condition of that type that is true.
    pub fn says(&self, type_: &str) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| condition.type_ == type_ && condition.status == "True")
    }
}

/// The credentials in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CredentialsStatus {
    /// A short name of what `secrets` lists: it changes when another set of credentials is in force everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Clients that the Secrets let in.
    pub clients: i32,
    /// Running replicas that have the Secrets' newest content in force.
    pub synced_replicas: i32,
    /// For each Secret the resourceVersion that every replica has in force. When it equals the Secret's own, the last
    /// edit is in force everywhere.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretStatus>,
}

/// A Secret in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStatus {
    /// Its name.
    pub name: String,
    /// The resourceVersion that every replica has in force.
    pub resource_version: String,
}

/// A model over all replicas: as far as the replica that is least far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModelStatus {
    /// As in the spec.
    pub name: String,
    /// Pending, Pulling, Making, Loading, Ready or Failed.
    pub state: String,
    /// How much of it is pulled, in percent, while it is being pulled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<i32>,
    /// How many bytes that were when the percentage was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_bytes: Option<i64>,
    /// Out of how many, as far as Ollama has said: it tells of one part after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<i64>,
    /// Its manifest's digest, the last one that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Since when it has that digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_since: Option<Time>,
    /// Its size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
    /// Why it failed, in Ollama's words, or what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
