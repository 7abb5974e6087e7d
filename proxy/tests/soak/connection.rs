//! Connections over TLS: of HTTP/1.1 or HTTP/2, from a client itself or from a proxy that introduces it.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::certificate;
use crate::credentials::Credential;
use crate::rotation::Pair;

/// The proxy that introduces clients, by the PROXY protocol.
pub(crate) const INTRODUCER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// A client's address that may call.
pub(crate) const WELCOME: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// One that may not, whatever the client shows.
pub(crate) const SHUT_OUT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Who is introduced, and by which version of the PROXY protocol.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Introduced {
    pub(crate) client: Ipv4Addr,
    pub(crate) binary: bool,
}

impl Introduced {
    /// What the introducer says.
    fn words(self, to: SocketAddr) -> Vec<u8> {
        let Self { client, binary } = self;
        if !binary {
            return format!("PROXY TCP4 {client} {INTRODUCER} 1 {}\r\n", to.port()).into_bytes();
        }
        let (source, own) = (client.octets(), INTRODUCER.octets());
        let ports = [1_u16.to_be_bytes(), to.port().to_be_bytes()].concat();
        let addresses = [&source[..], &own[..], &ports].concat();
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", &addresses[..]].concat()
    }
}

/// How a connection comes, and what it shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) version: Version,
    /// The client that is introduced, if one is.
    pub(crate) introduced: Option<Introduced>,
    pub(crate) certificate: Option<Credential>,
}

impl Manner {
    /// Whether its client may not call from where it is.
    pub(crate) fn is_shut_out(&self) -> bool {
        self.introduced
            .is_some_and(|introduced| introduced.client == SHUT_OUT)
    }
}

/// What a client trusts, and how it resumes its sessions.
#[derive(Clone)]
pub(crate) struct Trust {
    roots: RootCertStore,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Trust {
    pub(crate) fn new(pairs: &[Pair]) -> Self {
        let mut roots = RootCertStore::empty();
        for pair in pairs {
            roots.add(pair.der.clone()).expect("a certificate");
        }
        let without_certificate = |version| {
            let config = builder(&roots).with_no_client_auth();
            Arc::new(speaking(config, version))
        };
        Self {
            http1: without_certificate(Version::Http1),
            http2: without_certificate(Version::Http2),
            roots,
        }
    }

    fn config(&self, manner: &Manner) -> Arc<ClientConfig> {
        match (manner.certificate, manner.version) {
            (None, Version::Http1) => Arc::clone(&self.http1),
            (None, Version::Http2) => Arc::clone(&self.http2),
            (Some(credential), version) => {
                let (certificate, key) = certificate::shown(credential);
                let config = builder(&self.roots).with_client_auth_cert(vec![certificate], key);
                Arc::new(speaking(config.expect("a certificate and its key"), version))
            }
        }
    }
}

fn builder(roots: &RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has all versions")
        .with_root_certificates(roots.clone())
}

fn speaking(mut config: ClientConfig, version: Version) -> ClientConfig {
    config.alpn_protocols = match version {
        Version::Http1 => vec![b"http/1.1".to_vec()],
        Version::Http2 => vec![b"h2".to_vec()],
    };
    config
}

/// An open connection.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

type Failure = Box<dyn Error + Send + Sync>;

impl Connection {
    pub(crate) async fn open(address: SocketAddr, trust: &Trust, manner: &Manner) -> Result<Self, Failure> {
        let stream = connect(address, manner.introduced).await?;
        let stream = TlsConnector::from(trust.config(manner))
            .connect(ServerName::try_from("localhost")?, stream)
            .await?;
        let io = TokioIo::new(stream);
        // The end of a connection is seen where it is used.
        Ok(match manner.version {
            Version::Http1 => {
                let (sender, driver) = http1::handshake(io).await?;
                tokio::spawn(driver);
                Self::Http1(sender)
            }
            Version::Http2 => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(driver);
                Self::Http2(sender)
            }
        })
    }

    pub(crate) async fn ready(&mut self) -> hyper::Result<()> {
        match self {
            Self::Http1(sender) => sender.ready().await,
            Self::Http2(sender) => sender.ready().await,
        }
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        match self {
            Self::Http1(sender) => sender.send_request(request).await,
            Self::Http2(sender) => sender.send_request(request).await,
        }
    }

    /// Another user of the same connection, where it can have several at once.
    pub(crate) fn share(&self) -> Option<Self> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(sender) => Some(Self::Http2(sender.clone())),
        }
    }
}

async fn connect(address: SocketAddr, introduced: Option<Introduced>) -> Result<TcpStream, Failure> {
    let Some(introduced) = introduced else {
        return Ok(TcpStream::connect(address).await?);
    };
    let socket = TcpSocket::new_v4()?;
    socket.bind((INTRODUCER, 0).into())?;
    let mut stream = socket.connect(address).await?;
    stream.write_all(&introduced.words(address)).await?;
    Ok(stream)
}
