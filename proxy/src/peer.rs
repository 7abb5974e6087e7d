//! The other end of a client's connection.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::address::{AddressRefused, AddressRules, ClientAddress, normalise};
use crate::headers::Forwarded;
use crate::identify::{ClientCertificate, Recall};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// The address, in its one form.
    pub address: IpAddr,
    /// The connection is TLS.
    secure: bool,
    /// What it says of others counts, if its address is a trusted proxy's.
    may_speak_for_others: bool,
    certificate: Option<Arc<ClientCertificate>>,
    /// Whom its last request was of.
    pub recall: Recall,
    header: HeaderValue,
    reads_to_close: AtomicBool,
    refused_while_sending: AtomicBool,
}

impl Peer {
    /// The peer of an accepted connection.
    pub fn new(address: IpAddr, secure: bool) -> Self {
        let address = normalise(address);
        Self {
            address,
            secure,
            may_speak_for_others: true,
            certificate: None,
            recall: Recall::default(),
            header: address_header(address),
            reads_to_close: AtomicBool::new(false),
            refused_while_sending: AtomicBool::new(false),
        }
    }

    /// The peer of a connection that a proxy passes on without knowing for whom. What is said on it are the client's words,
    /// not the proxy's.
    pub fn unknown(proxy: IpAddr, secure: bool) -> Self {
        Self {
            may_speak_for_others: false,
            ..Self::new(proxy, secure)
        }
    }

    /// The client's address: the peer's own, or what a trusted proxy saw.
    ///
    /// # Errors
    /// The address can't be told, or may not call.
    pub fn client(&self, rules: &AddressRules, headers: &HeaderMap) -> Result<ClientAddress, AddressRefused> {
        if self.may_speak_for_others {
            rules.client(self.address, headers)
        } else {
            rules.direct(self.address)
        }
    }

    /// The same peer, with what it has shown in the handshake.
    #[must_use]
    pub fn with_certificate(self, certificate: Option<ClientCertificate>) -> Self {
        Self {
            certificate: certificate.map(Arc::new),
            ..self
        }
    }

    /// The certificate that it has shown in the handshake.
    pub const fn certificate(&self) -> Option<&Arc<ClientCertificate>> {
        self.certificate.as_ref()
    }

    /// Notes the version that it speaks.
    pub fn note_version(&self, version: Version) {
        if version < Version::HTTP_11 {
            self.reads_to_close.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it takes the connection's end for a body's end (RFC 9112, section 6.3), so that a body that is cut
    /// must be made to look broken in another way.
    pub fn reads_to_close(&self) -> bool {
        self.reads_to_close.load(Ordering::Relaxed)
    }

    /// Notes that a request was refused whose body nobody reads.
    pub fn note_refused_while_sending(&self) {
        self.refused_while_sending.store(true, Ordering::Relaxed);
    }

    /// Whether a request was refused whose body nobody reads.
    pub fn was_refused_while_sending(&self) -> bool {
        self.refused_while_sending.load(Ordering::Relaxed)
    }

    /// What the upstream is told of a client: `address` is its own, which may be behind a proxy that is this peer.
    pub fn forwarded<'request>(
        &self,
        address: ClientAddress,
        rules: &AddressRules,
        headers: &'request HeaderMap,
        request_id: &'request HeaderValue,
    ) -> Forwarded<'request> {
        let address = address.get();
        Forwarded {
            request_id,
            address: if address == self.address {
                self.header.clone()
            } else {
                address_header(address)
            },
            protocol: self.protocol(rules, headers),
            host: headers.get(http::header::HOST),
        }
    }

    /// What a trusted proxy says that its client spoke, else what this connection speaks.
    fn protocol(&self, rules: &AddressRules, headers: &HeaderMap) -> HeaderValue {
        let said = (self.may_speak_for_others && rules.trusts(self.address))
            .then(|| headers.get(X_FORWARDED_PROTO))
            .flatten();
        let secure = match said.map(HeaderValue::as_bytes) {
            Some(b"https") => true,
            Some(b"http") => false,
            _ => self.secure,
        };
        HeaderValue::from_static(if secure { "https" } else { "http" })
    }
}

fn address_header(address: IpAddr) -> HeaderValue {
    // An address has only characters that a header's value may have.
    HeaderValue::try_from(address.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
}
