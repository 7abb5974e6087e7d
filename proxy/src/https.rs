//! The client by which the proxy itself asks others over https: issuers for their keys, the API server about tokens.

use std::iter;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

/// A client that keeps its connections and follows no redirect.
pub(crate) type HttpsClient<B> = Client<HttpsConnector<HttpConnector>, B>;

/// A client that trusts these authorities.
///
/// # Errors
/// TLS can't be set up.
pub(crate) fn client<B>(roots: RootCertStore) -> Result<HttpsClient<B>, rustls::Error>
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

/// An error with what lies behind it: hyper's own words say only that it couldn't connect.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
