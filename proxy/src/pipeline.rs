//! What happens to a request, step by step. Each step takes what the one before it made, so that none can be left out.

use std::mem;

use bytes::Bytes;
use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use jiff::Timestamp;

use crate::account::Record;
use crate::admit::admit;
use crate::body::{Answer, ResponseBody};
use crate::cors::Grant;
use crate::forward::forward;
use crate::inspect::inspect;
use crate::limit::Moment;
use crate::patience::Patient;
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::reject::{Rejection, Shape};
use crate::stream::Plan;
use crate::target::Target;
use crate::trace::{X_REQUEST_ID, trace_id};

/// Answers a request. A page that may call sees the answer, whatever it is.
pub async fn answer(proxy: &Proxy, peer: &Peer, request: Request<Incoming>) -> Response<ResponseBody> {
    let grant = grant(proxy, request.headers());
    let preflight = grant.as_ref().and_then(|grant| grant.preflight(&request));
    let mut response = match preflight {
        Some(preflight) => allow(proxy, peer, request.headers(), preflight),
        None => judge(proxy, peer, request).await,
    };
    if let Some(grant) = grant {
        grant.note(response.headers_mut());
    }
    response
}

/// What the page may that calls, if one does.
fn grant(proxy: &Proxy, headers: &HeaderMap) -> Option<Grant> {
    if !headers.contains_key(ORIGIN) {
        return None;
    }
    proxy.in_force().cors.as_ref()?.grant(headers)
}

/// Tells a browser what a page may, where the address may call. Nobody has a credential yet.
fn allow(
    proxy: &Proxy,
    peer: &Peer,
    headers: &HeaderMap,
    preflight: Response<Bytes>,
) -> Response<ResponseBody> {
    let mut record = proxy.accounting().begin(&Method::OPTIONS, peer.address);
    let response = match peer.client(&proxy.in_force().addresses, headers) {
        Ok(address) => {
            record.note_address(address);
            preflight
        }
        Err(refused) => {
            let rejection = Rejection::from(refused);
            record.refuse(rejection.reason());
            rejection.response(Shape::Ollama)
        }
    };
    record.note_status(response.status());
    response.map(|body| ResponseBody::own(body, record))
}

/// Answers with the upstream's answer, or with the reason why there is none. The record is written when the answer's
/// body ends.
async fn judge(proxy: &Proxy, peer: &Peer, request: Request<Incoming>) -> Response<ResponseBody> {
    let (mut head, body) = request.into_parts();
    peer.note_version(head.version);
    let has_body = !body.is_end_stream();
    let is_head = head.method == Method::HEAD;
    let mut record = proxy.accounting().begin(&head.method, peer.address);
    let shape = Shape::of(head.uri.path());
    let id = proxy.accounting().request_ids.of(&head.headers);
    record.note_trace(&id, trace_id(&head.headers));
    match serve(proxy, peer, shape, &mut head, &id, body, &mut record).await {
        Ok(mut response) => {
            response.headers_mut().insert(X_REQUEST_ID, id);
            record.note_answer(&response);
            response.map(|answer| ResponseBody::upstream(answer, record))
        }
        Err(rejection) => {
            if has_body {
                peer.note_refused_while_sending();
                // hyper now sees that nobody reads the body: if more of it is to come, the answer says that the
                // connection closes. Without that the next request could run into its end.
                tokio::task::yield_now().await;
            }
            let mut response = rejection.response(shape);
            // Whoever isn't known gets the same bytes each time.
            if response.status() != StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(X_REQUEST_ID, id);
            }
            record.note_status(response.status());
            record.refuse(rejection.reason());
            response.map(|body| {
                // hyper leaves out what HEAD doesn't ask for, but only in HTTP/1.
                let body = if is_head { Bytes::new() } else { body };
                ResponseBody::own(body, record)
            })
        }
    }
}

async fn serve(
    proxy: &Proxy,
    peer: &Peer,
    shape: Shape,
    head: &mut Parts,
    id: &HeaderValue,
    body: Incoming,
    record: &mut Record,
) -> Result<Response<Answer>, Rejection> {
    let in_force = proxy.in_force();
    let address = peer.client(&in_force.addresses, &head.headers)?;
    record.note_address(address);
    let identity = proxy.verifier().recognise(&in_force, head, peer, address).await?;
    record.note_identity(&identity);
    let target = Target::parse(head)?;
    record.note_target(&target);
    let limit = in_force.config.limits.body.of(target.class(), target.content());
    let clearance = in_force
        .authorizer
        .authorize(identity, address, target, Timestamp::now())?;
    let (slot, standing) = proxy.limiter().enter(&clearance, Moment::now)?;
    if let Some(bill) = slot.bill() {
        record.charge(bill);
    }
    let body = Patient::new(body, in_force.config.limits.timeouts.body_idle());
    let (permit, payload) = inspect(clearance, &head.headers, body, limit, proxy.held(), |ask| {
        record.note_ask(ask);
    })
    .await?;
    let admission = admit(permit, slot, &in_force, proxy.requests(), || proxy.in_force())?;
    let upstream = proxy.route(&admission);
    let forwarded = peer.forwarded(address, &in_force.addresses, &head.headers, id.clone());
    let plan = Plan::of(
        &in_force.config.streams,
        admission.target().events(),
        &head.headers,
    );
    // A stream may last for hours: it must not hold on to what was in force when it began.
    drop(in_force);
    record.note_forwarded();
    let headers = mem::take(&mut head.headers);
    let mut response = forward(admission, &upstream, headers, payload, forwarded, plan).await?;
    shape.tell(&standing, response.headers_mut());
    Ok(response)
}
