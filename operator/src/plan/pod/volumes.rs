//! Volumes of the Pod and their mounts.
//!
//! Secrets with credentials are mounted as directories and are optional: one that is deleted empties its mount, and the proxy then denies
//! everybody; it neither keeps what was there nor hinders the Pod's start.

use corral_proxy::config::{Kubernetes, paths};
use corral_proxy::credentials::CredentialKind;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource,
    SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::overrides;
use crate::cli::SecretsMode;
use crate::crd::{OWNED_VOLUMES, RegistryKey, SecretKeyRef};
use crate::plan::names::{DIGEST_KEY_VOLUME, digest_key_name};
use crate::plan::{Prepared, Source, storage};

pub(super) const MODELS_DIRECTORY: &str = "/models";
/// Ollama makes itself a key there.
pub(super) const HOME_DIRECTORY: &str = "/home/ollama";
pub(super) const TEMPORARY_DIRECTORY: &str = "/tmp";

/// CUDA and Mesa keep up to 1 GiB each there of what they have compiled for the GPU (CUDA_CACHE_MAXSIZE and
/// MESA_SHADER_CACHE_MAX_SIZE are that by default). The kubelet evicts a Pod that takes more, and the next would fill it again.
const HOME_LIMIT: &str = "2Gi";

/// Owner and group may read.
const MODE: i32 = 0o440;

pub(super) fn volumes(prepared: &Prepared<'_>) -> Vec<Volume> {
    let mut volumes = vec![
        storage::models_volume(prepared, "models"),
        empty("home", HOME_LIMIT),
        empty("tmp", "2Gi"),
        empty("state", "64Mi"),
        Volume {
            name: "config".to_owned(),
            config_map: Some(ConfigMapVolumeSource {
                name: prepared.name.to_owned(),
                ..Default::default()
            }),
            ..Volume::default()
        },
    ];
    volumes.extend(prepared.spec.registry_key.as_ref().map(registry_key));
    volumes.extend(overrides::volumes(prepared));
    let mounted = mounted(prepared);
    volumes.extend(mounted.iter().map(|(source, name)| secret(name, &source.secret)));
    volumes.extend(asks_api_server(prepared).then(api_server));
    volumes.extend(prepared.tls_secret.as_deref().map(|name| secret("tls", name)));
    if prepared.secrets == SecretsMode::Read {
        volumes.push(secret(DIGEST_KEY_VOLUME, &digest_key_name(prepared.name)));
    }
    volumes
}

/// The volume with the key by which registries know Ollama.
const REGISTRY_KEY: &str = "registry-key";

/// Where Ollama looks for it, and makes one where there is none (ollama/cmd/cmd.go, `initializeKeypair`). It reads the file
/// anew for each signature.
const KEY_DIRECTORY: &str = "/home/ollama/.ollama";
const KEY_FILE: &str = "id_ed25519";

/// The volume with what it takes to ask the API server whose a token is.
const API_SERVER: &str = "kubernetes";

/// For how many seconds the proxy's own token is good; the kubelet renews it when a fifth of them is left.
const TOKEN_SECONDS: i64 = 3600;

/// How the names of volumes with what is known of issuers begin.
const OF_ISSUERS: &str = "jwt-";

/// Whether a volume of that name is, or may come to be, the operator's.
pub(super) fn is_owned(name: &str) -> bool {
    OWNED_VOLUMES.contains(&name) || name.starts_with(OF_ISSUERS)
}

pub(super) fn of_ollama(prepared: &Prepared<'_>) -> Vec<VolumeMount> {
    let owned = [
        ("models", MODELS_DIRECTORY),
        ("home", HOME_DIRECTORY),
        ("tmp", TEMPORARY_DIRECTORY),
    ]
    .map(|(name, path)| writable(name, path));
    let key = prepared.spec.registry_key.as_ref();
    owned
        .into_iter()
        .chain(key.map(|_| mount(REGISTRY_KEY, KEY_DIRECTORY)))
        .chain(overrides::ollama_mounts(prepared))
        .collect()
}

