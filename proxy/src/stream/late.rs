//! An answer that is begun before the upstream's has come: a model that loads is silent for minutes. What the upstream
//! then says is the rest of it, an error too.

use std::pin::{Pin, pin};
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Limited};
use serde_json::Value;

use super::is_events;
use crate::admit::{Admission, InFlight};
use crate::headers;
use crate::in_force::NoLonger;
use crate::reject::{ForwardError, Rejection};
use crate::shape::Shape;
use crate::upstream::{Content, Sent};
use crate::upstream_body::UpstreamBody;

/// Bytes of the longest error that is read.
const LONGEST_ERROR: usize = 64 << 10;

/// An answer whose head has been sent without the upstream's.
pub struct Late {
    pub(super) answer: Pin<Box<dyn Future<Output = Result<Answer, NoLonger>> + Send>>,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) shape: Shape,
}

/// An error in the place of a stream.
pub(super) struct Failure {
    /// The status that would have been sent.
    pub(super) status: StatusCode,
    /// Why, if the upstream gave no answer.
    pub(super) reason: Option<&'static str>,
    /// What is sent.
    pub(super) event: Bytes,
}

/// What has come at last.
pub(super) enum Answer {
    /// The stream.
    Stream(UpstreamBody),
    /// An error.
    Error(Failure),
}

impl std::fmt::Debug for Late {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Late")
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Late {
    /// Waits on for what was `sent`.
    pub fn new(sent: Sent, admission: Admission, limit: u64) -> Self {
        let shape = Shape::of(admission.target().route());
        Self {
            in_flight: admission.in_flight(),
            answer: Box::pin(answer(sent, admission, limit, shape)),
            shape,
        }
    }

    /// The head that is sent to the client.
    pub fn head(self) -> Response<Self> {
        let mut response = Response::new(self);
        let head = response.headers_mut();
        head.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers::for_client(head);
        response
    }
}

async fn answer(sent: Sent, admission: Admission, limit: u64, shape: Shape) -> Result<Answer, NoLonger> {
    let response = match admission.unless_cut(pin!(sent)).await? {
        Ok(answered) => answered,
        Err(error) => {
            let rejection = Rejection::of_upstream(&admission, limit, &error);
            return Ok(Answer::Error(rejected(&rejection, shape)));
        }
    };
    if response.status() == StatusCode::OK && is_events(response.headers()) {
        return Ok(Answer::Stream(UpstreamBody::new(response.into_body(), admission)));
    }
    let failure = admission.unless_cut(pin!(read_error(response, shape))).await?;
    Ok(Answer::Error(failure))
}

/// What isn't a stream is an error.
async fn read_error(response: Response<Content>, shape: Shape) -> Failure {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return rejected(&ForwardError::NoResponse.into(), shape);
    }
    let body = Limited::new(response.into_body(), LONGEST_ERROR).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let message = message(&body).unwrap_or_else(|| format!("the upstream answered {status}"));
    Failure {
        status,
        reason: None,
        event: shape.event(status, &message),
    }
}

fn rejected(rejection: &Rejection, shape: Shape) -> Failure {
    let status = rejection.status();
    Failure {
        status,
        reason: Some(rejection.reason()),
        event: shape.event(status, &rejection.message()),
    }
}

/// What an error of Ollama's says, in any API's shape.
fn message(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    let message = error.get("message").unwrap_or(error);
    message.as_str().map(str::to_owned)
}
