//! What of `spec.podTemplate` is refused: nothing in it may change what is the operator's or open a way past the proxy.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::volumes::{HOME_DIRECTORY, MODELS_DIRECTORY, TEMPORARY_DIRECTORY};
use super::{ollama, proxy, volumes};
use crate::crd::{DnsPolicy, PodMount, PodTemplate, PodVolume};
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
    let groups = template.supplemental_groups.iter();
    for group in groups.filter(|group| !(1..=i64::from(i32::MAX)).contains(*group)) {
        problems.push(format!(
            "spec.podTemplate.supplementalGroups: {group} is not between 1 and {}",
            i32::MAX
        ));
    }
    problems.extend(problems_of_names(template));
    problems
}

/// Names can be given to anything but the Pod itself: what stands in the proxy's configuration is reached by TLS.
fn problems_of_names(template: &PodTemplate) -> Vec<String> {
    let mut problems = Vec::new();
    for alias in &template.host_aliases {
        if alias.ip.parse::<IpAddr>().is_err() {
            problems.push(format!(
                "spec.podTemplate.hostAliases: `{}` is no address",
                alias.ip
            ));
        }
        let mut names = alias.hostnames.iter();
        if names.any(|name| name == "localhost" || name.ends_with(".localhost")) {
            problems.push("spec.podTemplate.hostAliases: localhost is the Pod itself".to_owned());
        }
    }
    let servers = template.dns_config.iter().flat_map(|config| &config.nameservers);
    for server in servers.clone().filter(|server| server.parse::<IpAddr>().is_err()) {
        problems.push(format!(
            "spec.podTemplate.dnsConfig.nameservers: `{server}` is no address"
        ));
    }
    if template.dns_policy == Some(DnsPolicy::None) && servers.count() == 0 {
        problems.push("spec.podTemplate.dnsPolicy: None needs dnsConfig.nameservers".to_owned());
    }
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
