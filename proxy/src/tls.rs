//! TLS towards clients: one configuration for as long as the same authorities certify clients, in which the certificate is
//! swapped.

pub mod certificate;

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{Error, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::credentials::Authorities;

/// What a client may speak above TLS, the preferred first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// HTTP/2 within TLS (RFC 9113, section 3.1).
pub const HTTP2: &[u8] = b"h2";

/// The certificate for connections that begin; those that are there keep theirs. Without one, handshakes are refused.
#[derive(Debug, Default)]
pub struct Served(ArcSwapOption<CertifiedKey>);

impl Served {
    /// Serves this one from now on.
    pub fn put(&self, certificate: Option<Arc<CertifiedKey>>) {
        self.0.store(certificate);
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// Speaks TLS 1.2 and 1.3 (rustls knows none older), and resumes sessions by tickets. Clients may show certificates of
/// `authorities`; whoever shows another one is refused. Tickets are of one acceptor only: with other authorities each
/// client shows its certificate anew.
///
/// # Errors
/// The system has no random numbers.
pub(crate) fn acceptor(served: Arc<Served>, authorities: Option<&Authorities>) -> Result<TlsAcceptor, Error> {
    let clients = authorities.map_or_else(WebPkiClientVerifier::no_client_auth, Authorities::verifier);
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(served);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
