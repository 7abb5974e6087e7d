//! What the user adds to the Pods (`spec.podTemplate`), and what of it is refused.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::volumes::{HOME_DIRECTORY, MODELS_DIRECTORY, TEMPORARY_DIRECTORY};
use super::{container_security, ollama, proxy, requirements, volumes};
use crate::crd::{PodMount, PodTemplate, PodVolume, Resources, Sidecar};
use crate::plan::Prepared;
use crate::plan::names::DEFAULT_CONTAINER_ANNOTATION;

/// What is wrong with a template, each by its field. `secrets` are those from which the service takes its credentials.
pub(in crate::plan) fn problems(template: &PodTemplate, secrets: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    for key in template.labels.keys().filter(|key| is_owned_key(key)) {
        problems.push(format!("spec.podTemplate.labels: {key} is the operator's"));
    }
    let annotations = template.annotations.keys();
    for key in
        annotations.filter(|key| key.starts_with("corral.dev/") || *key == DEFAULT_CONTAINER_ANNOTATION)
    {
        problems.push(format!("spec.podTemplate.annotations: {key} is the operator's"));
    }
    for volume in &template.volumes {
        problems.extend(problem_of_volume(volume, secrets));
    }
    for sidecar in &template.sidecars {
        if [ollama::CONTAINER, proxy::CONTAINER].contains(&&*sidecar.name) {
            problems.push(format!(
                "spec.podTemplate.sidecars: {} is the operator's container",
                sidecar.name
            ));
        }
    }
    for mount in template.ollama_mounts.iter().filter(|mount| hides_owned(mount)) {
        problems.push(format!(
            "spec.podTemplate.ollamaMounts: {} lies in or over the operator's mounts",
            mount.mount_path
        ));
    }
    problems.extend(unknown_volumes(template));
    problems
}

fn is_owned_key(key: &str) -> bool {
    key.starts_with("corral.dev/") || key.starts_with("app.kubernetes.io/")
}

fn problem_of_volume(volume: &PodVolume, secrets: &[String]) -> Option<String> {
    let PodVolume {
        name,
        config_map,
        secret,
        empty_dir,
        persistent_volume_claim,
    } = volume;
    let ways = [
        config_map.is_some(),
        secret.is_some(),
        empty_dir.is_some(),
        persistent_volume_claim.is_some(),
    ];
    let credentials = secret
        .as_ref()
        .is_some_and(|secret| secrets.contains(&secret.secret_name));
    let problem = if volumes::is_owned(name) {
        "is the operator's volume"
    } else if ways.iter().filter(|given| **given).count() != 1 {
        "needs exactly one of configMap, secret, emptyDir and persistentVolumeClaim"
    } else if credentials {
        "is a Secret with this service's credentials, which only the proxy may have"
    } else {
        return None;
    };
    Some(format!("spec.podTemplate.volumes: {name} {problem}"))
}

/// Of the operator's own volumes no container may have one: only the template's can be named.
fn unknown_volumes(template: &PodTemplate) -> Vec<String> {
    let known: BTreeSet<_> = template.volumes.iter().map(|volume| &volume.name).collect();
    let of_sidecars = template
        .sidecars
        .iter()
        .flat_map(|sidecar| &sidecar.volume_mounts);
    let unknown = template
        .ollama_mounts
        .iter()
        .chain(of_sidecars)
        .filter(|mount| !known.contains(&mount.name));
    unknown
        .map(|mount| format!("spec.podTemplate: there is no {} in volumes", mount.name))
        .collect()
}

fn hides_owned(mount: &PodMount) -> bool {
    let path = format!("{}/", mount.mount_path.trim_end_matches('/'));
    [MODELS_DIRECTORY, HOME_DIRECTORY, TEMPORARY_DIRECTORY]
        .iter()
        .map(|owned| format!("{owned}/"))
        .any(|owned| path.starts_with(&owned) || owned.starts_with(&path))
}

/// What the template lists of one thing.
fn listed<'a, T>(prepared: &Prepared<'a>, of: fn(&PodTemplate) -> &Vec<T>) -> &'a [T] {
    prepared
        .spec
        .pod_template
        .as_ref()
        .map_or(&[], |template| of(template))
}

pub(super) fn volumes(prepared: &Prepared<'_>) -> Vec<Volume> {
    let volumes = listed(prepared, |template| &template.volumes);
    volumes.iter().cloned().map(volume).collect()
}

fn volume(volume: PodVolume) -> Volume {
    let PodVolume {
        name,
        config_map,
        secret,
        empty_dir,
        persistent_volume_claim,
    } = volume;
    Volume {
        name,
        config_map: config_map.map(|source| ConfigMapVolumeSource {
            name: source.name,
            ..Default::default()
        }),
        secret: secret.map(|source| SecretVolumeSource {
            secret_name: Some(source.secret_name),
            ..Default::default()
        }),
        empty_dir: empty_dir.map(|source| EmptyDirVolumeSource {
            size_limit: Some(Quantity(source.size_limit)),
            ..Default::default()
        }),
        persistent_volume_claim: persistent_volume_claim.map(|source| PersistentVolumeClaimVolumeSource {
            claim_name: source.claim_name,
            ..Default::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn ollama_mounts(prepared: &Prepared<'_>) -> Vec<VolumeMount> {
    let mounts = listed(prepared, |template| &template.ollama_mounts);
    mounts.iter().map(mount).collect()
}

fn mount(mount: &PodMount) -> VolumeMount {
    VolumeMount {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: (!mount.writable).then_some(true),
        ..VolumeMount::default()
    }
}

/// Native sidecars, as Ollama is one: the Pod ends with the proxy.
pub(super) fn sidecars(prepared: &Prepared<'_>) -> Vec<Container> {
    let sidecars = listed(prepared, |template| &template.sidecars);
    sidecars.iter().cloned().map(sidecar).collect()
}

fn sidecar(sidecar: Sidecar) -> Container {
    let Sidecar {
        name,
        image,
        command,
        args,
        env,
        resources,
        volume_mounts,
    } = sidecar;
    let variable = |(name, value)| EnvVar {
        name,
        value: Some(value),
        value_from: None,
    };
    let given = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    let env: Vec<_> = env.into_iter().map(variable).collect();
    Container {
        name,
        image: Some(image),
        command: given(command),
        args: given(args),
        env: Some(env).filter(|env| !env.is_empty()),
        restart_policy: Some("Always".to_owned()),
        resources: resources.map(|Resources { requests, limits }| requirements(requests, limits, vec![])),
        security_context: Some(container_security()),
        volume_mounts: Some(volume_mounts.iter().map(mount).collect::<Vec<_>>())
            .filter(|list| !list.is_empty()),
        ..Container::default()
    }
}
