//! The request goes to the upstream, rebuilt from its canonical form, and the answer comes back as it is made.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Response};

use crate::admit::Admission;
use crate::body::{Answer, RequestBody};
use crate::headers::{self, Forwarded};
use crate::payload::Payload;
use crate::reject::Rejection;
use crate::shape::Shape;
use crate::stream::Plan;
use crate::stream::events::EventStream;
use crate::stream::late::Late;
use crate::stream::reading::Reading;
use crate::upstream::{Outcome, Sent, Upload, Upstream};
use crate::upstream_body::UpstreamBody;

/// Sends an admitted request to its upstream. It may wait for the model as long as the client does. Holds on to nothing
/// of what was received.
///
/// # Errors
/// The upstream gives no answer, or the request is cut before one begins.
pub fn forward(
    admission: Admission,
    upstream: Arc<Upstream>,
    headers: &HeaderMap,
    payload: Payload,
    forwarded: &Forwarded<'_>,
    plan: Plan,
) -> impl Future<Output = Result<Response<Answer>, Rejection>> + Send + use<> {
    let limit = payload.limit();
    let request = rebuild(
        &admission,
        upstream.host_header(),
        headers,
        payload,
        forwarded,
        plan,
    );
    async move {
        if let Some(interval) = plan.heartbeat() {
            // Boxed: most requests needn't make room for it.
            let sending: Sent = Box::pin(async move { upstream.send(request).await });
            return Box::pin(with_heartbeat(admission, sending, limit, plan, interval)).await;
        }
        let sent = admission.unless_cut(pin!(upstream.send(request))).await?;
        answer(admission, limit, plan, sent)
    }
}

/// Waits for the answer, and begins it without the upstream after an interval of silence.
async fn with_heartbeat(
    admission: Admission,
    mut sending: Sent,
    limit: u64,
    plan: Plan,
    interval: Duration,
) -> Result<Response<Answer>, Rejection> {
    loop {
        let silence = tokio::time::timeout(interval, &mut sending);
        match admission.unless_cut(pin!(silence)).await? {
            Ok(sent) => return answer(admission, limit, plan, sent),
            Err(_) if admission.in_flight().asks_for_stream() => {
                return Ok(begin_without_upstream(sending, admission, limit, interval));
            }
            Err(_) => {}
        }
    }
}

fn answer(
    admission: Admission,
    limit: u64,
    plan: Plan,
    sent: Outcome,
) -> Result<Response<Answer>, Rejection> {
    let response = sent.map_err(|error| Rejection::of_upstream(&admission, limit, &error))?;
    let (mut head, content) = response.into_parts();
    headers::for_client(&mut head.headers);
    let needs_care = EventStream::is_needed(head.status, &head.headers, &admission, plan);
    let shape = Shape::of(admission.target().route());
    let body = UpstreamBody::new(content, admission);
    let answer = if needs_care {
        Answer::Events(Box::new(EventStream::new(body, shape, plan)))
    } else {
        Answer::Plain(Box::new(body))
    };
    let mut response = Response::new(answer);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    Ok(response)
}

/// The client has waited for an interval: what lies between may cut it before the model speaks.
fn begin_without_upstream(
    sending: Sent,
    admission: Admission,
    limit: u64,
    interval: Duration,
) -> Response<Answer> {
    let late = Late::new(sending, admission, limit);
    late.head()
        .map(|late| Answer::Events(Box::new(EventStream::late(late, interval))))
}

fn rebuild(
    admission: &Admission,
    host: &HeaderValue,
    received: &HeaderMap,
    payload: Payload,
    forwarded: &Forwarded<'_>,
    plan: Plan,
) -> Box<Upload> {
    let target = admission.target();
    let body = RequestBody::client(payload, admission.in_flight(), Reading::of(plan));
    let fields = headers::for_upstream(received, host, forwarded);
    Upload::new(target.method(), target.path_and_query(), fields, body)
}
