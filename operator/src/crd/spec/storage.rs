//! Where models are kept.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where models are kept: exactly one of size, existingClaim, ephemeral.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.size), has(self.existingClaim), has(self.ephemeral)].filter(given, given).size() == 1")
        .message("storage needs exactly one of size (a claim made for you), existingClaim (one you made) or ephemeral (lasts as long as the Pod)"),
    validation = Rule::new("has(self.size) || !(has(self.storageClassName) || has(self.accessModes) || has(self.retain))")
        .message("storageClassName, accessModes and retain go with size: an existing claim has its own"),
    validation = Rule::new("!has(self.size) || quantity(self.size).isGreaterThan(quantity('0'))")
        .message("storage.size must be more than 0"),
    validation = Rule::new("!has(self.accessModes) || self.accessModes.size() == 1 || !('ReadWriteOncePod' in self.accessModes)")
        .message("storage.accessModes: ReadWriteOncePod goes alone"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || (has(self.storageClassName) ? (has(oldSelf.storageClassName) && self.storageClassName == oldSelf.storageClassName) : !has(oldSelf.storageClassName))")
        .message("storage.storageClassName can't change once the claim is there: make another OllamaService, or move to an existingClaim"),
    validation = Rule::new("!has(self.size) || !has(oldSelf.size) || (has(self.accessModes) ? (has(oldSelf.accessModes) && self.accessModes == oldSelf.accessModes) : !has(oldSelf.accessModes))")
        .message("storage.accessModes can't change once the claim is there: make another OllamaService, or move to an existingClaim"),
)]
pub struct Storage {
    /// Size of the claim NAME-models that the operator makes, such as 50Gi. It may grow, where the StorageClass allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size: Option<String>,
    /// StorageClass of that claim; the cluster's default without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
    /// Access modes of that claim, ReadWriteOnce without it: replicas on several nodes need ReadWriteMany.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4), extend("items" = {
        "type": "string", "enum": ["ReadWriteOnce", "ReadWriteOncePod", "ReadWriteMany"]}))]
    pub access_modes: Option<Vec<String>>,
    /// What becomes of that claim when the OllamaService is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retain: Option<Retention>,
    /// A PersistentVolumeClaim of yours in the same namespace. Nobody deletes it. NAME-models is no such name: that claim is
    /// the operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub existing_claim: Option<String>,
    /// A volume of each replica's own, for as long as its Pod lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ephemeral: Option<EphemeralStorage>,
}

/// What becomes of a claim when its OllamaService is deleted: Delete without it. One that was kept is taken over by the
/// next OllamaService of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Retention {
    /// It goes too.
    #[default]
    Delete,
    /// It stays, with its models.
    Retain,
}

/// A volume of each replica's own: on the node's disk, or of a StorageClass.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.storageClassName) || has(self.sizeLimit)")
        .message("storage.ephemeral.storageClassName needs sizeLimit: it is the size of each replica's volume"),
    validation = Rule::new("!has(self.sizeLimit) || quantity(self.sizeLimit).isGreaterThan(quantity('0'))")
        .message("storage.ephemeral.sizeLimit must be more than 0"),
)]
pub struct EphemeralStorage {
    /// StorageClass of each replica's volume. Without it the models are on the node's own disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
    /// How much the models may take: the size of the volume, or what the node evicts the Pod for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")
    )]
    pub size_limit: Option<String>,
}
