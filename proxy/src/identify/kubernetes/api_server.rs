//! Asks the API server. What it takes is read anew for each question, so that files which the kubelet renews count at once.

use std::env;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use super::error::ReviewError;
use super::review::{ServiceAccount, answer, question};
use crate::config::Kubernetes;
use crate::https::{self, HttpsClient};
use crate::jwt;

/// How long an answer may take, from the connect to its last byte.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer. It repeats the question, a token of which has at most 8 KiB.
const MOST_BYTES: usize = 64 * 1024;
/// Where reviews are created, below the server's address.
const PATH: &str = "apis/authentication.k8s.io/v1/tokenreviews";

/// The API server of a cluster.
pub(super) struct ApiServer {
    config: Kubernetes,
    /// Without the `/` at its end; none where nobody says what it is.
    address: Option<Arc<str>>,
    client: Mutex<Option<Trusting>>,
}

/// A client with what it trusts.
#[derive(Clone)]
struct Trusting {
    authorities: Arc<[u8]>,
    client: HttpsClient<Full<Bytes>>,
}

impl ApiServer {
    /// The one of the configuration, or of the cluster that the process runs in.
    pub(super) fn new(config: &Kubernetes) -> Self {
        let variable = |name| env::var(name).ok();
        let own = || {
            in_cluster(
                variable("KUBERNETES_SERVICE_HOST")?,
                variable("KUBERNETES_SERVICE_PORT"),
            )
        };
        let address = config.server.as_ref().map(Url::to_string).or_else(own);
        Self {
            config: config.clone(),
            address: address.map(|address| address.trim_end_matches('/').into()),
            client: Mutex::default(),
        }
    }

    /// Its address.
    pub(super) const fn address(&self) -> Option<&Arc<str>> {
        self.address.as_ref()
    }

    /// Whose a token is; nobody's if it doesn't count here.
    pub(super) async fn review(&self, token: &[u8]) -> Result<Option<ServiceAccount>, ReviewError> {
        self.ask(token, &self.own_token().await?).await
    }

    /// Asks about the proxy's own token, which is for the API server and nobody else: only whether there is an answer is
    /// of interest.
    pub(super) async fn try_out(&self) -> Result<(), ReviewError> {
        let own = self.own_token().await?;
        self.ask(own.as_bytes(), &own).await.map(drop)
    }

    async fn ask(&self, token: &[u8], own: &str) -> Result<Option<ServiceAccount>, ReviewError> {
        let address = self.address.as_ref().ok_or(ReviewError::NoServer)?;
        let client = self.client(address).await?;
        let request = self.request(address, token, own)?;
        let exchange = timeout(TIMEOUT, exchange(address, &client, request)).await;
        let text = exchange.unwrap_or_else(|_| Err(ReviewError::Timeout(address.to_string(), TIMEOUT)))?;
        answer(&text, &self.config.audiences).ok_or_else(|| ReviewError::NoReview(address.to_string()))
    }

    fn request(&self, address: &str, token: &[u8], own: &str) -> Result<Request<Full<Bytes>>, ReviewError> {
        let uri: Uri = format!("{address}/{PATH}")
            .parse()
            .map_err(|_| ReviewError::NoServer)?;
        let token = String::from_utf8_lossy(token);
        let body = question(&token, &self.config.audiences);
        let mut request = Request::post(uri)
            .body(Full::from(body))
            .map_err(|_| ReviewError::NoServer)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut bearer = HeaderValue::try_from(format!("Bearer {own}")).map_err(|_| ReviewError::File {
            path: self.config.token_file.clone(),
            why: "is no token".to_owned(),
        })?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        Ok(request)
    }

    /// The proxy's own token. Where it is made for one of our audiences, these are the API server's.
    async fn own_token(&self) -> Result<Zeroizing<String>, ReviewError> {
        let content = Zeroizing::new(read(&self.config.token_file).await?);
        let token = content.trim_ascii();
        let ours = |audience: &String| self.config.audiences.contains(audience);
        if jwt::unverified(token).is_ok_and(|own| own.audience.iter().any(ours)) {
            return Err(ReviewError::OwnAudience);
        }
        Ok(Zeroizing::new(String::from_utf8_lossy(token).into_owned()))
    }

    /// A client that trusts the authorities as they are now.
    async fn client(&self, address: &str) -> Result<HttpsClient<Full<Bytes>>, ReviewError> {
        let file = &self.config.ca_file;
        let authorities = if address.starts_with("https:") {
            read(file).await?
        } else {
            Vec::new()
        };
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = client.as_ref().filter(|known| *known.authorities == *authorities) {
            return Ok(known.client.clone());
        }
        let trusting = Trusting {
            client: https::client(roots(file, &authorities)?)?,
            authorities: authorities.into(),
        };
        Ok(client.insert(trusting).client.clone())
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, ReviewError> {
    tokio::fs::read(path).await.map_err(|error| ReviewError::File {
        path: path.to_owned(),
        why: error.to_string(),
    })
}

/// The authorities of a file. One that can't be read is enough to refuse all.
fn roots(path: &Path, content: &[u8]) -> Result<RootCertStore, ReviewError> {
    let wrong = || ReviewError::File {
        path: path.to_owned(),
        why: "holds something that is no certificate of an authority in PEM".to_owned(),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(content) {
        let certificate = certificate.map_err(|_| wrong())?;
        roots.add(certificate).map_err(|_| wrong())?;
    }
    Ok(roots)
}

async fn exchange(
    address: &str,
    client: &HttpsClient<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, ReviewError> {
    let refuse = |status| match status {
        StatusCode::OK | StatusCode::CREATED => Ok(()),
        StatusCode::FORBIDDEN => Err(ReviewError::Forbidden(address.to_owned())),
        StatusCode::UNAUTHORIZED => Err(ReviewError::Unauthorized(address.to_owned())),
        status => Err(ReviewError::Status(address.to_owned(), status)),
    };
    let failed = |why| ReviewError::NoAnswer(address.to_owned(), why);
    let (_, body) = https::ask(client, request, MOST_BYTES, refuse, failed).await?;
    Ok(body)
}

/// The address of the API server that Kubernetes tells its Pods, an IPv6 address without its brackets.
fn in_cluster(host: String, port: Option<String>) -> Option<String> {
    let host = match host.parse() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host,
    };
    let port = port.unwrap_or_else(|| "443".to_owned());
    let url = Url::parse(&format!("https://{host}:{port}")).ok()?;
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_of_a_pod_names_the_api_server() {
        let cases = [
            ("IPv4", "10.96.0.1", Some("443"), Some("https://10.96.0.1/")),
            (
                "another port",
                "10.96.0.1",
                Some("6443"),
                Some("https://10.96.0.1:6443/"),
            ),
            ("IPv6", "fd00::1", Some("443"), Some("https://[fd00::1]/")),
            ("a name", "api.example", None, Some("https://api.example/")),
            ("nothing", "", Some("443"), None),
            ("no port", "10.96.0.1", Some("many"), None),
        ];
        for (name, host, port, expected) in cases {
            let address = in_cluster(host.to_owned(), port.map(str::to_owned));
            assert_eq!(address.as_deref(), expected, "{name}");
        }
    }
}
