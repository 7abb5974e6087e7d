//! Authorities in files: those whose certificates clients may show in the TLS handshake (RFC 5280; RFC 8446, section
//! 4.4.2), and those that certify the addresses of issuers.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::{CredentialError, Problem};
use crate::config::{CertificateName, ClientCertificates};

/// A bundle of authorities, well formed and with at least one in it.
pub(super) struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
}

/// The bundle of those that certify clients.
pub(super) struct ParsedAuthorities {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// Parses a bundle in PEM. One certificate that can't be read is enough to refuse all.
pub(super) fn parse_bundle(entry: &str, content: &[u8]) -> Result<Bundle, CredentialError> {
    let wrong = |problem| CredentialError::Entry {
        entry: entry.to_owned(),
        problem,
    };
    let certificates = CertificateDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong(Problem::Pem))?;
    let mut roots = RootCertStore::empty();
    for (certificate, number) in certificates.iter().zip(1..) {
        roots
            .add(certificate.clone())
            .map_err(|_| wrong(Problem::Authority { number }))?;
    }
    if roots.is_empty() {
        return Err(wrong(Problem::NoAuthority));
    }
    Ok(Bundle { certificates, roots })
}

/// Parses the bundle of those that certify clients.
pub(super) fn parse_for_clients(entry: &str, content: &[u8]) -> Result<ParsedAuthorities, CredentialError> {
    let Bundle { certificates, roots } = parse_bundle(entry, content)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .allow_unauthenticated()
        .build();
    // It builds with any authority at all.
    let verifier = verifier.map_err(|_| CredentialError::Entry {
        entry: entry.to_owned(),
        problem: Problem::NoAuthority,
    })?;
    Ok(ParsedAuthorities {
        certificates,
        verifier,
    })
}

impl Bundle {
    /// What TLS trusts that trusts them alone.
    pub(super) fn into_roots(self) -> RootCertStore {
        self.roots
    }
}

/// What is asked of certificates that clients show.
#[derive(Clone, Debug, Default)]
pub(crate) enum Certificates {
    /// Nothing: they are no means of identification.
    #[default]
    Ignored,
    /// That an authority has certified them.
    Taken {
        /// Which name of theirs is the client's.
        name: CertificateName,
        /// None where the bundle is wrong, so that nobody is let in.
        authorities: Option<Arc<Authorities>>,
    },
}

impl Certificates {
    /// By no authority yet.
    pub(super) fn new(configured: Option<&ClientCertificates>) -> Self {
        configured.map_or(Self::Ignored, |certificates| Self::Taken {
            name: certificates.name,
            authorities: None,
        })
    }

    /// By these authorities.
    pub(super) fn trust(&mut self, parsed: ParsedAuthorities, previous: &Self) {
        if let Self::Taken { name, authorities } = self {
            *authorities = Some(Authorities::following(previous.authorities(), parsed, *name));
        }
    }

    /// The authorities that are trusted.
    pub(crate) const fn authorities(&self) -> Option<&Arc<Authorities>> {
        match self {
            Self::Ignored => None,
            Self::Taken { authorities, .. } => authorities.as_ref(),
        }
    }
}

/// The authorities in force, and how clients are named by what they have certified.
pub(crate) struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
    name: CertificateName,
}

impl Authorities {
    /// The previous ones themselves, if nothing has changed: what was found by them needs no second look then.
    pub(super) fn following(
        previous: Option<&Arc<Self>>,
        parsed: ParsedAuthorities,
        name: CertificateName,
    ) -> Arc<Self> {
        let ParsedAuthorities {
            certificates,
            verifier,
        } = parsed;
        match previous {
            Some(previous) if previous.certificates == certificates && previous.name == name => {
                Arc::clone(previous)
            }
            _ => Arc::new(Self {
                certificates,
                verifier,
                name,
            }),
        }
    }

    /// What handshakes ask: a certificate is not needed there, but one that is shown must be good.
    pub(crate) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }

    /// Which name of a certificate is its client's.
    pub(crate) const fn name(&self) -> CertificateName {
        self.name
    }

    /// Whether one of them has certified this chain, the client's own certificate first, for a client and for now.
    pub(crate) fn have_certified(&self, chain: &[CertificateDer<'static>]) -> bool {
        chain.split_first().is_some_and(|(own, intermediates)| {
            let verified = self
                .verifier
                .verify_client_cert(own, intermediates, UnixTime::now());
            verified.is_ok()
        })
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Authorities")
            .field("certificates", &self.certificates.len())
            .field("name", &self.name)
            .finish()
    }
}
