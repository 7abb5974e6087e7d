//! Pauses after failures of a watch.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use kube::runtime::watcher::DefaultBackoff;

/// Pauses after failures.
pub(super) enum Pauses {
    /// As is usual, but never as long.
    Usual(Box<DefaultBackoff>),
    /// Of a kind that the cluster may be without: the next is so long, and never short again. Every try begins with an event,
    /// which the usual one takes for a success.
    Rare(Duration),
}

impl Pauses {
    /// What was edited while the API server was away is to be in force soon after it is back, and a try of each watch in
    /// that time is nothing to it.
    const LONGEST: Duration = Duration::from_secs(5);
    const LONGEST_RARE: Duration = Duration::from_secs(30);

    pub(super) fn usual() -> Self {
        Self::Usual(Box::default())
    }

    pub(super) fn rare() -> Self {
        Self::Rare(Duration::from_millis(500))
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Usual(backoff) => backoff.next().map(|pause| pause.min(Self::LONGEST)),
            Self::Rare(pause) => {
                let now = *pause;
                *pause = pause.saturating_mul(2).min(Self::LONGEST_RARE);
                Some(now)
            }
        }
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        if let Self::Usual(backoff) = self {
            backoff.reset();
        }
    }
}
