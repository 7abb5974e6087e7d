//! From a changed object to the OllamaServices that it concerns.

use kube::ResourceExt;

use super::{Guarded, Index, Kept};
use crate::memory::Key;

/// An OllamaService concerns itself.
pub(super) fn itself(service: &Guarded) -> Vec<Key> {
    vec![(service.namespace().unwrap_or_default(), service.name_any())]
}

/// A child or a Pod: the one that it belongs to.
pub(super) fn by_service<T>(kept: &Kept<T>) -> Vec<Key>
where
    Kept<T>: ResourceExt,
{
    let service = kept.service().map(str::to_owned);
    service
        .map(|service| (kept.namespace().unwrap_or_default(), service))
        .into_iter()
        .collect()
}

/// A Secret or ConfigMap: every OllamaService in its namespace that names it, or for which it was made.
pub(super) fn by_reference(naming: &Index, object: &impl ResourceExt) -> Vec<Key> {
    let namespace = object.namespace().unwrap_or_default();
    let naming = naming.naming(&namespace, &object.name_any()).into_iter();
    naming.map(|service| (namespace.clone(), service)).collect()
}
