//! Where the credentials are, and how many of them a request must carry.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{JwtIssuer, Kubernetes};
use crate::credentials::{CredentialKind, Means};

/// Where the credentials are, by means. No means at all is an error: the proxy is never open unless `anonymous` says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Credentials {
    /// Users and password hashes for HTTP Basic (RFC 7617).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic: Option<CredentialSource>,
    /// API keys, sent as Bearer (RFC 6750), `X-Ollama-Token` or `x-api-key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<CredentialSource>,
    /// Public keys of the stock `ollama` CLI, which signs its requests with `OLLAMA_AUTH=1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ollama_keys: Option<OllamaKeys>,
    /// Issuers of JSON Web Tokens (RFC 7519), sent as API keys are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jwt: Vec<JwtIssuer>,
    /// The cluster whose service account tokens are taken, sent as API keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Certificates that clients show in the TLS handshake; needs `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
    /// Lets callers without any credential in. Without it they are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Anonymous>,
    /// Whether a client shows itself by one of these means or by all of them.
    #[serde(skip_serializing_if = "Require::is_any")]
    pub require: Require,
}

/// How many of the configured means a request must carry a credential for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Require {
    /// Exactly one, whichever.
    #[default]
    Any,
    /// Each of them, and nothing besides. At most one of them may be carried in `Authorization`.
    All,
}

impl Require {
    /// Whether one is enough.
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

impl Credentials {
    /// Every file or directory that holds clients with their credentials.
    pub fn sources(&self) -> Vec<(CredentialKind, CredentialSource)> {
        let Self {
            basic,
            api_keys,
            ollama_keys,
            client_certificates,
            anonymous: _,
            jwt: _,
            kubernetes: _,
            require: _,
        } = self;
        let ollama_keys = ollama_keys.as_ref().map(OllamaKeys::source);
        let client_certificates = client_certificates.as_ref().map(ClientCertificates::source);
        [
            (CredentialKind::Basic, basic.clone()),
            (CredentialKind::ApiKeys, api_keys.clone()),
            (CredentialKind::OllamaKeys, ollama_keys),
            (CredentialKind::ClientCertificates, client_certificates),
        ]
        .into_iter()
        .filter_map(|(kind, source)| Some((kind, source?)))
        .collect()
    }

    /// Every means that is configured.
    pub fn means(&self) -> Vec<Means> {
        let tokens = (!self.jwt.is_empty()).then_some(Means::Jwt);
        let accounts = self.kubernetes.as_ref().map(|_| Means::Kubernetes);
        let sources = self.sources().into_iter().map(|(kind, _)| kind.means());
        sources.chain(tokens).chain(accounts).collect()
    }

    /// Every file or directory that is read.
    pub fn paths(&self) -> Vec<PathBuf> {
        let sources = self.sources().into_iter().map(|(_, source)| source.path);
        let issuers = self
            .jwt
            .iter()
            .flat_map(|issuer| issuer.keys.iter().chain(&issuer.ca));
        sources.chain(issuers.map(|source| source.path.clone())).collect()
    }
}

/// Callers without any credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Anonymous {
    /// What they are called in access rules, log and metrics.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 253)))]
    pub client: String,
}

impl Default for Anonymous {
    fn default() -> Self {
        Self {
            client: "anonymous".to_owned(),
        }
    }
}

/// A file with credentials, or a directory with a file for each entry as Kubernetes mounts a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialSource {
    /// The file or directory.
    pub path: PathBuf,
    /// The entry of the directory that is the credential file. Without it, Basic takes `auth`, or `username` and
    /// `password` together; for API keys each entry is a client. Meaningless when `path` is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Authorities whose certificates clients may show, and how clients are named by them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificates {
    /// A file with the authorities' certificates in PEM, or a directory as Kubernetes mounts a Secret.
    pub path: PathBuf,
    /// The entry of the directory that is such a file; `ca.crt` without it. Meaningless when `path` is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which name of a certificate is its client's.
    #[serde(default)]
    pub name: CertificateName,
}

/// Which name of a certificate is its client's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum CertificateName {
    /// The subject's only common name (RFC 5280, 4.1.2.6).
    #[default]
    CommonName,
    /// The first DNS name of the alternative names (RFC 5280, 4.2.1.6).
    #[serde(rename = "DNS")]
    Dns,
    /// The first URI of them, as in SPIFFE.
    #[serde(rename = "URI")]
    Uri,
    /// The first e-mail address of them.
    Email,
}

impl ClientCertificates {
    fn source(&self) -> CredentialSource {
        CredentialSource {
            path: self.path.clone(),
            key: self.key.clone(),
        }
    }
}

/// Public keys of the stock `ollama` CLI, and how closely its clock must agree with ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OllamaKeys {
    /// A file of `authorized_keys` lines whose comments name the clients, or a directory as Kubernetes mounts a Secret.
    pub path: PathBuf,
    /// The entry of the directory that is such a file. Without it that is `authorized_keys`; where there is no such
    /// entry, each entry is a client. Meaningless when `path` is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How many seconds a request may be signed before or after it comes. Within them it can be sent again by whoever
    /// has seen it.
    #[serde(default = "OllamaKeys::default_clock_skew_seconds")]
    pub clock_skew_seconds: u32,
}

impl OllamaKeys {
    /// Clocks that are kept differ by less than a second; this is for networks and for clocks that are hardly kept.
    pub const DEFAULT_CLOCK_SKEW_SECONDS: u32 = 30;
    /// Most seconds that may be set.
    pub const MOST_CLOCK_SKEW_SECONDS: u32 = 300;

    const fn default_clock_skew_seconds() -> u32 {
        Self::DEFAULT_CLOCK_SKEW_SECONDS
    }

    fn source(&self) -> CredentialSource {
        CredentialSource {
            path: self.path.clone(),
            key: self.key.clone(),
        }
    }
}
