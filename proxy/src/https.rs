//! The client by which the proxy itself asks others over https: issuers for their keys, the API server about tokens.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderValue, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client that keeps its connections and follows no redirect.
pub(crate) type HttpsClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A client that trusts these authorities.
///
/// # Errors
/// TLS can't be set up.
pub(crate) fn client<B>(roots: impl Into<Arc<RootCertStore>>) -> Result<HttpsClient<B>, rustls::Error>
where
    B: Body<Data = Bytes> + Send,
{
    let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .build();
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

/// JSON, and sets of keys (RFC 7517, section 8.5.2): the API server has no other name for its keys.
const ACCEPTED: &str = "application/json, application/jwk-set+json";

/// Asks for JSON, and reads an answer of at most so many bytes whose status is one that counts.
///
/// # Errors
/// What `refuse` makes of a status, or `fail` of the reason why there is no whole answer.
pub(crate) async fn ask<B, E>(
    client: &HttpsClient<B>,
    mut request: Request<B>,
    most_bytes: usize,
    refuse: impl FnOnce(StatusCode) -> Result<(), E>,
    fail: impl Fn(String) -> E,
) -> Result<(HeaderMap, Bytes), E>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    headers.insert(USER_AGENT, HeaderValue::from_static("corral-proxy"));
    let response = client
        .request(request)
        .await
        .map_err(|error| fail(causes(&error)))?;
    let (head, body) = response.into_parts();
    refuse(head.status)?;
    let body = Limited::new(body, most_bytes).collect().await;
    let body = body.map_err(|error| fail(error.to_string()))?;
    Ok((head.headers, body.to_bytes()))
}

/// An error with what lies behind it: hyper's own words say only that it couldn't connect.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
