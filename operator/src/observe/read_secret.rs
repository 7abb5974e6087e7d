//! What is taken from a Secret that was read.

use corral_proxy::digest::Entries;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

/// A Secret that was read.
#[derive(Clone, Debug)]
pub(super) struct ReadSecret {
    pub(super) resource_version: String,
    pub(super) entries: Entries,
}

impl From<Secret> for ReadSecret {
    fn from(secret: Secret) -> Self {
        let resource_version = secret.resource_version().unwrap_or_default();
        let data = secret.data.into_iter().flatten();
        Self {
            resource_version,
            entries: data.map(|(name, content)| (name, content.0)).collect(),
        }
    }
}
