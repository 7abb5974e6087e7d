//! Issuers of JSON Web Tokens (RFC 7519) whose word counts.

use serde::{Deserialize, Serialize};

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
    pub keys: CredentialSource,
    /// By which algorithms it signs. Without the list, by any that has a key pair: an HMAC must be listed.
    #[serde(default = "JwtAlgorithm::with_key_pair")]
    pub algorithms: Vec<JwtAlgorithm>,
    /// The claim that names the client.
    #[serde(default = "JwtIssuer::default_client_claim")]
    pub client_claim: String,
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

    fn default_client_claim() -> String {
        Self::DEFAULT_CLIENT_CLAIM.to_owned()
    }

    const fn default_leeway_seconds() -> u32 {
        Self::DEFAULT_LEEWAY_SECONDS
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
