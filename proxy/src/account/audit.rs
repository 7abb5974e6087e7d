//! The audit log: who has changed models, and who was refused.

use super::json::Object;
use super::{Entry, Outcome};
use crate::credentials::Means;
use crate::models::name::CanonicalName;
use crate::routes::RouteClass;

/// Whether a request belongs in the audit log.
pub(super) fn concerns(entry: &Entry) -> bool {
    entry.class == Some(RouteClass::Manage) || entry.outcome.reason().is_some()
}

/// Adds the request's line. `time` is the entry's own.
pub(super) fn line(entry: &Entry, time: &str, lines: &mut Vec<u8>) {
    let mut line = Object::begin(lines);
    line.plain("log", "audit");
    line.plain("time", time);
    line.value("client", &entry.client.as_deref());
    line.word("means", entry.means.map(Means::name));
    line.value("address", &entry.address);
    line.plain("method", entry.method);
    line.word("route", entry.route);
    if !entry.asked.is_empty() {
        let models: Vec<_> = entry.asked.iter().map(CanonicalName::shortest).collect();
        line.value("models", &models);
    }
    line.plain("result", result(entry));
    line.value_if_any("reason", entry.outcome.reason().as_ref());
    line.value("status", &entry.status.map(|status| status.as_u16()));
    let request_id = entry.request_id.as_ref().and_then(|id| id.to_str().ok());
    line.value_if_any("requestId", request_id.as_ref());
    line.end();
}

/// An act that was cut or left may have been done or not: it didn't come to a good end.
fn result(entry: &Entry) -> &'static str {
    match entry.outcome {
        Outcome::Refused(_) => "refused",
        Outcome::Complete if entry.status.is_some_and(|status| status.is_success()) => "done",
        Outcome::Complete | Outcome::ClientLeft | Outcome::UpstreamLeft | Outcome::Cut => "failed",
    }
}
