//! The numbers of requests that are alike.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use super::{ClassLabels, DurationLabels, Metrics, OutcomeLabels, RequestLabels};

/// What labels tell of a request. All of it comes from the configuration, the credentials and our own lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    /// Who asked; none before that is known.
    pub client: Option<Arc<str>>,
    /// The method, as OpenTelemetry names it.
    pub method: &'static str,
    /// The route's pattern; empty where there is no such route.
    pub route: &'static str,
    /// What the route does.
    pub class: &'static str,
    /// The response's status; 0 where the client left before.
    pub code: u16,
    /// How it ended.
    pub outcome: &'static str,
    /// Why, where the proxy refused it.
    pub reason: &'static str,
}

/// The numbers of one kind of requests.
#[derive(Debug)]
pub(super) struct Series {
    requests: Counter,
    outcomes: Counter,
    durations: Histogram,
    /// None before the class is known.
    first_bytes: Option<Histogram>,
}

impl Series {
    fn count(&self, duration: Duration, first_byte: Option<Duration>) {
        self.requests.inc();
        self.outcomes.inc();
        self.durations.observe(duration.as_secs_f64());
        if let (Some(histogram), Some(first_byte)) = (&self.first_bytes, first_byte) {
            histogram.observe(first_byte.as_secs_f64());
        }
    }
}

impl From<&Kind> for RequestLabels {
    fn from(kind: &Kind) -> Self {
        Self {
            client: kind.client.clone(),
            route: kind.route,
            class: kind.class,
            code: kind.code,
        }
    }
}

impl Metrics {
    /// Counts a request of a kind.
    pub(crate) fn count(&self, kind: Kind, duration: Duration, first_byte: Option<Duration>) {
        let find = |kind: &Kind| self.find_series(kind);
        self.series
            .note(kind, find, |series| series.count(duration, first_byte));
    }

    fn find_series(&self, kind: &Kind) -> Series {
        let Kind {
            client: _,
            method,
            route,
            class,
            code,
            outcome,
            reason,
        } = *kind;
        Series {
            requests: self.requests.get_or_create_owned(&kind.into()),
            outcomes: self
                .outcomes
                .get_or_create_owned(&OutcomeLabels { outcome, reason }),
            durations: self.durations.get_or_create_owned(&DurationLabels {
                http_request_method: method,
                http_route: route,
                http_response_status_code: code,
            }),
            first_bytes: (!class.is_empty())
                .then(|| self.first_bytes.get_or_create_owned(&ClassLabels { class })),
        }
    }
}
