//! `/livez`, `/readyz`, `/metrics` and `/status`, on a listener of their own. Nothing secret is on them.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use crate::proxy::Proxy;

const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers on `listener`, for ever.
pub async fn serve(listener: TcpListener, proxy: Arc<Proxy>) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&proxy)));
            }
            Err(error) => {
                tracing::warn!(%error, "can't accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, proxy: Arc<Proxy>) {
    let service = service_fn(|request| {
        let answer = answer(&proxy, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "an admin connection ended early");
    }
}

fn answer(proxy: &Proxy, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n".into());
    }
    match request.uri().path() {
        "/livez" => response(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => match proxy.readiness().check() {
            Ok(()) => response(StatusCode::OK, TEXT, "ok\n".into()),
            Err(reason) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
        },
        "/metrics" => {
            let metrics = proxy
                .accounting()
                .metrics
                .encode(&proxy.in_force().credentials, proxy.verifier().load());
            response(StatusCode::OK, OPEN_METRICS, metrics)
        }
        "/status" => match serde_json::to_string(&proxy.status()) {
            Ok(status) => response(StatusCode::OK, JSON, status),
            Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
        _ => response(
            StatusCode::NOT_FOUND,
            TEXT,
            "/livez, /readyz, /metrics, /status\n".into(),
        ),
    }
}

fn response(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
