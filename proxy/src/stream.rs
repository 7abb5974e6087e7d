//! Event streams of the compatible APIs (HTML, section 9.2): kept from falling silent, and asked for their tokens.
//!
//! [`Plan`] is what the configuration wants for a request. [`reading`] looks at the request's body as it passes,
//! [`late`] waits for an upstream whose answer has been begun without it, [`events`] is the answer on its way, through
//! [`usage`] and [`heartbeat`]. What is not such a stream goes by none of them.

pub mod events;
mod heartbeat;
pub mod late;
mod outline;
pub mod reading;
mod usage;

use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use crate::config::Streams;
use crate::headers::media_type;
use crate::routes::Events;

/// What is done for the stream that a request may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// After how long a silence there is a heartbeat.
    heartbeat: Option<Duration>,
    asks_for_usage: bool,
}

impl Plan {
    /// By what the route's answers may be. A body that is encoded can't be looked at.
    pub fn of(config: &Streams, events: Events, headers: &HeaderMap) -> Self {
        let Streams {
            heartbeat_seconds,
            ask_for_usage,
        } = config;
        if events == Events::None || headers.contains_key(CONTENT_ENCODING) {
            return Self::default();
        }
        Self {
            heartbeat: heartbeat_seconds.map(|seconds| Duration::from_secs(seconds.into())),
            asks_for_usage: *ask_for_usage && events == Events::SentWithUsage,
        }
    }

    /// After how long a silence there is a heartbeat.
    pub const fn heartbeat(self) -> Option<Duration> {
        self.heartbeat
    }

    /// Whether the body must be looked at.
    const fn is_any(self) -> bool {
        self.heartbeat.is_some() || self.asks_for_usage
    }
}

/// Whether an answer is a stream of events that can be read.
fn is_events(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(media_type) == Some("text/event-stream")
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::routes::Route;

    #[test]
    fn a_plan_is_for_routes_that_stream_events() {
        let config = Streams {
            heartbeat_seconds: Some(15),
            ask_for_usage: true,
        };
        let second = Some(Duration::from_secs(15));
        let cases = [
            ("/v1/chat/completions", second, true),
            ("/v1/completions", second, true),
            ("/v1/responses", second, false),
            ("/v1/messages", second, false),
            ("/v1/embeddings", None, false),
            ("/api/chat", None, false),
            ("/api/pull", None, false),
        ];
        let mut headers = HeaderMap::new();
        for (route, heartbeat, asks_for_usage) in cases {
            let plan = Plan {
                heartbeat,
                asks_for_usage,
            };
            let events = Route::find(route).unwrap().events;
            assert_eq!(Plan::of(&config, events, &headers), plan, "{route}");
        }
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
        assert!(!Plan::of(&config, Events::Sent, &headers).is_any(), "encoded");
    }

    #[test]
    fn events_are_told_by_the_head() {
        let cases: [(&[(&str, &str)], bool); 5] = [
            (&[("content-type", "text/event-stream")], true),
            (&[("content-type", "text/event-stream; charset=utf-8")], true),
            (&[("content-type", "application/json")], false),
            (
                &[
                    ("content-type", "text/event-stream"),
                    ("content-encoding", "gzip"),
                ],
                false,
            ),
            (
                &[("content-type", "text/event-stream"), ("content-length", "3")],
                false,
            ),
        ];
        for (pairs, expected) in cases {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect();
            assert_eq!(is_events(&headers), expected, "{pairs:?}");
        }
    }
}
