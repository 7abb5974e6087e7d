//! Where models are kept.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource, Volume, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::Prepared;
use super::names::{claim_name, metadata};

/// The claim for `storage.size`. It belongs to the OllamaService and goes with it; a Pod that goes leaves it be.
pub(super) fn claim(prepared: &Prepared<'_>) -> Option<PersistentVolumeClaim> {
    let storage = prepared.spec.storage.as_ref()?;
    let size = storage.size.clone()?;
    let modes = storage.access_modes.clone();
    Some(PersistentVolumeClaim {
        metadata: metadata(prepared, &claim_name(prepared.name)),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(modes.unwrap_or_else(|| vec!["ReadWriteOnce".to_owned()])),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(size))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    })
}

/// The volume of that name with the models in it.
pub(super) fn models_volume(prepared: &Prepared<'_>, name: &str) -> Volume {
    let storage = prepared.spec.storage.clone().unwrap_or_default();
    let own = storage.size.map(|_| claim_name(prepared.name));
    let claim = storage.existing_claim.or(own);
    let limit = storage
        .ephemeral
        .and_then(|ephemeral| ephemeral.size_limit)
        .map(Quantity);
    Volume {
        name: name.to_owned(),
        empty_dir: claim.is_none().then(|| EmptyDirVolumeSource {
            size_limit: limit,
            ..Default::default()
        }),
        persistent_volume_claim: claim.map(|claim_name| PersistentVolumeClaimVolumeSource {
            claim_name,
            ..Default::default()
        }),
        ..Volume::default()
    }
}
