//! One request, from the client to the API server and back.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::json;

use super::Shared;
use super::exchange::{Exchange, Target, version_in};
use super::fault::{Fault, Met};

/// The connection is to be cut.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the connection is cut")
    }
}

impl std::error::Error for Cut {}

pub(super) type Body = UnsyncBoxBody<Bytes, Cut>;

/// Answers one request. What has begun goes on in a task of its own, whatever becomes of the connection.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let request = Request::from_parts(parts, body);
    tokio::spawn(async move { shared.answer(request).await })
        .await
        .map_err(|_| Cut)?
}

impl Shared {
    async fn answer(&self, request: Request<Bytes>) -> Result<Response<Body>, Cut> {
        let Some(target) = Target::parse(request.method(), request.uri(), request.body()) else {
            return self.pass_on(request).await.map(|answer| answer.map(whole));
        };
        let exchange = Exchange {
            target,
            body: request.body().clone(),
            status: None,
            version: None,
        };
        match self.faults.of(&exchange.target) {
            None => self.serve(exchange, request).await,
            Some(met) => self.fail(met, exchange, request).await,
        }
    }

    /// What becomes of a request that has met a fault.
    async fn fail(
        &self,
        met: Met,
        exchange: Exchange,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, Cut> {
        match met.fault {
            Fault::Answer {
                status,
                reason,
                retry_after,
            } => {
                met.begin();
                self.note(exchange);
                refusal(status, reason, retry_after)
            }
            Fault::Cut => {
                met.begin();
                self.note(exchange);
                Err(Cut)
            }
            Fault::Hold => {
                met.begin();
                self.note(exchange);
                met.over().await;
                Err(Cut)
            }
            Fault::CutAfter => {
                self.serve(exchange, request).await?;
                met.begin();
                Err(Cut)
            }
            Fault::HoldAfter => {
                self.serve(exchange, request).await?;
                met.begin();
                met.over().await;
                Err(Cut)
            }
            Fault::Delay(pause) => {
                met.begin();
                tokio::time::sleep(pause).await;
                self.serve(exchange, request).await
            }
        }
    }

    /// Has the API server answer, or the view that shows it as it was.
    async fn serve(&self, mut exchange: Exchange, request: Request<Bytes>) -> Result<Response<Body>, Cut> {
        if exchange.target.verb == "watch" {
            return self.watch(&exchange.target, request).await;
        }
        let shown = (exchange.target.verb == "list").then(|| request.uri().to_string());
        let old = shown
            .as_ref()
            .and_then(|uri| self.views.old(&exchange.target, uri));
        if let Some(old) = old {
            exchange.status = Some(StatusCode::OK.as_u16());
            self.note(exchange);
            let answer = Response::builder().header(CONTENT_TYPE, "application/json");
            return answer.body(whole(old)).map_err(|_| Cut);
        }
        let answer = self.pass_on(request).await?;
        exchange.status = Some(answer.status().as_u16());
        if exchange.target.is_write() {
            exchange.version = version_in(answer.body());
        }
        self.note(exchange);
        if let (Some(uri), StatusCode::OK) = (shown, answer.status()) {
            self.views.shown(uri, answer.body().clone());
        }
        Ok(answer.map(whole))
    }

    fn note(&self, exchange: Exchange) {
        let mut all = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(exchange);
    }

    /// Passes a request on and waits for the whole answer.
    async fn pass_on(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Cut> {
        let answer = self.send(request).await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect_bytes().await.map_err(|_| Cut)?;
        Ok(Response::from_parts(parts, body))
    }

    /// Passes a request on; the answer comes as it is made.
    pub(super) async fn send(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<kube::client::Body>, Cut> {
        without_hop(request.headers_mut());
        request.headers_mut().remove(HOST);
        let request = request.map(|body| kube::client::Body::from(body.to_vec()));
        let mut answer = self.upstream.send(request).await.map_err(|_| Cut)?;
        without_hop(answer.headers_mut());
        Ok(answer)
    }
}

fn without_hop(headers: &mut HeaderMap) {
    for header in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
        headers.remove(header);
    }
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

fn refusal(status: u16, reason: &str, retry_after: Option<u32>) -> Result<Response<Body>, Cut> {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("a fault: {reason}"), "reason": reason, "code": status});
    let mut answer = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header(RETRY_AFTER, seconds);
    }
    answer.body(whole(body.to_string().into())).map_err(|_| Cut)
}
