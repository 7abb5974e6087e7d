//! Volumes of the Pod and their mounts.
//!
//! Secrets are mounted as directories and are optional: one that is deleted empties its mount, and the proxy then denies
//! everybody; it neither keeps what was there nor hinders the Pod's start.

use corral_proxy::config::paths;
use corral_proxy::credentials::CredentialKind;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::cli::SecretsMode;
use crate::plan::names::digest_key_name;
use crate::plan::{Prepared, Source, storage};

pub(super) const MODELS_DIRECTORY: &str = "/models";
/// Ollama makes itself a key there.
pub(super) const HOME_DIRECTORY: &str = "/home/ollama";
pub(super) const TEMPORARY_DIRECTORY: &str = "/tmp";

/// Owner and group may read.
const MODE: i32 = 0o440;

pub(super) fn volumes(prepared: &Prepared<'_>) -> Vec<Volume> {
    let mut volumes = vec![
        storage::models_volume(prepared, "models"),
        empty("home", "64Mi"),
        empty("tmp", "2Gi"),
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: prepared.name.to_owned(),
                ..Default::default()
            }),
            ..Volume::default()
        },
    ];
    let sources = prepared.sources.iter();
    volumes.extend(sources.map(|source| secret(volume_of(source), &source.secret)));
    volumes.extend(prepared.tls_secret.map(|name| secret("tls", name)));
    if prepared.secrets == SecretsMode::Read {
        volumes.push(secret("digest-key", &digest_key_name(prepared.name)));
    }
    volumes
}

pub(super) fn of_ollama() -> Vec<VolumeMount> {
    [
        ("models", MODELS_DIRECTORY),
        ("home", HOME_DIRECTORY),
        ("tmp", TEMPORARY_DIRECTORY),
    ]
    .map(|(name, path)| VolumeMount {
        read_only: None,
        ..mount(name, path)
    })
    .into()
}

pub(super) fn of_proxy(prepared: &Prepared<'_>) -> Vec<VolumeMount> {
    let mut mounts = vec![mount("config", paths::CONFIG_DIRECTORY)];
    for source in &prepared.sources {
        let directory = match source.kind {
            CredentialKind::Basic => paths::BASIC_DIRECTORY,
            CredentialKind::ApiKeys => paths::API_KEYS_DIRECTORY,
            CredentialKind::OllamaKeys => paths::OLLAMA_KEYS_DIRECTORY,
        };
        mounts.push(mount(volume_of(source), directory));
    }
    mounts.extend(prepared.tls_secret.map(|_| mount("tls", paths::TLS_DIRECTORY)));
    if prepared.secrets == SecretsMode::Read {
        mounts.push(mount("digest-key", paths::DIGEST_KEY_DIRECTORY));
    }
    mounts
}

fn volume_of(source: &Source) -> &'static str {
    match source.kind {
        CredentialKind::Basic => "basic",
        CredentialKind::ApiKeys => "api-keys",
        CredentialKind::OllamaKeys => "ollama-keys",
    }
}

fn secret(name: &str, secret: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(MODE),
            optional: Some(true),
            items: None,
        }),
        ..Volume::default()
    }
}

fn empty(name: &str, limit: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(limit.to_owned())),
            ..Default::default()
        }),
        ..Volume::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
