//! The audit log: who has changed models, and who was refused.

use std::net::IpAddr;

use serde::Serialize;

use super::{Entry, Outcome};
use crate::config::RouteClass;
use crate::status::Means;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    log: &'static str,
    time: String,
    client: Option<&'a str>,
    means: Option<&'static str>,
    address: IpAddr,
    method: &'static str,
    route: Option<&'static str>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// Whether a request belongs in the audit log.
pub(super) fn concerns(entry: &Entry) -> bool {
    entry.class == Some(RouteClass::Manage) || entry.outcome.reason().is_some()
}

/// Adds the request's line.
pub(super) fn line(entry: &Entry, lines: &mut String) {
    let line = Line {
        log: "audit",
        time: format!("{:.3}", entry.time),
        client: entry.client.as_deref(),
        means: entry.means.map(Means::name),
        address: entry.address,
        method: entry.method,
        route: entry.route,
        result: result(entry),
        reason: entry.outcome.reason(),
        status: entry.status.map(|status| status.as_u16()),
        request_id: entry.request_id.as_ref().and_then(|id| id.to_str().ok()),
    };
    // Strings and numbers always serialize.
    lines.push_str(&serde_json::to_string(&line).unwrap_or_default());
    lines.push('\n');
}

/// An act that was cut or left may have been done or not: it didn't come to a good end.
fn result(entry: &Entry) -> &'static str {
    match entry.outcome {
        Outcome::Refused(_) => "refused",
        Outcome::Complete if entry.status.is_some_and(|status| status.is_success()) => "done",
        Outcome::Complete | Outcome::ClientLeft | Outcome::UpstreamLeft | Outcome::Cut => "failed",
    }
}
