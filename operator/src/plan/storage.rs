//! Where models are kept.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, EphemeralVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeClaimTemplate, PersistentVolumeClaimVolumeSource, Volume, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Prepared;
use super::names::{claim_name, labels, metadata};
use crate::crd::{EphemeralStorage, Retention, Storage};

const ONE_POD: &str = "ReadWriteOncePod";
const ONE_NODE: &str = "ReadWriteOnce";
const MANY_NODES: &str = "ReadWriteMany";
/// Where a claim has the size that it asks for, as a JSON pointer.
pub const CLAIM_SIZE: &str = "/spec/resources/requests/storage";
/// Where it has the size of its volume.
pub const CLAIM_CAPACITY: &str = "/status/capacity/storage";
/// Has Argo CD leave be what it takes for an Application's own by its label app.kubernetes.io/instance (Argo CD's
/// documentation: Sync Options, "No Prune Resources"). What has an owner it never prunes.
const NOT_PRUNED: (&str, &str) = ("argocd.argoproj.io/sync-options", "Prune=false");

/// The claim for `storage.size`. It has an owner, with whom it goes, unless it is to be kept; a Pod that goes leaves it be.
pub(super) fn claim(prepared: &Prepared<'_>) -> Option<PersistentVolumeClaim> {
    let storage = prepared.spec.storage.as_ref()?;
    let size = storage.size.clone()?;
    let modes = storage.access_modes.clone();
    let mut metadata = metadata(prepared, &claim_name(prepared.name));
    if storage.retain == Some(Retention::Retain) {
        metadata.owner_references = None;
        let annotations = metadata.annotations.get_or_insert_default();
        let (name, value) = NOT_PRUNED;
        annotations.insert(name.to_owned(), value.to_owned());
    }
    Some(PersistentVolumeClaim {
        metadata,
        spec: Some(claim_spec(
            modes.unwrap_or_else(|| vec![ONE_NODE.to_owned()]),
            storage.storage_class_name.clone(),
            size,
        )),
        ..PersistentVolumeClaim::default()
    })
}

fn claim_spec(
    access_modes: Vec<String>,
    storage_class_name: Option<String>,
    size: String,
) -> PersistentVolumeClaimSpec {
    PersistentVolumeClaimSpec {
        access_modes: Some(access_modes),
        storage_class_name,
        resources: Some(VolumeResourceRequirements {
            requests: Some([("storage".to_owned(), Quantity(size))].into()),
            ..VolumeResourceRequirements::default()
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}

/// Whether replicas may have the same models: a ReadWriteOnce volume is had by all on its node. Ollama clears away at its
/// start what no model of its own needs, and would take from the others what they are just pulling.
pub(super) fn is_shared(storage: Option<&Storage>) -> bool {
    storage.is_some_and(|storage| {
        let has_one_pod = storage
            .access_modes
            .as_ref()
            .is_some_and(|modes| modes.iter().all(|mode| mode == ONE_POD));
        storage.existing_claim.is_some() || (storage.size.is_some() && !has_one_pod)
    })
}

/// Whether the claim is one that Pods on any nodes may have at the same time.
pub(super) fn is_read_by_many(storage: Option<&Storage>) -> bool {
    let modes = storage.and_then(|storage| storage.access_modes.as_ref());
    modes.is_some_and(|modes| modes.iter().any(|mode| mode == MANY_NODES))
}

/// The volume of that name with the models in it.
pub(super) fn models_volume(prepared: &Prepared<'_>, name: &str) -> Volume {
    let storage = prepared.spec.storage.clone().unwrap_or_default();
    let own = storage.size.map(|_| claim_name(prepared.name));
    let volume = Volume {
        name: name.to_owned(),
        ..Volume::default()
    };
    match storage.existing_claim.or(own) {
        Some(claim_name) => Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name,
                ..Default::default()
            }),
            ..volume
        },
        None => for_one_pod(prepared, storage.ephemeral.unwrap_or_default(), volume),
    }
}

/// Kubernetes makes the claim of such a volume with the Pod and deletes it with the Pod.
fn for_one_pod(prepared: &Prepared<'_>, ephemeral: EphemeralStorage, volume: Volume) -> Volume {
    let EphemeralStorage {
        storage_class_name,
        size_limit,
    } = ephemeral;
    let (Some(class), Some(size)) = (storage_class_name, &size_limit) else {
        return Volume {
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: size_limit.map(Quantity),
                ..Default::default()
            }),
            ..volume
        };
    };
    let template = PersistentVolumeClaimTemplate {
        metadata: Some(ObjectMeta {
            labels: Some(labels(prepared.name)),
            ..ObjectMeta::default()
        }),
        spec: claim_spec(vec![ONE_NODE.to_owned()], Some(class), size.clone()),
    };
    Volume {
        ephemeral: Some(EphemeralVolumeSource {
            volume_claim_template: Some(template),
        }),
        ..volume
    }
}
