//! The shape of errors, by the API that was called.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::limit::Standing;

/// The API whose errors a caller understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{"error":"…"}`
    Ollama,
    /// `{"error":{"message":"…",…}}`
    OpenAi,
    /// `{"type":"error","error":{"type":"…","message":"…"}}`
    Anthropic,
}

impl Shape {
    /// By the path as it was sent.
    pub fn of(path: &str) -> Self {
        if path == "/v1/messages" || path.starts_with("/v1/messages/") {
            Self::Anthropic
        } else if path.starts_with("/v1/") {
            Self::OpenAi
        } else {
            Self::Ollama
        }
    }

    /// An error in the middle of a stream of events.
    pub fn event(self, status: StatusCode, message: &str) -> Bytes {
        let body = self.body(status, message);
        match self {
            Self::Anthropic => format!("event: error\ndata: {body}\n\n").into(),
            Self::OpenAi | Self::Ollama => format!("data: {body}\n\n").into(),
        }
    }

    /// Tells how a client stands, where its API has headers for that.
    pub fn tell(self, standing: &Standing, headers: &mut HeaderMap) {
        if self != Self::Ollama {
            standing.write(headers);
        }
    }

    /// An error as a whole answer.
    pub fn body(self, status: StatusCode, message: &str) -> Value {
        match self {
            Self::Ollama => json!({ "error": message }),
            Self::OpenAi => json!({
                "error": { "message": message, "type": openai_type(status), "param": null, "code": null }
            }),
            Self::Anthropic => json!({
                "type": "error", "error": { "type": anthropic_type(status), "message": message }
            }),
        }
    }
}

fn openai_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: StatusCode) -> &'static str {
    match status {
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        status => openai_type(status),
    }
}
