//! The audit log: who has changed models, and who was refused.

use super::json::{Object, member};
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
    line.plain(member!("log"), "audit");
    line.plain(member!("time"), time);
    line.value(member!("client"), &entry.client.as_deref());
    line.word(member!("means"), entry.means.map(Means::name));
    line.value(member!("address"), &entry.address);
    line.plain(member!("method"), entry.method);
    line.word(member!("route"), entry.route);
    if !entry.asked.is_empty() {
        let models: Vec<_> = entry.asked.iter().map(CanonicalName::shortest).collect();
        line.value(member!("models"), &models);
    }
    line.plain(member!("result"), result(entry));
    line.plain_if_any(member!("reason"), entry.outcome.reason());
    line.value(member!("status"), &entry.status.map(|status| status.as_u16()));
    let request_id = entry.request_id.as_ref().and_then(|id| id.to_str().ok());
    line.plain_if_any(member!("requestId"), request_id);
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
