//! From a changed object to the OllamaServices that it concerns.

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};

use super::Guarded;
use crate::plan::{instance_of, secret_names, service_of};

/// A child: its owner, or whom its labels name, since a claim that is to be kept has no owner.
pub(super) fn by_owner(_: &Store<Guarded>, child: &DynamicObject) -> Vec<ObjectRef<Guarded>> {
    let owner = service_of(&child.metadata).map(|(name, _)| name);
    named(
        owner.or_else(|| instance_of(child)),
        child.metadata.namespace.as_deref(),
    )
}

/// A Pod belongs to a ReplicaSet; its labels say to which OllamaService.
pub(super) fn by_label(_: &Store<Guarded>, pod: &Pod) -> Vec<ObjectRef<Guarded>> {
    named(instance_of(pod), pod.metadata.namespace.as_deref())
}

/// A Secret: every OllamaService in its namespace that names it, or for which it was made.
pub(super) fn by_reference(
    services: &Store<Guarded>,
    secret: &PartialObjectMeta<Secret>,
) -> Vec<ObjectRef<Guarded>> {
    let name = secret.name_any();
    let concerned = services.state_filter(|service| {
        let Ok(service) = &service.0 else { return false };
        service.metadata.namespace == secret.metadata.namespace
            && secret_names(service).any(|one| one == name)
    });
    concerned
        .iter()
        .map(|service| ObjectRef::from_obj(&**service))
        .collect()
}

fn named(name: Option<&str>, namespace: Option<&str>) -> Vec<ObjectRef<Guarded>> {
    let (Some(name), Some(namespace)) = (name, namespace) else {
        return Vec::new();
    };
    vec![ObjectRef::new(name).within(namespace)]
}
