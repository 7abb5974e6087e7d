//! The least that a front in Rust can do: hyper on both sides and nothing between.
//!
//! It is this very program, started anew with `--forward`, so that it has a process and a processor of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use super::{Clients, Front, Place, free_address};

type Upstream = Arc<(Client<HttpConnector, Incoming>, Authority)>;

/// Starts it.
pub(crate) fn start(place: &Place<'_>) -> Result<Front> {
    let address = free_address()?;
    let mut command = place.command(std::env::current_exe()?);
    command.args(["--bench", "--forward", &format!("{address},{}", place.backend)]);
    Front::start(
        "a bare hyper forwarder".into(),
        command,
        address,
        &Clients::Anybody,
    )
}

/// Forwards until the process is ended.
pub(crate) async fn forward(listen: SocketAddr, backend: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let upstream: Upstream = Arc::new((client, Authority::try_from(backend.to_string())?));
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        let upstream = Arc::clone(&upstream);
        let service = service_fn(move |request| pass(Arc::clone(&upstream), request));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
    }
}

async fn pass(upstream: Upstream, request: Request<Incoming>) -> Result<Response<Incoming>> {
    let mut request = request;
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(upstream.1.clone());
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(upstream.0.request(request).await?)
}
