//! What the user adds to the Pods (`spec.podTemplate`).

use k8s_openapi::api::core::v1::{
    self as core, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar,
    PersistentVolumeClaimVolumeSource, PodDNSConfig, PodDNSConfigOption, SecretVolumeSource, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{container_security, requirements};
use crate::crd::{DnsConfig, DnsOption, HostAlias, PodMount, PodTemplate, PodVolume, Resources, Sidecar};
use crate::plan::Prepared;

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

pub(super) fn host_alias(alias: HostAlias) -> core::HostAlias {
    let HostAlias { ip, hostnames } = alias;
    core::HostAlias {
        ip,
        hostnames: Some(hostnames),
    }
}

pub(super) fn dns_config(config: DnsConfig) -> PodDNSConfig {
    let DnsConfig {
        nameservers,
        searches,
        options,
    } = config;
    let given = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    let option = |DnsOption { name, value }| PodDNSConfigOption {
        name: Some(name),
        value,
    };
    PodDNSConfig {
        nameservers: given(nameservers),
        searches: given(searches),
        options: Some(options.into_iter().map(option).collect::<Vec<_>>()).filter(|list| !list.is_empty()),
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
        image_pull_policy: Some(pull_policy(&image).to_owned()),
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

/// What Kubernetes says of a container that is new. Of one that gets another image it would keep what it said of the image
/// before.
fn pull_policy(image: &str) -> &'static str {
    let name = image.rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map(|(_, tag)| tag);
    if !name.contains('@') && tag.is_none_or(|tag| tag == "latest") {
        "Always"
    } else {
        "IfNotPresent"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_are_pulled_as_kubernetes_pulls_new_containers() {
        let cases = [
            ("shipper", "Always"),
            ("shipper:latest", "Always"),
            ("registry.example:5000/team/shipper", "Always"),
            ("shipper:1", "IfNotPresent"),
            ("registry.example:5000/team/shipper:1", "IfNotPresent"),
            ("shipper@sha256:0123", "IfNotPresent"),
            ("shipper:latest@sha256:0123", "IfNotPresent"),
        ];
        for (image, expected) in cases {
            assert_eq!(pull_policy(image), expected, "{image}");
        }
    }
}