pub(super) fn of_proxy(prepared: &Prepared<'_>) -> Vec<VolumeMount> {
    let mut mounts = vec![
        mount("config", paths::CONFIG_DIRECTORY),
        writable("state", paths::STATE_DIRECTORY),
    ];
    for (source, name) in mounted(prepared) {
        mounts.push(mount(&name, &directory_of(source)));
    }
    mounts.extend(asks_api_server(prepared).then(|| mount(API_SERVER, Kubernetes::DIRECTORY)));
    let tls = prepared.tls_secret.as_ref();
    mounts.extend(tls.map(|_| mount("tls", paths::TLS_DIRECTORY)));
    if prepared.secrets == SecretsMode::Read {
        mounts.push(mount(DIGEST_KEY_VOLUME, paths::DIGEST_KEY_DIRECTORY));
    }
    mounts
}

/// The sources with the names of their volumes, in the order of those: another order of issuers restarts nothing.
fn mounted<'a>(prepared: &'a Prepared<'_>) -> Vec<(&'a Source, String)> {
    let sources = prepared.sources.iter();
    let mut mounted: Vec<_> = sources.map(|source| (source, volume_of(source))).collect();
    mounted.sort_by(|(_, one), (_, other)| one.cmp(other));
    mounted
}

fn volume_of(source: &Source) -> String {
    match source.kind {
        CredentialKind::Basic => "basic".to_owned(),
        CredentialKind::ApiKeys => "api-keys".to_owned(),
        CredentialKind::OllamaKeys => "ollama-keys".to_owned(),
        CredentialKind::TokenKeys | CredentialKind::IssuerAuthorities => {
            format!("{OF_ISSUERS}{}", source.directory())
        }
        CredentialKind::ClientCertificates => "client-certificates".to_owned(),
    }
}

fn directory_of(source: &Source) -> String {
    match source.kind {
        CredentialKind::Basic => paths::BASIC_DIRECTORY.to_owned(),
        CredentialKind::ApiKeys => paths::API_KEYS_DIRECTORY.to_owned(),
        CredentialKind::OllamaKeys => paths::OLLAMA_KEYS_DIRECTORY.to_owned(),
        CredentialKind::TokenKeys | CredentialKind::IssuerAuthorities => {
            format!("{}/{}", paths::JWT_DIRECTORY, source.directory())
        }
        CredentialKind::ClientCertificates => paths::CLIENT_CERTIFICATES_DIRECTORY.to_owned(),
    }
}

fn asks_api_server(prepared: &Prepared<'_>) -> bool {
    let auth = prepared.spec.auth.as_ref();
    auth.is_some_and(|auth| auth.kubernetes.is_some())
}

/// What Kubernetes gives a Pod whose token is mounted everywhere; here only the proxy has it.
fn api_server() -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: None,
        expiration_seconds: Some(TOKEN_SECONDS),
        path: Kubernetes::TOKEN_FILE.to_owned(),
    };
    let authorities = ConfigMapProjection {
        // Kubernetes keeps it in every namespace.
        name: "kube-root-ca.crt".to_owned(),
        items: Some(vec![KeyToPath {
            key: "ca.crt".to_owned(),
            path: Kubernetes::CA_FILE.to_owned(),
            mode: None,
        }]),
        optional: None,
    };
    let sources = vec![
        VolumeProjection {
            service_account_token: Some(token),
            ..VolumeProjection::default()
        },
        VolumeProjection {
            config_map: Some(authorities),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name: API_SERVER.to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(MODE),
            sources: Some(sources),
        }),
        ..Volume::default()
    }
}

/// A Pod without it doesn't start: Ollama could make itself none there.
fn registry_key(key: &RegistryKey) -> Volume {
    let SecretKeyRef { name, key } = &key.secret_key_ref;
    Volume {
        name: REGISTRY_KEY.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.clone()),
            default_mode: Some(MODE),
            optional: None,
            items: Some(vec![KeyToPath {
                key: key.clone(),
                path: KEY_FILE.to_owned(),
                mode: None,
            }]),
        }),
        ..Volume::default()
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

fn writable(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        read_only: None,
        ..mount(name, path)
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
