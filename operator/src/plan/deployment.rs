//! The Deployment around the Pods.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Prepared;
use super::names::{AUTOSCALED_ANNOTATION, metadata, selector_labels};
use super::pod;

/// Pods are replaced one at a time, the old one first: a new one beside it could wait for ever for the GPU or the volume
/// that the old one holds.
pub(super) fn deployment(prepared: &Prepared<'_>) -> Deployment {
    let replicas = prepared.replicas.field();
    let mut metadata = metadata(prepared, prepared.name);
    if replicas.is_none() {
        metadata.annotations = Some([(AUTOSCALED_ANNOTATION.to_owned(), "true".to_owned())].into());
    }
    Deployment {
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
                    max_surge: Some(IntOrString::Int(0)),
                    max_unavailable: Some(IntOrString::Int(1)),
                }),
            }),
            template: pod::template(prepared),
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}
