//! What a proxy says of what it has mounted, for the fakes that stand where no kubelet runs one.

use std::path::Path;

use corral_proxy::config::{Config, Require};
use corral_proxy::credentials::CredentialKind;
use corral_proxy::status::{ConfigurationStatus, SourceStatus, Status};
use k8s_openapi::api::core::v1::PodSpec;
use sha2::{Digest, Sha256};

/// Before anything is mounted.
pub(crate) fn nothing_yet() -> Status {
    Status {
        version: "test".to_owned(),
        ready: true,
        draining: false,
        require: Require::Any,
        configuration: ConfigurationStatus {
            digest: None,
            loaded_at: jiff::Timestamp::now(),
            error: None,
        },
        certificate: None,
        credentials: Vec::new(),
        issuers: Vec::new(),
        kubernetes: None,
        clients: Vec::new(),
        limits: vec![],
        models: Vec::new(),
        loaded: Vec::new(),
    }
}

/// What a proxy reports as the digest of its configuration.
pub(crate) fn configuration_digest(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Each file of credentials that the configuration names, as its proxy reports it but for the digest, and the Secret that the
/// Pod mounts there. Nothing where the two don't fit together.
pub(crate) fn sources(configuration: &str, pod: &PodSpec) -> Option<Vec<(SourceStatus, String)>> {
    let parsed: Config = serde_yaml::from_str(configuration).ok()?;
    let sources = parsed.credentials.sources().into_iter();
    let sources = sources.map(|(kind, source)| (kind, None, source.path));
    let issuers = parsed.credentials.jwt.into_iter();
    let issuers = issuers.filter_map(|issuer| {
        let source = issuer.keys.or(issuer.ca)?;
        Some((CredentialKind::TokenKeys, Some(issuer.issuer), source.path))
    });
    sources
        .chain(issuers)
        .map(|(kind, issuer, path)| {
            let source = SourceStatus {
                means: kind.means(),
                issuer,
                digest: None,
                clients: 1,
                loaded_at: jiff::Timestamp::now(),
                error: None,
            };
            Some((source, mounted_at(pod, &path)?))
        })
        .collect()
}

fn mounted_at(pod: &PodSpec, path: &Path) -> Option<String> {
    let mut containers = pod.containers.iter();
    let mounts = containers.find_map(|container| container.volume_mounts.as_ref())?;
    let mount = mounts.iter().find(|one| path == Path::new(&one.mount_path))?;
    let mut volumes = pod.volumes.iter().flatten();
    let volume = volumes.find(|one| one.name == mount.name)?;
    volume.secret.as_ref()?.secret_name.clone()
}
