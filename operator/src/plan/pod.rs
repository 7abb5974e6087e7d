//! The Pod: Ollama as native sidecar on 127.0.0.1, the proxy as main container.
//!
//! Ollama is the sidecar so that at shutdown the proxy drains while Ollama still answers. What may change while a model is
//! in GPU memory (credentials, access rules, models, addresses) is in ConfigMap and Secrets and never here.

pub(super) mod environment;
mod ollama;
mod overrides;
mod proxy;
pub(super) mod refused;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, PodResourceClaim, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceClaim,
    ResourceRequirements, SeccompProfile, SecurityContext, Toleration,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{DEFAULT_CONTAINER_ANNOTATION, DIGEST_KEY_VOLUME, labels};
use super::{Prepared, scale};
use crate::crd::GpuClaim;

/// How long a Pod has after SIGTERM: the proxy's delay and drain, and then Ollama's own end.
pub(super) const TERMINATION_GRACE_SECONDS: u32 = 120;
/// User and group of every process; also that of the volumes.
const USER: i64 = 65532;

pub(super) fn template(prepared: &Prepared<'_>) -> PodTemplateSpec {
    let template = prepared.spec.pod_template.clone().unwrap_or_default();
    let mut labels = labels(prepared.name);
    labels.extend(template.labels);
    let mut annotations = template.annotations;
    annotations.insert(
        DEFAULT_CONTAINER_ANNOTATION.to_owned(),
        ollama::CONTAINER.to_owned(),
    );
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(prepared)),
    }
}

fn pod(prepared: &Prepared<'_>) -> PodSpec {
    let spec = prepared.spec;
    let pull_secrets = spec.image.as_ref().map(|image| image.pull_secrets.clone());
    let template = spec.pod_template.clone().unwrap_or_default();
    let mut sidecars = vec![ollama::container(prepared)];
    sidecars.extend(overrides::sidecars(prepared));
    PodSpec {
        init_containers: Some(sidecars),
        containers: vec![proxy::container(prepared)],
        volumes: Some(volumes::volumes(prepared)),
        service_account_name: Some(prepared.name.to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(prepared.termination_grace_seconds().into()),
        affinity: template.affinity,
        dns_policy: template.dns_policy.map(|policy| format!("{policy:?}")),
        dns_config: template.dns_config.map(overrides::dns_config),
        host_aliases: Some(
            template
                .host_aliases
                .into_iter()
                .map(overrides::host_alias)
                .collect::<Vec<_>>(),
        )
        .filter(|aliases| !aliases.is_empty()),
        priority_class_name: template.priority_class_name,
        scheduler_name: template.scheduler_name,
        security_context: Some(pod_security(template.supplemental_groups)),
        image_pull_secrets: pull_secrets.filter(|secrets| !secrets.is_empty()),
        node_selector: Some(spec.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: Some(tolerations(prepared)).filter(|tolerations| !tolerations.is_empty()),
        resource_claims: Some(resource_claims(prepared)).filter(|claims| !claims.is_empty()),
        topology_spread_constraints: Some(scale::topology_spread(prepared))
            .filter(|spread| !spread.is_empty()),
        runtime_class_name: spec.runtime_class_name.clone(),
        ..PodSpec::default()
    }
}

/// The volumes by which the Pods have the credentials that a user names: their names, and those of the Secrets in them. The other
/// kind holds the proxy's own token. Whether there is a key of digests depends on the operator's rights.
pub(super) fn credential_volumes(prepared: &Prepared<'_>) -> Vec<(String, Option<String>)> {
    let volumes = volumes::volumes(prepared).into_iter();
    volumes
        .filter(|volume| volume.secret.is_some() || volume.projected.is_some())
        .filter(|volume| volume.name != DIGEST_KEY_VOLUME)
        .map(|volume| (volume.name, volume.secret.and_then(|secret| secret.secret_name)))
        .collect()
}

fn pod_security(supplemental_groups: Vec<i64>) -> PodSecurityContext {
    PodSecurityContext {
        supplemental_groups: Some(supplemental_groups).filter(|groups| !groups.is_empty()),
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// Of what is empty nothing is said, as the API server has it.
fn requirements(
    requests: BTreeMap<String, Quantity>,
    limits: BTreeMap<String, Quantity>,
    claims: Vec<ResourceClaim>,
) -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(requests).filter(|list| !list.is_empty()),
        limits: Some(limits).filter(|list| !list.is_empty()),
        claims: Some(claims).filter(|list| !list.is_empty()),
    }
}

/// The Pod Security Standard `restricted`, and a root file system that can't be written.
fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: None,
        }),
        ..SecurityContext::default()
    }
}

fn resource_claims(prepared: &Prepared<'_>) -> Vec<PodResourceClaim> {
    let claims = prepared.gpu.iter().flat_map(|gpu| gpu.claims);
    let claim = |claim: &GpuClaim| PodResourceClaim {
        name: claim.name.clone(),
        resource_claim_name: claim.resource_claim_name.clone(),
        resource_claim_template_name: claim.resource_claim_template_name.clone(),
    };
    claims.map(claim).collect()
}

fn tolerations(prepared: &Prepared<'_>) -> Vec<Toleration> {
    let usual = prepared.gpu.iter().map(|gpu| Toleration {
        key: Some(gpu.taint.to_owned()),
        operator: Some("Exists".to_owned()),
        effect: Some("NoSchedule".to_owned()),
        ..Toleration::default()
    });
    let mut tolerations = prepared.spec.tolerations.clone();
    tolerations.extend(usual.filter(|usual| !prepared.spec.tolerations.contains(usual)));
    tolerations
}

#[cfg(test)]
mod tests {
    use super::super::configuration::{DRAIN_SECONDS, SHUTDOWN_DELAY_SECONDS};
    use super::*;

    #[test]
    fn the_proxy_is_done_before_the_pod_is_killed() {
        const FOR_OLLAMA: u32 = 10;
        const { assert!(SHUTDOWN_DELAY_SECONDS + DRAIN_SECONDS + FOR_OLLAMA <= TERMINATION_GRACE_SECONDS) }
    }
}
