//! Where the credentials come from, and the Secrets that the operator makes itself.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use corral_proxy::config::{CredentialSource, JwtAlgorithm, JwtIssuer, Kubernetes, paths};
use corral_proxy::credentials::CredentialKind;
use corral_proxy::status::SourceStatus;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use sha2::{Digest, Sha256};

use super::Prepared;
use super::names::{credentials_name, digest_key_name, metadata, tls_name};
use crate::cli::SecretsMode;
use crate::crd::{Auth, JwtAuth, KubernetesAuth, NetworkTls, OllamaService, SecretRef};

/// The entry of a generated Secret of credentials: the one client's name.
pub const GENERATED_ENTRY: &str = "default";

/// A Secret from which one means takes its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// What it holds.
    pub kind: CredentialKind,
    /// The Secret's name.
    pub secret: String,
    /// The entry that is the credential file, where one is named.
    pub key: Option<String>,
    /// Whose keys it holds, or the authorities of whose address, where it holds such.
    pub issuer: Option<JwtIssuer>,
    /// No `auth` was given: the Secret is the operator's to make.
    pub generated: bool,
}

impl Source {
    /// The algorithms that keys of tokens must be for; none where it holds no such keys.
    pub fn algorithms(&self) -> &[JwtAlgorithm] {
        self.issuer.as_ref().map_or(&[], |issuer| &issuer.algorithms)
    }

    /// The name of its directory among those of issuers.
    pub(super) fn directory(&self) -> String {
        let issuer = self.issuer.as_ref().map_or("", |issuer| &issuer.issuer);
        directory_of(self.kind, issuer)
    }

    /// Whether this is what a proxy says of it.
    pub fn is(&self, reported: &SourceStatus) -> bool {
        let issuer = self.issuer.as_ref().map(|issuer| issuer.issuer.as_str());
        reported.means == self.kind.means() && reported.issuer.as_deref() == issuer
    }
}

/// The sources of an OllamaService: none only where callers need no credential, where the keys of tokens are fetched, or
/// where the API server knows whose they are.
pub(super) fn sources(instance: &str, auth: Option<&Auth>) -> Vec<Source> {
    let Some(Auth {
        basic,
        api_keys,
        ollama_keys,
        jwt,
        kubernetes: _,
        client_certificates,
        anonymous: _,
        require: _,
    }) = auth
    else {
        return vec![Source {
            kind: CredentialKind::ApiKeys,
            secret: credentials_name(instance),
            key: None,
            issuer: None,
            generated: true,
        }];
    };
    let source = |kind, SecretRef { name, key }: &SecretRef| Source {
        kind,
        secret: name.clone(),
        key: key.clone(),
        issuer: None,
        generated: false,
    };
    let basic = basic
        .iter()
        .map(|basic| source(CredentialKind::Basic, &basic.secret_ref));
    let api_keys = api_keys
        .iter()
        .map(|keys| source(CredentialKind::ApiKeys, &keys.secret_ref));
    let ollama_keys = ollama_keys
        .iter()
        .map(|keys| source(CredentialKind::OllamaKeys, &keys.secret_ref));
    let of_issuers = jwt.iter().flat_map(|auth| {
        let keys = auth.secret_ref.iter();
        let keys = keys.map(|keys| source(CredentialKind::TokenKeys, keys));
        let authorities = auth.ca_secret_ref.iter();
        let authorities = authorities.map(|secret| source(CredentialKind::IssuerAuthorities, secret));
        keys.chain(authorities).map(|source| Source {
            issuer: Some(issuer(auth)),
            ..source
        })
    });
    let client_certificates = client_certificates
        .iter()
        .map(|certificates| source(CredentialKind::ClientCertificates, &certificates.secret_ref));
    basic
        .chain(api_keys)
        .chain(ollama_keys)
        .chain(of_issuers)
        .chain(client_certificates)
        .collect()
}

/// The issuers of tokens as the proxy is told of them.
pub(super) fn issuers(auth: Option<&Auth>) -> Vec<JwtIssuer> {
    auth.iter().flat_map(|auth| &auth.jwt).map(issuer).collect()
}

/// The API server that the proxy asks about service account tokens: that of its own cluster.
pub(super) fn api_server(auth: Option<&Auth>) -> Option<Kubernetes> {
    let KubernetesAuth { audiences } = auth?.kubernetes.as_ref()?;
    Some(Kubernetes::in_cluster(audiences.clone()))
}

