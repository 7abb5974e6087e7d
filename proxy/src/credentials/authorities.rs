//! Authorities in files: those whose certificates clients may show in the TLS handshake (RFC 5280; RFC 8446, section
//! 4.4.2), with their lists of revoked ones (RFC 5280, section 5), and those that certify the addresses of issuers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::{fmt, slice};

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

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
    revoked: Revoked,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// What they have certified and taken back.
#[derive(Default, PartialEq, Eq)]
struct Revoked {
    lists: Vec<CertificateRevocationListDer<'static>>,
    /// Whose they are. Of two of one authority the verifier would take the first.
    issuers: BTreeSet<Vec<u8>>,
    /// When the first of the lists ends; none where there is no list.
    until: Option<Timestamp>,
}

/// An entry: its name and its content.
pub(super) type Entry<'a> = (&'a str, &'a [u8]);

fn wrong((entry, _): Entry<'_>, problem: Problem) -> CredentialError {
    CredentialError::Entry {
        entry: entry.to_owned(),
        problem,
    }
}

/// Parses a bundle in PEM. One certificate that can't be read is enough to refuse all.
pub(super) fn parse_bundle(entry: Entry<'_>) -> Result<Bundle, CredentialError> {
    let certificates = CertificateDer::pem_slice_iter(entry.1)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| wrong(entry, Problem::Pem))?;
    let mut roots = RootCertStore::empty();
    for (certificate, number) in certificates.iter().zip(1..) {
        roots
            .add(certificate.clone())
            .map_err(|_| wrong(entry, Problem::Authority { number }))?;
    }
    if roots.is_empty() {
        return Err(wrong(entry, Problem::NoAuthority));
    }
    Ok(Bundle { certificates, roots })
}

/// Parses the bundle of those that certify clients. Lists of what they have revoked stand in it, or in an entry beside it.
pub(super) fn parse_for_clients(
    bundle: Entry<'_>,
    beside: Option<Entry<'_>>,
) -> Result<ParsedAuthorities, CredentialError> {
    let Bundle { certificates, roots } = parse_bundle(bundle)?;
    let roots = Arc::new(roots);
    let mut revoked = Revoked::default();
    revoked.add(bundle, &roots)?;
    if let Some(entry) = beside {
        let before = revoked.lists.len();
        revoked.add(entry, &roots)?;
        if revoked.lists.len() == before {
            return Err(wrong(entry, Problem::NoRevocationList));
        }
    }
    // It builds with any authority at all, and with lists that it has been built with.
    let verifier = verifier(&roots, &revoked.lists).map_err(|_| wrong(bundle, Problem::NoAuthority))?;
    Ok(ParsedAuthorities {
        certificates,
        revoked,
        verifier,
    })
}

/// Where there is a list, what no list speaks of is refused, and so is all of an authority whose list has ended.
fn verifier(
    roots: &Arc<RootCertStore>,
    lists: &[CertificateRevocationListDer<'static>],
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider)
        .allow_unauthenticated()
        .with_crls(lists.iter().cloned())
        .enforce_revocation_expiration()
        .build()
}

impl Revoked {
    /// Adds the lists that stand in an entry. One that can't be used is enough to refuse all.
    fn add(&mut self, entry: Entry<'_>, roots: &Arc<RootCertStore>) -> Result<(), CredentialError> {
        for (list, number) in CertificateRevocationListDer::pem_slice_iter(entry.1).zip(1..) {
            let list = list.map_err(|_| wrong(entry, Problem::Pem))?;
            let read = read(&list).filter(|_| verifier(roots, slice::from_ref(&list)).is_ok());
            let (issuer, end) = read.ok_or_else(|| wrong(entry, Problem::RevocationList { number }))?;
            if !self.issuers.insert(issuer) {
                return Err(wrong(entry, Problem::RevocationListTwice { number }));
            }
            self.until = Some(self.until.map_or(end, |until| until.min(end)));
            self.lists.push(list);
        }
        Ok(())
    }
}

/// Whose list it is, and when the next one is due (RFC 5280, sections 5.1.2.3 and 5.1.2.5).
fn read(list: &CertificateRevocationListDer<'_>) -> Option<(Vec<u8>, Timestamp)> {
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    let end = Timestamp::from_second(list.next_update()?.timestamp()).ok()?;
    Some((list.issuer().as_raw().to_vec(), end))
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

    /// Why nobody is let in by them any more, once what they say of revoked certificates has ended.
    pub(super) fn ended(&self, now: Timestamp) -> Option<Problem> {
        let end = self.authorities()?.until()?;
        (end <= now).then_some(Problem::RevocationListEnded { end })
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
    revoked: Revoked,
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
            revoked,
            verifier,
        } = parsed;
        let is_same = |previous: &Arc<Self>| {
            previous.certificates == certificates && previous.revoked == revoked && previous.name == name
        };
        match previous.filter(|previous| is_same(previous)) {
            Some(previous) => Arc::clone(previous),
            None => Arc::new(Self {
                certificates,
                revoked,
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

    /// When what they say of revoked certificates ends, and with it that they have certified anybody; none where they say
    /// nothing of that.
    pub(crate) const fn until(&self) -> Option<Timestamp> {
        self.revoked.until
    }

    /// Whether one of them has certified this chain, the client's own certificate first, for a client and for now, and not
    /// taken it back.
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
            .field("revocation_lists", &self.revoked.lists.len())
            .field("name", &self.name)
            .finish()
    }
}
