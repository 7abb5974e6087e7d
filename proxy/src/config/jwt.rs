//! Issuers of JSON Web Tokens (RFC 7519) whose word counts.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::CredentialSource;

/// An issuer whose tokens let their bearers in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtIssuer {
    /// What the claim `iss` must be, to the letter.
    pub issuer: String,
    /// Of these the claim `aud` must name one.
    pub audiences: Vec<String>,
    /// The issuer's keys: a file, or a directory as Kubernetes mounts a Secret. PEM, a JWK or JWK set, or the secret of
    /// an HMAC; without `key` every entry is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<CredentialSource>,
    /// Where the issuer publishes its keys as a JWK set. Without it and without `keys`, its own document at
    /// `/.well-known/openid-configuration` says where (OpenID Connect Discovery 1.0).
    #[serde(default, rename = "jwksURI", skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<Url>,
    /// The authorities that certify the https addresses of its document and keys: a file of certificates in PEM, or a
    /// directory as Kubernetes mounts a Secret, of which the entry `ca.crt` or `key` counts. Mozilla's without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CredentialSource>,
    /// Fetch its keys without TLS from elsewhere than this machine: whoever is on the way can then let in whom they like.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub insecure: bool,
    /// By which algorithms it signs. Without the list, by any that has a key pair: an HMAC must be listed.
    #[serde(default = "JwtAlgorithm::with_key_pair")]
    pub algorithms: Vec<JwtAlgorithm>,
    /// The claim that names the client.
    #[serde(default = "JwtIssuer::default_client_claim")]
    pub client_claim: String,
    /// The claim with the client's groups, one name or a list of them; tokens give none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// How many seconds the issuer's clock may differ from ours.
    #[serde(default = "JwtIssuer::default_leeway_seconds")]
    pub leeway_seconds: u32,
}

impl JwtIssuer {
    /// The subject, which every token has whose issuer knows whom it speaks of.
    pub const DEFAULT_CLIENT_CLAIM: &str = "sub";
    /// Clocks that are kept differ by less than a second; this is for clocks that are hardly kept.
    pub const DEFAULT_LEEWAY_SECONDS: u32 = 30;
    /// Most seconds that may be set.
    pub const MOST_LEEWAY_SECONDS: u32 = 300;

    /// Where its keys are published; none where they stand in files, or where the issuer is no URL to find them by.
    pub fn key_address(&self) -> Option<KeyAddress> {
        if self.keys.is_some() {
            return None;
        }
        if let Some(address) = &self.jwks_uri {
            return Some(KeyAddress::Known(address.clone()));
        }
        let document = format!(
            "{}/.well-known/openid-configuration",
            self.issuer.trim_end_matches('/')
        );
        Url::parse(&document).ok().map(KeyAddress::Discovered)
    }

    fn default_client_claim() -> String {
        Self::DEFAULT_CLIENT_CLAIM.to_owned()
    }

    const fn default_leeway_seconds() -> u32 {
        Self::DEFAULT_LEEWAY_SECONDS
    }
}

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyAddress {
    /// At this address.
    Known(Url),
    /// Where the document at this address says.
    Discovered(Url),
}

impl KeyAddress {
    /// The address that is asked first.
    pub const fn first(&self) -> &Url {
        match self {
            Self::Known(address) | Self::Discovered(address) => address,
        }
    }

    /// Whether nobody on the way can change what is fetched from there: it is https, or this very machine.
    pub fn is_safe(address: &Url) -> bool {
        let here = match address.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(_)) | None => false,
        };
        address.scheme() == "https" || address.scheme() == "http" && here
    }
}

/// An algorithm of JSON Web Signatures (RFC 7518, section 3.1; EdDSA: RFC 8037). `none` is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum JwtAlgorithm {
    /// HMAC with SHA-256: whoever can check a token can make one.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    RS256,
    /// RSA (PKCS #1 v1.5) with SHA-384.
    RS384,
    /// RSA (PKCS #1 v1.5) with SHA-512.
    RS512,
    /// RSA (PSS) with SHA-256.
    PS256,
    /// RSA (PSS) with SHA-384.
    PS384,
    /// RSA (PSS) with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// EdDSA on Ed25519.
    EdDSA,
}

impl JwtAlgorithm {
    /// All that there are.
    pub const ALL: [Self; 13] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// The name, as in the configuration and in tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether whoever can check a token can make one as well.
    pub const fn has_shared_secret(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }

    /// Those that have a key pair, so that who checks tokens can't make them.
    pub fn with_key_pair() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|algorithm| !algorithm.has_shared_secret())
            .collect()
    }
}
