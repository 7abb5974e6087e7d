//! Names and labels of the children.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::Prepared;
use crate::crd::OllamaService;

/// The operator's name in labels, as field manager and as reporter of events.
pub const MANAGER: &str = "corral-operator";
/// Tells what the operator last said of a child: a field that it says no more would else go unnoticed.
pub(super) const PLAN_ANNOTATION: &str = "corral.dev/plan";
/// On the Deployment of an autoscaler: its replicas are no longer the operator's.
pub const AUTOSCALED_ANNOTATION: &str = "corral.dev/autoscaled";
/// On a Deployment: a digest of what the user asks of the Pods.
pub const REQUESTED_ANNOTATION: &str = "corral.dev/requested";
/// On a Deployment: a digest of the Pods as the operator makes them from that.
pub const TEMPLATE_ANNOTATION: &str = "corral.dev/template";
/// On a Pod, not on the template: any change of it makes the kubelet refresh the Pod's mounts at once.
pub const NUDGE_ANNOTATION: &str = "corral.dev/nudge";

/// The volume with the key of the proxies' digests.
pub const DIGEST_KEY_VOLUME: &str = "digest-key";

/// Which container kubectl means where none is named.
pub(super) const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

const NAME: &str = "ollamaservice";
const NAME_LABEL: &str = "app.kubernetes.io/name";
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// The label that says who looks after an object.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// Labels of all children of that OllamaService.
pub(super) fn labels(instance: &str) -> BTreeMap<String, String> {
    let mut labels = selector_labels(instance);
    for (label, value) in [
        (MANAGED_BY_LABEL, MANAGER),
        ("app.kubernetes.io/part-of", "corral"),
        ("app.kubernetes.io/component", "server"),
    ] {
        labels.insert(label.to_owned(), value.to_owned());
    }
    labels
}

/// Labels by which Deployment, Service and NetworkPolicy find the Pods; a Deployment's can never change.
pub(super) fn selector_labels(instance: &str) -> BTreeMap<String, String> {
    [(NAME_LABEL, NAME), (INSTANCE_LABEL, instance)]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into()
}

/// The same as a selector in text.
pub fn selector(instance: &str) -> String {
    format!("{NAME_LABEL}={NAME},{INSTANCE_LABEL}={instance}")
}

/// Selects the children of every OllamaService.
pub fn child_selector() -> String {
    format!("{MANAGED_BY_LABEL}={MANAGER},{NAME_LABEL}={NAME}")
}

/// The OllamaService that an object's labels say it belongs to.
pub fn instance_of(metadata: &ObjectMeta) -> Option<&str> {
    let labels = metadata.labels.as_ref()?;
    labels.get(INSTANCE_LABEL).map(String::as_str)
}

/// The OllamaService that owns an object: its name and uid.
pub fn service_of(metadata: &ObjectMeta) -> Option<(&str, &str)> {
    let owners = metadata.owner_references.as_deref().unwrap_or_default();
    owners
        .iter()
        .find(|owner| {
            owner.kind == OllamaService::kind(&()) && owner.api_version == OllamaService::api_version(&())
        })
        .map(|owner| (owner.name.as_str(), owner.uid.as_str()))
}

/// Name of the Secret that is made where no `auth` is given.
pub fn credentials_name(instance: &str) -> String {
    format!("{instance}-credentials")
}

/// Name of the Secret that keys the digests on the proxies' `/status`.
pub fn digest_key_name(instance: &str) -> String {
    format!("{instance}-digest-key")
}

/// Name of the Secret with the certificate that cert-manager makes.
pub(super) fn tls_name(instance: &str) -> String {
    format!("{instance}-tls")
}

/// Name of the claim that is made for `storage.size`.
pub(super) fn claim_name(instance: &str) -> String {
    format!("{instance}-models")
}

/// Metadata of a child. Without the OllamaService's uid, as when rendering a file, there is no owner to name.
pub(super) fn metadata(prepared: &Prepared<'_>, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(prepared.namespace.to_owned()),
        labels: Some(labels(prepared.name)),
        owner_references: prepared.uid.map(|uid| vec![owner(prepared.name, uid)]),
        ..ObjectMeta::default()
    }
}

fn owner(name: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: OllamaService::api_version(&()).into_owned(),
        kind: OllamaService::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}
