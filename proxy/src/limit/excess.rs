//! What a client is told of its limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use super::budget::Denied;

/// Why a request is not let in now. Later it may be.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Excess {
    /// Its client is over a limit.
    #[error("client \"{client}\" {overrun}: try again in {} s", seconds(*wait))]
    Over {
        /// The client.
        client: Arc<str>,
        /// The limit.
        overrun: Overrun,
        /// When the request could be let in.
        wait: Duration,
        /// How the client stands.
        standing: Box<Standing>,
    },
    /// So many clients use something that no further one can be counted.
    #[error("too many clients to count")]
    Crowded,
}

/// A limit that a request is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overrun {
    /// `requestsPerMinute`, with its burst.
    RequestsPerMinute(u64),
    /// `concurrent`.
    Concurrent(u32),
    /// `tokensPerMinute`.
    TokensPerMinute(u64),
    /// `tokensPerDay`.
    TokensPerDay(u64),
}

impl Overrun {
    const fn name(self) -> &'static str {
        match self {
            Self::RequestsPerMinute(_) => "requests_per_minute",
            Self::Concurrent(_) => "concurrent",
            Self::TokensPerMinute(_) => "tokens_per_minute",
            Self::TokensPerDay(_) => "tokens_per_day",
        }
    }
}

impl fmt::Display for Overrun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RequestsPerMinute(most) => write!(formatter, "may make {most} requests a minute"),
            Self::Concurrent(most) => write!(formatter, "may have {most} requests on their way at once"),
            Self::TokensPerMinute(most) => {
                write!(
                    formatter,
                    "has used up its tokens, of which it has {most} a minute"
                )
            }
            Self::TokensPerDay(most) => {
                write!(
                    formatter,
                    "has used up its tokens, of which it has {most} a day (UTC)"
                )
            }
        }
    }
}

impl Excess {
    pub(super) fn over(client: &Arc<str>, denied: Denied) -> Self {
        let Denied {
            overrun,
            wait,
            standing,
        } = denied;
        Self::Over {
            client: Arc::clone(client),
            overrun,
            wait,
            standing,
        }
    }

    /// The name, in log and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Over { overrun, .. } => overrun.name(),
            Self::Crowded => "overloaded",
        }
    }

    /// When to come again, as `Retry-After` has it (RFC 9110, section 10.2.3): not before, in whole seconds.
    pub fn retry_after(&self) -> HeaderValue {
        match self {
            Self::Over { wait, .. } => seconds(*wait).into(),
            Self::Crowded => HeaderValue::from_static("1"),
        }
    }

    /// How the client stands.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Over { standing, .. } => **standing,
            Self::Crowded => Standing::default(),
        }
    }
}

/// Whole seconds, rounded up, and at least one.
fn seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// How a client stands after a request, where it has such limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests by the minute.
    pub requests: Option<Level>,
    /// Tokens by the minute or the day, whatever has fewer left.
    pub tokens: Option<Level>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The limit.
    pub limit: u64,
    /// What may come now.
    pub left: u64,
    /// When something may come.
    pub wait: Duration,
    /// When nothing counts any more.
    pub reset: Duration,
}

/// The headers of OpenAI's API that tell a client how it stands.
struct Names {
    limit: HeaderName,
    remaining: HeaderName,
    reset: HeaderName,
}

const REQUESTS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-requests"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-requests"),
    reset: HeaderName::from_static("x-ratelimit-reset-requests"),
};

const TOKENS: Names = Names {
    limit: HeaderName::from_static("x-ratelimit-limit-tokens"),
    remaining: HeaderName::from_static("x-ratelimit-remaining-tokens"),
    reset: HeaderName::from_static("x-ratelimit-reset-tokens"),
};

impl Standing {
    /// Tells it in the headers of OpenAI's API.
    pub fn write(&self, headers: &mut HeaderMap) {
        let Self { requests, tokens } = self;
        for (level, names) in [(requests, REQUESTS), (tokens, TOKENS)] {
            let Some(Level {
                limit,
                left,
                wait: _,
                reset,
            }) = level
            else {
                continue;
            };
            headers.insert(names.limit, (*limit).into());
            headers.insert(names.remaining, (*left).into());
            if let Ok(reset) = HeaderValue::try_from(duration(*reset)) {
                headers.insert(names.reset, reset);
            }
        }
    }
}

/// A time as OpenAI writes it: `850ms`, `12s`, `6m0s`, `23h59m59s`.
fn duration(time: Duration) -> String {
    let (hours, minutes, seconds) = match seconds(time) {
        _ if time < Duration::from_secs(1) => return format!("{}ms", time.as_millis()),
        all => (all / 3600, all / 60 % 60, all % 60),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_writes_them() {
        let cases = [
            (0, "0ms"),
            (1, "1ms"),
            (999, "999ms"),
            (1000, "1s"),
            (1001, "2s"),
            (59_000, "59s"),
            (60_000, "1m0s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (86_399_001, "24h0m0s"),
        ];
        for (millis, expected) in cases {
            assert_eq!(duration(Duration::from_millis(millis)), expected, "{millis}");
        }
    }

    #[test]
    fn a_client_is_never_told_to_come_too_early() {
        let cases = [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_999, 60)];
        for (millis, expected) in cases {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
