//! What is said only once it has lasted: it may come right by itself before.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// How long until something has lasted so long; none once it has.
pub(super) fn left(since: Timestamp, patience: SignedDuration, now: Timestamp) -> Option<Duration> {
    let left = patience - now.duration_since(since);
    Duration::try_from(left).ok().filter(|left| !left.is_zero())
}
