//! The means by which a client shows who it is, and those whose credentials stand in files.

use serde::{Deserialize, Serialize};

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Means {
    /// HTTP Basic.
    Basic,
    /// An API key.
    ApiKeys,
    /// A signature of the stock `ollama` CLI.
    OllamaKeys,
    /// A JSON Web Token of a trusted issuer.
    Jwt,
    /// A token of a Kubernetes service account.
    Kubernetes,
    /// A certificate in the TLS handshake.
    ClientCertificates,
    /// Not at all, where that is allowed.
    Anonymous,
}

impl Means {
    /// The name, as in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::ApiKeys => "apiKeys",
            Self::OllamaKeys => "ollamaKeys",
            Self::ClientCertificates => "clientCertificates",
            Self::Anonymous => "anonymous",
            Self::Jwt => "jwt",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Whether its credential can only be carried in `Authorization`, of which a request has one (RFC 9110, 11.6.2).
    pub const fn needs_authorization(self) -> bool {
        match self {
            Self::Basic | Self::OllamaKeys => true,
            Self::ApiKeys | Self::Jwt | Self::Kubernetes | Self::ClientCertificates | Self::Anonymous => {
                false
            }
        }
    }
}

/// What a file or a mounted Secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredentialKind {
    /// Users and password hashes for HTTP Basic.
    Basic,
    /// API keys.
    ApiKeys,
    /// Public keys of the stock `ollama` CLI.
    OllamaKeys,
    /// Keys by which the tokens of an issuer are checked.
    TokenKeys,
    /// Authorities that certify the addresses from which the keys of an issuer are fetched.
    IssuerAuthorities,
    /// Authorities whose certificates clients may show.
    ClientCertificates,
}

impl CredentialKind {
    /// The means that they are for.
    pub const fn means(self) -> Means {
        match self {
            Self::Basic => Means::Basic,
            Self::ApiKeys => Means::ApiKeys,
            Self::OllamaKeys => Means::OllamaKeys,
            Self::TokenKeys | Self::IssuerAuthorities => Means::Jwt,
            Self::ClientCertificates => Means::ClientCertificates,
        }
    }
}
