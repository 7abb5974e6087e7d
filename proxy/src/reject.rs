//! The one map from what went wrong to a response, in the shape of the API that was called.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use thiserror::Error;

use crate::address::AddressRefused;
use crate::admit::Admission;
use crate::authorize::Forbidden;
use crate::identify::Unauthenticated;
use crate::in_force::NoLonger;
use crate::limit::Excess;
use crate::payload::PayloadError;
use crate::shape::Shape;
use crate::target::TargetError;
use crate::upstream::UpstreamError;

/// Why a request isn't forwarded, by the step that says so.
#[derive(Debug, Error)]
pub enum Rejection {
    /// The address may not call.
    #[error(transparent)]
    Address(#[from] AddressRefused),
    /// Nobody knows who asks.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// There is no such route.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The client may not.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// The client is over a limit.
    #[error(transparent)]
    Limited(#[from] Excess),
    /// The body isn't one that can be judged.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The client might when it asked, and may not any more.
    #[error(transparent)]
    NoLonger(#[from] NoLonger),
    /// The upstream gave no answer.
    #[error(transparent)]
    Forward(#[from] ForwardError),
}

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

/// What is said for every missing or wrong credential, whatever the cause.
const UNAUTHORIZED: &str = "unauthorized: a valid credential is needed";
/// Both kinds of credentials that a browser or client may ask its user for (RFC 7617, RFC 6750).
const CHALLENGES: [&str; 2] = [
    "Basic realm=\"ollama\", charset=\"UTF-8\"",
    "Bearer realm=\"ollama\"",
];
/// When to come again, in seconds.
const RETRY_SOON: HeaderValue = HeaderValue::from_static("1");

impl Rejection {
    /// What an error of the upstream's is to the client.
    pub fn of_upstream(admission: &Admission, limit: u64, error: &UpstreamError) -> Self {
        if admission.upload_is_too_large() {
            return PayloadError::TooLarge(limit).into();
        }
        if admission.upload_is_stalled() {
            return PayloadError::Stalled.into();
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

    /// The closed list of reasons, for log and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Address(_) | Self::NoLonger(NoLonger::Admitted(_)) => "address",
            Self::Unauthenticated(cause) => cause.category(),
            Self::Target(TargetError::NotFound) => "no_route",
            Self::Target(TargetError::MethodNotAllowed(_) | TargetError::MethodNotSupported) => "method",
            Self::Target(TargetError::Malformed(_)) | Self::Forward(ForwardError::BadBody) => "malformed",
            Self::Forbidden(forbidden) | Self::NoLonger(NoLonger::Allowed(forbidden)) => {
                forbidden.cause.name()
            }
            Self::Limited(excess) => excess.name(),
            Self::Payload(error) => error.name(),
            Self::NoLonger(NoLonger::Identified) => "revoked",
            Self::Forward(ForwardError::Unreachable) => "upstream_unreachable",
            Self::Forward(ForwardError::ConnectTimeout) => "upstream_connect_timeout",
            Self::Forward(ForwardError::NoResponse) => "upstream_no_response",
        }
    }

    /// The status that says so.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(Unauthenticated::Overloaded | Unauthenticated::Unverifiable) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Unauthenticated(_) | Self::NoLonger(NoLonger::Identified) => StatusCode::UNAUTHORIZED,
            Self::Address(_) | Self::Forbidden(_) | Self::NoLonger(_) => StatusCode::FORBIDDEN,
            Self::Limited(Excess::Over { .. }) => StatusCode::TOO_MANY_REQUESTS,
            Self::Payload(PayloadError::Ask(_) | PayloadError::Broken) => StatusCode::BAD_REQUEST,
            Self::Payload(PayloadError::Stalled) => StatusCode::REQUEST_TIMEOUT,
            Self::Payload(PayloadError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Payload(PayloadError::Encoded) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Limited(Excess::Crowded) | Self::Payload(PayloadError::Overloaded) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Target(TargetError::NotFound) => StatusCode::NOT_FOUND,
            Self::Target(TargetError::MethodNotAllowed(_)) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Target(TargetError::MethodNotSupported) => StatusCode::NOT_IMPLEMENTED,
            Self::Target(TargetError::Malformed(_)) | Self::Forward(ForwardError::BadBody) => {
                StatusCode::BAD_REQUEST
            }
            Self::Forward(ForwardError::ConnectTimeout) => StatusCode::GATEWAY_TIMEOUT,
            Self::Forward(ForwardError::Unreachable | ForwardError::NoResponse) => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether the connection must not be used again: what follows on it may not be what it seems.
    const fn closes(&self) -> bool {
        matches!(
            self,
            Self::Target(TargetError::Malformed(_) | TargetError::MethodNotSupported)
                | Self::Forward(ForwardError::BadBody)
                | Self::Payload(
                    PayloadError::TooLarge(_)
                        | PayloadError::Broken
                        | PayloadError::Stalled
                        | PayloadError::Overloaded
                )
        )
    }

    /// What the client is told.
    pub fn message(&self) -> String {
        match self.status() {
            StatusCode::UNAUTHORIZED => UNAUTHORIZED.to_owned(),
            StatusCode::SERVICE_UNAVAILABLE => self.unavailable().to_owned(),
            _ => self.to_string(),
        }
    }

    const fn unavailable(&self) -> &'static str {
        match self {
            Self::Unauthenticated(Unauthenticated::Unverifiable) => {
                "the credential can't be checked now: try again soon"
            }
            _ => "overloaded: try again soon",
        }
    }

    /// The response, as a line of JSON in the shape of the API that was called.
    pub fn response(&self, shape: Shape) -> Response<Bytes> {
        let (status, message) = (self.status(), self.message());
        let body = Bytes::from(format!("{}\n", shape.body(status, &message)));
        let length = body.len();
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        if status == StatusCode::UNAUTHORIZED {
            for challenge in CHALLENGES {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_SOON);
        }
        if let Self::Limited(excess) = self {
            headers.insert(RETRY_AFTER, excess.retry_after());
            shape.tell(&excess.standing(), headers);
        }
        if let Self::Target(TargetError::MethodNotAllowed(route)) = self {
            headers.insert(ALLOW, HeaderValue::from_static(route.methods));
        }
        if self.closes() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::ask::AskError;
    use crate::authorize::Cause;
    use crate::routes::RouteClass;

    #[test]
    fn errors_have_the_shape_of_the_api_that_was_called() {
        let cases = [
            ("/api/chat", "{\"error\":\"no such route\"}\n"),
            ("/", "{\"error\":\"no such route\"}\n"),
            ("/v10", "{\"error\":\"no such route\"}\n"),
            (
                "/v1/chat/completions",
                "{\"error\":{\"code\":null,\"message\":\"no such route\",\"param\":null,\"type\":\"not_found_error\"}}\n",
            ),
            (
                "/v1/messages",
                "{\"error\":{\"message\":\"no such route\",\"type\":\"not_found_error\"},\"type\":\"error\"}\n",
            ),
        ];
        for (path, body) in cases {
            let response = Rejection::from(TargetError::NotFound).response(Shape::of(path));
            assert_eq!(response.status(), StatusCode::NOT_FOUND);
            assert_eq!(response.body(), body, "{path}");
        }
    }

    #[test]
    fn each_cause_has_its_status() {
        let forbidden = || Forbidden {
            client: "a\"b".into(),
            cause: Cause::Class(RouteClass::Manage),
        };
        let allowed = crate::routes::Route::find("/api/chat").unwrap();
        let cases: Vec<(Rejection, u16, &str)> = vec![
            (AddressRefused::NotAllowed.into(), 403, "address"),
            (forbidden().into(), 403, "forbidden"),
            (TargetError::NotFound.into(), 404, "no_route"),
            (TargetError::MethodNotAllowed(allowed).into(), 405, "method"),
            (TargetError::MethodNotSupported.into(), 501, "method"),
            (TargetError::Malformed("x").into(), 400, "malformed"),
            (NoLonger::Identified.into(), 401, "revoked"),
            (NoLonger::Allowed(forbidden()).into(), 403, "forbidden"),
            (
                NoLonger::Admitted(AddressRefused::NotAllowed).into(),
                403,
                "address",
            ),
            (ForwardError::Unreachable.into(), 502, "upstream_unreachable"),
            (ForwardError::NoResponse.into(), 502, "upstream_no_response"),
            (
                ForwardError::ConnectTimeout.into(),
                504,
                "upstream_connect_timeout",
            ),
            (ForwardError::BadBody.into(), 400, "malformed"),
            (PayloadError::Broken.into(), 400, "malformed"),
            (PayloadError::Stalled.into(), 408, "body_timeout"),
            (PayloadError::Ask(AskError::Differ).into(), 400, "bad_json"),
            (PayloadError::TooLarge(1).into(), 413, "too_large"),
            (PayloadError::Encoded.into(), 415, "encoded"),
            (PayloadError::Overloaded.into(), 503, "overloaded"),
            (Unauthenticated::Unverifiable.into(), 503, "unverifiable"),
            (Excess::Crowded.into(), 503, "overloaded"),
        ];
        for (rejection, status, reason) in cases {
            let response = rejection.response(Shape::Ollama);
            assert_eq!(
                (response.status().as_u16(), rejection.reason()),
                (status, reason),
                "{rejection:?}"
            );
            let body: Value = serde_json::from_slice(response.body()).unwrap();
            assert!(body["error"].is_string(), "{body}");
        }
    }
}
