//! What happens to a request, step by step. Each step takes what the one before it made, so that none can be left out.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ORIGIN;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use jiff::Timestamp;

use crate::account::Record;
use crate::address::ClientAddress;
use crate::admit::admit;
use crate::ask::Ask;
use crate::authorize::{Clearance, Permit};
use crate::body::{Answer, ResponseBody};
use crate::cors::Grant;
use crate::forward::forward;
use crate::headers::Forwarded;
use crate::identify::Identity;
use crate::in_force::InForce;
use crate::inspect::inspect;
use crate::limit::{Moment, Slot, Standing};
use crate::patience::Patient;
use crate::payload::{Payload, check_length};
use crate::peer::Peer;
use crate::proxy::Proxy;
use crate::reject::Rejection;
use crate::shape::Shape;
use crate::stream::Plan;
use crate::target::Target;
use crate::trace::{X_REQUEST_ID, trace_id};

/// Answers a request. A page that may call sees the answer, whatever it is.
pub fn answer(
    proxy: Arc<Proxy>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> impl Future<Output = Response<ResponseBody>> + Send {
    // Apart from here on: in an `async fn` the request would take its room a second time.
    let (mut head, body) = request.into_parts();
    async move {
        let grant = grant(&proxy, &head.headers);
        if let Some(preflight) = grant.as_ref().and_then(|grant| grant.preflight(&head)) {
            return noted(grant, allow(&proxy, &peer, &head.headers, preflight));
        }
        noted(grant, judge(&proxy, &peer, &mut head, body).await)
    }
}

/// Lets the page see the answer, if one calls.
fn noted(grant: Option<Grant>, mut response: Response<ResponseBody>) -> Response<ResponseBody> {
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
async fn judge(proxy: &Proxy, peer: &Peer, head: &mut Parts, body: Incoming) -> Response<ResponseBody> {
    peer.note_version(head.version);
    let has_body = !body.is_end_stream();
    let is_head = head.method == Method::HEAD;
    let mut record = proxy.accounting().begin(&head.method, peer.address);
    let shape = Shape::of(head.uri.path());
    let id = proxy.accounting().request_ids.of(&head.headers);
    record.note_trace(&id, trace_id(&head.headers));
    match serve(proxy, peer, shape, head, &id, body, &mut record).await {
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
    let recognising = proxy
        .verifier()
        .recognise(&in_force, head, peer, address, record.time());
    let identity = recognising.await?;
    let (clearance, slot, standing) = clear(proxy, &in_force, identity, address, head, record)?;
    let (class, content) = clearance.class_and_content();
    let body = Patient::new(body, in_force.config.limits.timeouts.body_idle());
    let limit = check_length(&body, in_force.config.limits.body.of(class, content))?;
    let (permit, payload) = match clearance {
        Clearance::Given(permit) => (permit, Payload::Streamed(body, limit)),
        // Boxed: requests whose body nobody looks into needn't make room for it.
        Clearance::Pending(pending) => {
            let note = |ask: &Ask| record.note_ask(ask);
            Box::pin(inspect(pending, &head.headers, body, limit, proxy.held(), note)).await?
        }
    };
    let answer = {
        let forwarded = peer.forwarded(address, &in_force.addresses, &head.headers, id);
        send(proxy, &in_force, permit, slot, &head.headers, payload, &forwarded)?
    };
    // A stream may last for hours: it must not hold on to what was in force when it began, nor to what was received.
    drop(in_force);
    head.headers = HeaderMap::new();
    record.note_forwarded();
    let mut response = answer.await?;
    shape.tell(&standing, response.headers_mut());
    Ok(response)
}

/// What can be told by the head: what is asked for, whether the client may, and whether it has something left of what it
/// may use.
fn clear(
    proxy: &Proxy,
    in_force: &InForce,
    identity: Identity,
    address: ClientAddress,
    head: &Parts,
    record: &mut Record,
) -> Result<(Clearance, Slot, Standing), Rejection> {
    record.note_identity(&identity);
    let target = Target::parse(head)?;
    record.note_target(&target);
    let clearance = in_force
        .authorizer
        // Not the record's time: a password may have been hashed since.
        .authorize(identity, address, target, Timestamp::now())?;
    let (slot, standing) = proxy.limiter().enter(&clearance, Moment::now)?;
    if let Some(bill) = slot.bill() {
        record.charge(bill);
    }
    Ok((clearance, slot, standing))
}

/// Admits what is permitted, and forwards it.
fn send(
    proxy: &Proxy,
    in_force: &InForce,
    permit: Box<Permit>,
    slot: Slot,
    headers: &HeaderMap,
    payload: Payload,
    forwarded: &Forwarded<'_>,
) -> Result<impl Future<Output = Result<Response<Answer>, Rejection>> + Send + use<>, Rejection> {
    let admission = admit(permit, slot, in_force, proxy.requests(), || proxy.in_force())?;
    let plan = Plan::of(&in_force.config.streams, admission.target().events(), headers);
    let upstream = proxy.route(&admission);
    Ok(forward(admission, upstream, headers, payload, forwarded, plan))
}
