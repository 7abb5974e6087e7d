//! A certificate that a client has shown in the TLS handshake, and what it says.
//!
//! The handshake has checked it against the authorities of that moment; a connection outlives them, and a resumed session
//! hasn't checked anything. So it is checked again for the first request, and once more when other authorities have come
//! into force; in between only its time is looked at.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::Unauthenticated;
use crate::config::CertificateName;
use crate::credentials::{Authorities, Client, KnownClients, Means, check_name};

/// What a client has shown: its own certificate first, then those that lead to its authority.
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    accepted: ArcSwapOption<Accepted>,
}

/// What a certificate was found to be.
struct Accepted {
    by: Arc<Authorities>,
    client: Arc<Client>,
    /// The time from which the first of the chain is no longer good, or nobody knows whether it was revoked.
    until: Timestamp,
}

impl ClientCertificate {
    /// The chain of a handshake.
    pub fn new(chain: &[CertificateDer<'_>]) -> Self {
        Self {
            chain: chain.iter().map(|one| one.clone().into_owned()).collect(),
            accepted: ArcSwapOption::empty(),
        }
    }

    /// Whose it is, by these authorities and at this time, among these clients.
    pub(crate) fn client(
        &self,
        authorities: &Arc<Authorities>,
        clients: &KnownClients,
        now: Timestamp,
    ) -> Result<Arc<Client>, Unauthenticated> {
        let accepted = self
            .accepted
            .load_full()
            .filter(|accepted| Arc::ptr_eq(&accepted.by, authorities));
        let accepted = match accepted {
            Some(accepted) => accepted,
            None => {
                let accepted = Arc::new(self.accept(authorities, clients, now)?);
                self.accepted.store(Some(Arc::clone(&accepted)));
                accepted
            }
        };
        if now < accepted.until {
            Ok(Arc::clone(&accepted.client))
        } else {
            Err(Unauthenticated::Expired)
        }
    }

    fn accept(
        &self,
        authorities: &Arc<Authorities>,
        clients: &KnownClients,
        now: Timestamp,
    ) -> Result<Accepted, Unauthenticated> {
        if !authorities.have_certified(&self.chain) {
            return Err(Unauthenticated::Unknown);
        }
        let own = self.chain.first().ok_or(Unauthenticated::Malformed)?;
        let name = name(own, authorities.name()).ok_or(Unauthenticated::Malformed)?;
        let end = end(&self.chain).ok_or(Unauthenticated::Malformed)?;
        Ok(Accepted {
            by: Arc::clone(authorities),
            client: clients.get(&name.into(), Means::ClientCertificates, now),
            until: authorities.until().map_or(end, |until| until.min(end)),
        })
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientCertificate({} in the chain)", self.chain.len())
    }
}

/// The first name of that kind, if it is one that a client can have. A subject with several common names has none: which
/// of them counts must not be left to chance.
fn name(certificate: &[u8], kind: CertificateName) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = match kind {
        CertificateName::CommonName => {
            let mut names = certificate.subject().iter_common_name();
            let name = names.next()?.as_str().ok()?;
            names.next().is_none().then(|| name.to_owned())
        }
        CertificateName::Dns | CertificateName::Uri | CertificateName::Email => {
            let names = certificate.subject_alternative_name().ok()??;
            let name = names
                .value
                .general_names
                .iter()
                .find_map(|name| match (kind, name) {
                    (CertificateName::Dns, GeneralName::DNSName(name))
                    | (CertificateName::Uri, GeneralName::URI(name))
                    | (CertificateName::Email, GeneralName::RFC822Name(name)) => Some(*name),
                    _ => None,
                });
            name.map(str::to_owned)
        }
    };
    name.filter(|name| check_name(name).is_ok())
}

/// When the first of them ends.
fn end(chain: &[CertificateDer<'static>]) -> Option<Timestamp> {
    let end = |certificate: &CertificateDer<'static>| {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        // It is good to the end of that very second (RFC 5280, 4.1.2.5).
        Timestamp::from_second(certificate.validity().not_after.timestamp() + 1).ok()
    };
    chain
        .iter()
        .map(end)
        .try_fold(Timestamp::MAX, |first, end| Some(first.min(end?)))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    /// A certificate with these common names and alternative names.
    fn certificate(common_names: &[&str], alternatives: &[SanType]) -> CertificateDer<'static> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.remove(DnType::CommonName);
        for name in common_names {
            parameters.distinguished_name.push(DnType::CommonName, *name);
        }
        parameters.subject_alt_names = alternatives.to_vec();
        parameters
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .clone()
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn the_name_that_is_asked_for_or_none() {
        use CertificateName::{CommonName, Dns, Email, Uri};
        /// What it is, which name is asked for, the common and the alternative names, and what is found.
        type Case<'a> = (&'a str, CertificateName, &'a [&'a str], &'a [SanType], Option<&'a str>);
        let dns = |name: &str| SanType::DnsName(name.try_into().unwrap());
        let uri = |name: &str| SanType::URI(name.try_into().unwrap());
        let email = |name: &str| SanType::Rfc822Name(name.try_into().unwrap());
        let all = [uri("spiffe://a/b"), email("a@b.example"), dns("a.example"), dns("b.example"), uri("spiffe://c")];
        let cases: &[Case<'_>] = &[
            ("a common name", CommonName, &["alice"], &all, Some("alice")),
            ("with other letters", CommonName, &["Älice B."], &[], Some("Älice B.")),
            ("no common name", CommonName, &[], &all, None),
            ("an empty one", CommonName, &[""], &[], None),
            ("spaces around it", CommonName, &[" alice"], &[], None),
            ("a NUL in it", CommonName, &["alice\0"], &[], None),
            ("a line end in it", CommonName, &["alice\nbob"], &[], None),
            ("the first DNS name", Dns, &["alice"], &all, Some("a.example")),
            ("the first URI", Uri, &["alice"], &all, Some("spiffe://a/b")),
            ("an e-mail address", Email, &["alice"], &all, Some("a@b.example")),
            ("no alternative names", Dns, &["alice"], &[], None),
            ("none of that kind", Uri, &["alice"], &[dns("a.example")], None),
        ];
        for (case, kind, common_names, alternatives, expected) in cases {
            let found = name(&certificate(common_names, alternatives), *kind);
            assert_eq!(found.as_deref(), *expected, "{case}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        let whole = certificate(&["alice"], &[]);
        for (case, bytes) in [
            ("nothing", &[][..]),
            ("cut off", &whole[..whole.len() / 2]),
            ("text", b"alice"),
        ] {
            assert_eq!(name(bytes, CertificateName::CommonName), None, "{case}");
        }
    }
}
