//! The Deployment around the Pods.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Prepared;
use super::names::{
    AUTOSCALED_ANNOTATION, REQUESTED_ANNOTATION, TEMPLATE_ANNOTATION, metadata, selector_labels,
};
use super::{pod, storage};
use crate::crd::{EphemeralStorage, OllamaServiceSpec, Storage, UpgradePolicy};

/// Pods are replaced one at a time.
pub(super) fn deployment(prepared: &Prepared<'_>) -> Result<Deployment, serde_json::Error> {
    let replicas = prepared.replicas.field();
    let surge = surges(prepared);
    let template = pod::template(prepared);
    let mut metadata = metadata(prepared, prepared.name);
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(REQUESTED_ANNOTATION.to_owned(), requested(prepared)?);
    annotations.insert(TEMPLATE_ANNOTATION.to_owned(), digest(&template)?);
    if replicas.is_none() {
        annotations.insert(AUTOSCALED_ANNOTATION.to_owned(), "true".to_owned());
    }
    Ok(Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas,
            revision_history_limit: Some(3),
            selector: LabelSelector {
                match_labels: Some(selector_labels(prepared.name)),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(surge.into())),
                    max_unavailable: Some(IntOrString::Int((!surge).into())),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    })
}

/// Whether the new Pod comes first. By itself only where it can't have to wait for ever for the GPU or the volume that the
/// old one holds.
fn surges(prepared: &Prepared<'_>) -> bool {
    let asked = prepared.spec.rollout.as_ref().and_then(|rollout| rollout.surge);
    asked
        .unwrap_or_else(|| prepared.gpu.is_none() && storage::is_read_by_many(prepared.spec.storage.as_ref()))
}

/// What the user asks of the Pods: all of the spec but what never changes them. A field that is not named here counts.
fn requested(prepared: &Prepared<'_>) -> Result<String, serde_json::Error> {
    let of_spec = OllamaServiceSpec {
        replicas: 0,
        autoscaling: None,
        suspend: false,
        disruption: None,
        upgrade_policy: UpgradePolicy::default(),
        rollout: None,
        models: Vec::new(),
        parallel_pulls: None,
        prune_models: false,
        access: Vec::new(),
        service: None,
        streams: None,
        storage: Some(of_pods(prepared.spec.storage.clone().unwrap_or_default())),
        // Of these the Pods have only the volumes with credentials.
        auth: None,
        network: None,
        ..prepared.spec.clone()
    };
    digest(&(
        of_spec,
        pod::credential_volumes(prepared),
        pod::environment::keeps_parts(prepared),
    ))
}

/// What the Pods have of the storage: which volume it is, and of one that comes and goes with them, how it is made.
fn of_pods(storage: Storage) -> Storage {
    let Storage {
        size,
        storage_class_name: _,
        access_modes: _,
        retain: _,
        existing_claim,
        ephemeral,
    } = storage;
    Storage {
        size: size.map(|_| String::new()),
        existing_claim,
        ephemeral: ephemeral.filter(|ephemeral| *ephemeral != EphemeralStorage::default()),
        ..Storage::default()
    }
}

fn digest(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(hex::encode(&Sha256::digest(serde_json::to_vec(value)?)[..8]))
}
