//! The proxy's configuration, as a ConfigMap.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use corral_proxy::config::{
    ADMIN_PORT, ClientCertificates, Config, CredentialSource, Credentials, Log, LogFormat, OllamaKeys,
    PROXY_PORT, Require, Shutdown, State, Tls, paths,
};
use corral_proxy::credentials::CredentialKind;
use corral_proxy::tls::certificate::Part;
use k8s_openapi::api::core::v1::ConfigMap;
use sha2::{Digest, Sha256};

use super::Prepared;
use super::credentials::{Source, api_server, issuers};
use super::names::metadata;
use super::pod::TERMINATION_GRACE_SECONDS;
use super::{ConfigMaps, limits, models};
use crate::cli::SecretsMode;

/// How long new requests are still served after SIGTERM: endpoints take a moment to be withdrawn everywhere.
pub(super) const SHUTDOWN_DELAY_SECONDS: u32 = 5;
/// How long running streams may then take.
pub(super) const DRAIN_SECONDS: u32 = 100;

/// The ConfigMap, and what a proxy reports that has it in force.
pub(super) struct Configuration {
    pub(super) config: Config,
    pub(super) config_map: ConfigMap,
    pub(super) digest: String,
}

pub(super) fn configuration(
    prepared: &Prepared<'_>,
    config_maps: &ConfigMaps,
) -> Result<Configuration, serde_yaml::Error> {
    let config = config(prepared, config_maps);
    let text = serde_yaml::to_string(&config)?;
    let digest = hex::encode(Sha256::digest(text.as_bytes()));
    let config_map = ConfigMap {
        metadata: metadata(prepared, prepared.name),
        data: Some([(paths::CONFIG_FILE.to_owned(), text)].into()),
        ..ConfigMap::default()
    };
    Ok(Configuration {
        config,
        config_map,
        digest,
    })
}

fn config(prepared: &Prepared<'_>, config_maps: &ConfigMaps) -> Config {
    let anywhere = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    Config {
        listen: anywhere(PROXY_PORT),
        admin_listen: Some(anywhere(ADMIN_PORT)),
        tls: prepared.tls_secret.as_ref().map(|_| tls()),
        credentials: credentials(prepared),
        access: limits::of_a_replica(&prepared.spec.access, prepared.spec.most_replicas()),
        network: prepared.network.clone(),
        streams: prepared.spec.streams.clone().unwrap_or_default(),
        models: models::models(&prepared.spec.models, config_maps),
        parallel_pulls: prepared
            .spec
            .parallel_pulls
            .unwrap_or(Config::USUAL_PARALLEL_PULLS),
        prune_models: prepared.spec.prune_models,
        log: Log {
            format: LogFormat::Json,
            audit: true,
        },
        state: Some(State {
            directory: paths::STATE_DIRECTORY.into(),
        }),
        shutdown: Shutdown {
            delay_seconds: SHUTDOWN_DELAY_SECONDS,
            drain_seconds: prepared.termination_grace_seconds() - (TERMINATION_GRACE_SECONDS - DRAIN_SECONDS),
        },
        digest_key_file: (prepared.secrets == SecretsMode::Read)
            .then(|| Path::new(paths::DIGEST_KEY_DIRECTORY).join(paths::DIGEST_KEY_FILE)),
        ..Config::default()
    }
}

fn tls() -> Tls {
    let file = |part: Part| Path::new(paths::TLS_DIRECTORY).join(part.entry());
    Tls {
        cert_file: file(Part::Certificate),
        key_file: file(Part::Key),
    }
}

fn credentials(prepared: &Prepared<'_>) -> Credentials {
    let auth = prepared.spec.auth.as_ref();
    let mut credentials = Credentials {
        jwt: issuers(auth),
        kubernetes: api_server(auth),
        anonymous: auth.and_then(|auth| auth.anonymous.clone()),
        require: auth.map_or(Require::Any, |auth| auth.require),
        ..Credentials::default()
    };
    for Source { kind, key, .. } in &prepared.sources {
        let source = |directory: &str| CredentialSource {
            path: directory.into(),
            key: key.clone(),
        };
        match kind {
            CredentialKind::Basic => credentials.basic = Some(source(paths::BASIC_DIRECTORY)),
            CredentialKind::ApiKeys => credentials.api_keys = Some(source(paths::API_KEYS_DIRECTORY)),
            CredentialKind::OllamaKeys => credentials.ollama_keys = Some(ollama_keys(prepared, key.clone())),
            // Among the issuers, which have keys in other places too.
            CredentialKind::TokenKeys | CredentialKind::IssuerAuthorities => {}
            CredentialKind::ClientCertificates => {
                credentials.client_certificates = Some(client_certificates(prepared, key.clone()));
            }
        }
    }
    credentials
}

fn ollama_keys(prepared: &Prepared<'_>, key: Option<String>) -> OllamaKeys {
    let auth = prepared.spec.auth.as_ref();
    let clock_skew = auth.and_then(|auth| auth.ollama_keys.as_ref()?.clock_skew_seconds);
    OllamaKeys {
        path: paths::OLLAMA_KEYS_DIRECTORY.into(),
        key,
        clock_skew_seconds: clock_skew.unwrap_or(OllamaKeys::DEFAULT_CLOCK_SKEW_SECONDS),
    }
}

fn client_certificates(prepared: &Prepared<'_>, key: Option<String>) -> ClientCertificates {
    let auth = prepared.spec.auth.as_ref();
    let certificates = auth.and_then(|auth| auth.client_certificates.as_ref());
    ClientCertificates {
        path: paths::CLIENT_CERTIFICATES_DIRECTORY.into(),
        key,
        name: certificates
            .map(|certificates| certificates.name)
            .unwrap_or_default(),
    }
}
