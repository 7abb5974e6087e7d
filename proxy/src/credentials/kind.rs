//! The means whose credentials stand in files.

use crate::status::Means;

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
