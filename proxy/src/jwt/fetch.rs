//! Fetches what an issuer publishes: its keys, and where they are (OpenID Connect Discovery 1.0, section 4).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderMap};
use http::{Request, StatusCode, Uri};
use http_body_util::Empty;
use rustls::RootCertStore;
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use super::json::parse_object;
use super::jwk;
use super::keys::KeySet;
use super::problem::KeyProblem;
use crate::config::KeyAddress;
use crate::https::{self, HttpsClient};

/// How long an answer may take, from the connect to its last byte.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer. The largest sets that providers publish have some twenty thousand.
const MOST_BYTES: usize = 256 * 1024;
/// How long keys are fresh where the issuer doesn't say.
const USUAL_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// Least and most that an issuer can say.
const LIFETIMES: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(60 * 60));

/// The client that fetches keys. It follows no redirect.
pub struct Fetcher {
    client: HttpsClient<Empty<Bytes>>,
    /// What it trusts.
    roots: Arc<RootCertStore>,
}

/// A set of keys that was fetched.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// What is wrong with keys that don't count.
    pub(super) problems: Vec<KeyProblem>,
    pub(super) lifetime: Duration,
}

/// Why there are no keys. Names addresses, never what an answer holds.
#[derive(Debug, Error)]
pub(super) enum FetchError {
    #[error("{0} isn't asked while it can't be read which authorities certify it")]
    NoAuthorities(String),
    #[error("no answer from {0}: {1}")]
    NoAnswer(String, String),
    #[error("no whole answer from {0} within {time} s", time = TIMEOUT.as_secs())]
    Timeout(String),
    #[error("{0} answers {1} in place of 200; redirects are not followed")]
    Status(String, StatusCode),
    #[error("the answer of {0} is not {what}", what = "a JSON object with each name once")]
    NotJson(String),
    #[error("{0} is the document of another issuer")]
    OtherIssuer(String),
    #[error("{0} names no `jwks_uri` that keys may be fetched from: it must be https")]
    NoAddress(String),
    #[error("{0}: {1}")]
    Keys(String, KeyProblem),
}

impl Fetcher {
    /// One that trusts the authorities that Mozilla trusts.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn new() -> Result<Self, rustls::Error> {
        Self::trusting(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
    }

    /// One that trusts these authorities alone.
    pub(super) fn trusting(roots: RootCertStore) -> Result<Self, rustls::Error> {
        let roots = Arc::new(roots);
        Ok(Self {
            client: https::client(Arc::clone(&roots))?,
            roots,
        })
    }

    /// Whether it would trust the same addresses as the other.
    pub(super) fn trusts_the_same(&self, other: &Self) -> bool {
        self.roots.roots == other.roots.roots
    }

    /// The keys that an issuer publishes now.
    pub(super) async fn fetch(&self, issuer: &str, address: &KeyAddress) -> Result<Fetched, FetchError> {
        let address = match address {
            KeyAddress::Known(address) => address.clone(),
            KeyAddress::Discovered(document) => self.discover(issuer, document).await?,
        };
        let (headers, body) = self.get(&address).await?;
        let keys = jwk::parse(&body).and_then(KeySet::of_public);
        let (keys, problems) = keys.map_err(|problem| FetchError::Keys(address.to_string(), problem))?;
        Ok(Fetched {
            keys,
            problems,
            lifetime: lifetime(&headers),
        })
    }

    /// Where the issuer's own document says that the keys are. Another issuer's document must not be taken for its.
    async fn discover(&self, issuer: &str, document: &Url) -> Result<Url, FetchError> {
        let (_, body) = self.get(document).await?;
        let object = parse_object(&body).map_err(|_| FetchError::NotJson(document.to_string()))?;
        let text = |name: &str| object.get(name).and_then(|value| value.as_str());
        if text("issuer") != Some(issuer) {
            return Err(FetchError::OtherIssuer(document.to_string()));
        }
        let address = text("jwks_uri").and_then(|address| Url::parse(address).ok());
        let as_safe = |address: &Url| KeyAddress::is_safe(address) || address.scheme() == document.scheme();
        address
            .filter(as_safe)
            .ok_or_else(|| FetchError::NoAddress(document.to_string()))
    }

    async fn get(&self, address: &Url) -> Result<(HeaderMap, Bytes), FetchError> {
        let exchange = timeout(TIMEOUT, self.exchange(address)).await;
        exchange.unwrap_or_else(|_| Err(FetchError::Timeout(address.to_string())))
    }

    async fn exchange(&self, address: &Url) -> Result<(HeaderMap, Bytes), FetchError> {
        let failed = |why: String| FetchError::NoAnswer(address.to_string(), why);
        let uri: Uri = address
            .as_str()
            .parse()
            .map_err(|_| failed("no address".into()))?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri;
        let refuse = |status| match status {
            StatusCode::OK => Ok(()),
            status => Err(FetchError::Status(address.to_string(), status)),
        };
        https::ask(&self.client, request, MOST_BYTES, refuse, failed).await
    }
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Fetcher({} authorities)", self.roots.len())
    }
}

/// How long an answer is fresh (RFC 9111, section 5.2.2.1), within our bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let directives = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let age = directives
        .into_iter()
        .flat_map(|directives| directives.split(','))
        .find_map(|directive| directive.trim().strip_prefix("max-age=")?.parse().ok());
    let (least, most) = LIFETIMES;
    age.map_or(USUAL_LIFETIME, Duration::from_secs).clamp(least, most)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_lifetime_is_within_bounds() {
        let cases = [
            ("max-age=300", 300),
            ("public, max-age=1800, must-revalidate", 1800),
            ("max-age=0", 60),
            ("no-store", 600),
            ("max-age=86400", 3600),
            ("max-age=many", 600),
            ("max-age=-1", 600),
            ("", 600),
        ];
        for (value, seconds) in cases {
            let headers = [(CACHE_CONTROL, HeaderValue::from_static(value))]
                .into_iter()
                .collect();
            assert_eq!(lifetime(&headers), Duration::from_secs(seconds), "{value}");
        }
        assert_eq!(lifetime(&HeaderMap::new()), USUAL_LIFETIME);
    }
}