fn issuer(auth: &JwtAuth) -> JwtIssuer {
    let JwtAuth {
        issuer,
        audiences,
        secret_ref,
        jwks_uri,
        ca_secret_ref,
        insecure,
        algorithms,
        client_claim,
        groups_claim,
        leeway_seconds,
    } = auth;
    JwtIssuer {
        issuer: issuer.clone(),
        audiences: audiences.clone(),
        keys: secret_ref
            .as_ref()
            .map(|secret| mounted(CredentialKind::TokenKeys, issuer, secret)),
        jwks_uri: jwks_uri.clone(),
        ca: ca_secret_ref
            .as_ref()
            .map(|secret| mounted(CredentialKind::IssuerAuthorities, issuer, secret)),
        insecure: *insecure,
        algorithms: algorithms.clone().unwrap_or_else(JwtAlgorithm::with_key_pair),
        client_claim: client_claim
            .clone()
            .unwrap_or_else(|| JwtIssuer::DEFAULT_CLIENT_CLAIM.to_owned()),
        groups_claim: groups_claim.clone(),
        leeway_seconds: leeway_seconds.unwrap_or(JwtIssuer::DEFAULT_LEEWAY_SECONDS),
    }
}

/// A Secret of an issuer as the proxy finds it.
fn mounted(kind: CredentialKind, issuer: &str, SecretRef { name: _, key }: &SecretRef) -> CredentialSource {
    CredentialSource {
        path: Path::new(paths::JWT_DIRECTORY).join(directory_of(kind, issuer)),
        key: key.clone(),
    }
}

/// The name of the directory with an issuer's Secret. It tells nothing of the Secret's name: the configuration is in force in
/// Pods that are yet to be replaced too, and what those have there counts until then. Nor of the place in the list, so that
/// another order changes nothing.
fn directory_of(kind: CredentialKind, issuer: &str) -> String {
    let issuer = hex::encode(&Sha256::digest(issuer)[..8]);
    if kind == CredentialKind::IssuerAuthorities {
        format!("ca-{issuer}")
    } else {
        issuer
    }
}

/// Name of the Secret with the certificate, where clients speak HTTPS.
pub fn tls_secret(service: &OllamaService) -> Option<Cow<'_, str>> {
    let NetworkTls {
        secret_name,
        certificate,
    } = service.spec.network.as_ref()?.tls.as_ref()?;
    let made = || {
        let instance = service.metadata.name.as_deref().unwrap_or_default();
        certificate.as_ref().map(|_| tls_name(instance).into())
    };
    secret_name.as_deref().map(Cow::Borrowed).or_else(made)
}

/// Names of all Secrets that concern an OllamaService: those it names and those made for it.
pub fn secret_names(service: &OllamaService) -> impl Iterator<Item = String> {
    let instance = service.metadata.name.as_deref().unwrap_or_default();
    let sources = sources(instance, service.spec.auth.as_ref()).into_iter();
    sources
        .map(|source| source.secret)
        .chain([digest_key_name(instance)])
        .chain(tls_secret(service).map(Cow::into_owned))
}

/// The Secret with the key by which registries know Ollama.
pub fn registry_key_secret(service: &OllamaService) -> Option<&str> {
    let key = service.spec.registry_key.as_ref()?;
    Some(&key.secret_key_ref.name)
}

/// A Secret that is made once, with random content, and never written again.
#[derive(Clone, Debug)]
pub struct GeneratedSecret {
    /// What it is for.
    pub purpose: Generated,
    /// The Secret without its content.
    pub secret: Secret,
}

/// What a generated Secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generated {
    /// The key of the digests on the proxies' `/status`.
    DigestKey,
    /// The API key of a service without `auth`.
    Credentials,
}

impl GeneratedSecret {
    /// Its name.
    pub fn name(&self) -> &str {
        self.secret.metadata.name.as_deref().unwrap_or_default()
    }

    /// The Secret with new random content.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn with_content(&self) -> Result<Secret, getrandom::Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)?;
        let (entry, content) = match self.purpose {
            Generated::DigestKey => (paths::DIGEST_KEY_FILE, hex::encode(random)),
            Generated::Credentials => (
                GENERATED_ENTRY,
                format!("corral_{}", URL_SAFE_NO_PAD.encode(random)),
            ),
        };
        let mut secret = self.secret.clone();
        secret.data = Some([(entry.to_owned(), ByteString(content.into_bytes()))].into());
        Ok(secret)
    }
}

/// The Secrets that the operator makes, where it may touch Secrets at all.
pub(super) fn generated(prepared: &Prepared<'_>) -> Vec<GeneratedSecret> {
    if prepared.secrets == SecretsMode::None {
        return Vec::new();
    }
    let secret = |purpose, name: &str| GeneratedSecret {
        purpose,
        secret: Secret {
            metadata: metadata(prepared, name),
            type_: Some("Opaque".to_owned()),
            ..Secret::default()
        },
    };
    let mut secrets = vec![secret(Generated::DigestKey, &digest_key_name(prepared.name))];
    if prepared.sources.iter().any(|source| source.generated) {
        secrets.push(secret(Generated::Credentials, &credentials_name(prepared.name)));
    }
    secrets
}
