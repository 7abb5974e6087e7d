//! The request goes to the upstream, rebuilt from its canonical form, and the answer comes back as it is made.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use thiserror::Error;

use crate::admit::Admission;
use crate::body::{RequestBody, UpstreamBody};
use crate::headers::{self, Forwarded};
use crate::in_force::NoLonger;
use crate::inspect::{InspectError, Payload};
use crate::reject::Rejection;
use crate::upstream::{Upstream, UpstreamError};

/// Why there is no answer. What the upstream's address is, the client isn't told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ForwardError {
    /// Nothing listens there.
    #[error("the upstream can't be reached")]
    Unreachable,
    /// It doesn't take connections in time.
    #[error("the upstream doesn't answer")]
    ConnectTimeout,
    /// It left before an answer began, or answered with what isn't HTTP.
    #[error("the upstream gave no valid response")]
    NoResponse,
    /// The client's body breaks HTTP's rules.
    #[error("the request's body is malformed")]
    BadBody,
}

/// Sends an admitted request to its upstream. It may wait for the model as long as the client does.
///
/// # Errors
/// The upstream gives no answer, or the request is cut before one begins.
pub async fn forward(
    admission: Admission,
    upstream: &Arc<Upstream>,
    head: Parts,
    payload: Payload,
    forwarded: Forwarded,
) -> Result<Response<UpstreamBody>, Rejection> {
    let limit = payload.limit();
    let request = rebuild(
        &admission,
        upstream.host_header().clone(),
        head,
        payload,
        forwarded,
    );
    let sent = tokio::select! {
        biased;
        reason = admission.cut() => return Err(NoLonger::into(reason)),
        sent = upstream.send(request) => sent,
    };
    let (response, lease) = sent.map_err(|error| failure(&admission, limit, &error))?;
    let (mut head, incoming) = response.into_parts();
    // Nobody asked for another protocol.
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(ForwardError::NoResponse.into());
    }
    headers::for_client(&mut head.headers);
    let mut response = Response::new(UpstreamBody::new(incoming, admission, lease));
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

fn rebuild(
    admission: &Admission,
    host: HeaderValue,
    head: Parts,
    payload: Payload,
    forwarded: Forwarded,
) -> Request<RequestBody> {
    let target = admission.target();
    let length = payload.held_length();
    let mut request = Request::new(RequestBody::client(payload, admission.in_flight()));
    *request.method_mut() = target.method().clone();
    *request.uri_mut() = Uri::from(target.path_and_query().clone());
    *request.headers_mut() = headers::for_upstream(head.headers, host, forwarded);
    if let Some(length) = length {
        headers::frame_by_length(request.headers_mut(), length);
    }
    request
}

fn failure(admission: &Admission, limit: u64, error: &UpstreamError) -> Rejection {
    if admission.upload_is_too_large() {
        return InspectError::TooLarge(limit).into();
    }
    if admission.upload_is_broken() {
        return ForwardError::BadBody.into();
    }
    tracing::warn!(%error, route = admission.target().route(), "the upstream failed");
    let error = match error {
        UpstreamError::Connect(_) => ForwardError::Unreachable,
        UpstreamError::ConnectTimeout => ForwardError::ConnectTimeout,
        UpstreamError::Exchange(_) => ForwardError::NoResponse,
    };
    error.into()
}
