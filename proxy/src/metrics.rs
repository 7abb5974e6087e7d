//! The numbers of `/metrics`, in the OpenMetrics text format. What OpenTelemetry's semantic conventions have a name for
//! has that name and its labels, all else begins with `corral_proxy_`. Labels are bounded: clients, routes and reasons
//! come from the configuration, the credentials and our own lists. Of what others name, models and the clients of their
//! own tokens and certificates, only so many are told apart; and a client that is gone gives its series back.

mod found;
mod gone;
mod names;
mod series;
mod tokens;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::credentials::CredentialSet;
use crate::identify::HashingLoad;
use crate::status::ClientStatus;
use found::Found;
use gone::Gone;
pub use series::Kind;
use series::Series;
pub use tokens::{Answer, Tokens};

/// Labels of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Who asked; empty before that is known.
    pub client: Option<Arc<str>>,
    /// The route's pattern; empty where there is no such route.
    pub route: &'static str,
    /// What the route does.
    pub class: &'static str,
    /// The response's status; 0 where the client left before.
    pub code: u16,
}

/// Labels of how requests ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabels {
    /// How.
    pub outcome: &'static str,
    /// Why, where the proxy refused it.
    pub reason: &'static str,
}

/// Labels of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClientLabels {
    /// Its name.
    pub client: String,
    /// How it shows who it is.
    pub means: &'static str,
}

/// Labels of a class of routes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClassLabels {
    /// The class.
    pub class: &'static str,
}

/// Labels of a means.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct MeansLabels {
    /// The means.
    pub means: &'static str,
}

/// Labels of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabels {
    /// `applied`, or `refused` when the last good configuration was kept.
    pub outcome: &'static str,
}

/// Labels of a request's duration (OpenTelemetry's HTTP conventions).
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DurationLabels {
    /// The method.
    pub http_request_method: &'static str,
    /// The route's pattern; empty where there is no such route.
    pub http_route: &'static str,
    /// The response's status; 0 where the client left before.
    pub http_response_status_code: u16,
}

/// Labels of a question to the API server about a service account token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    /// What came of it.
    pub outcome: &'static str,
}

/// Questions to the API server about service account tokens (TokenReview), by what came of them.
pub type TokenReviews = Family<ReviewLabels, Counter>;

type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// What metrics of our own begin with.
const PREFIX: &str = "corral_proxy";

/// All numbers.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    series: Found<Kind, Series>,
    gone: Gone,
    requests: Family<RequestLabels, Counter>,
    outcomes: Family<OutcomeLabels, Counter>,
    durations: Histograms<DurationLabels>,
    first_bytes: Histograms<ClassLabels>,
    /// Requests on their way.
    pub in_flight: Gauge,
    /// Requests whose answer hasn't begun.
    pub waiting: Gauge,
    /// Requests that were cut because the client may no longer have them.
    pub cut: Counter,
    last_used: Family<ClientLabels, Gauge>,
    clients: Family<MeansLabels, Gauge>,
    /// Reloads by outcome.
    pub reloads: Family<ReloadLabels, Counter>,
    /// Clients whose use of their limits is remembered.
    pub clients_limited: Gauge,
    /// Passwords hashed.
    pub passwords_hashed: Counter,
    /// Lines of the access log that were lost.
    pub log_dropped: Counter,
    /// What models read and write, and how fast.
    pub tokens: Tokens,
    passwords_waiting: Gauge,
    passwords_being_hashed: Gauge,
    token_reviews: TokenReviews,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::with(TokenReviews::default())
    }
}

/// From a cached answer to a long generation, in seconds.
fn durations() -> Histogram {
    Histogram::new([
        0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    ])
}

impl Metrics {
    /// All at nothing but those that are counted elsewhere.
    pub fn with(token_reviews: TokenReviews) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            series: Found::default(),
            gone: Gone::default(),
            requests: Family::default(),
            outcomes: Family::default(),
            durations: Family::new_with_constructor(durations),
            first_bytes: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            waiting: Gauge::default(),
            cut: Counter::default(),
            last_used: Family::default(),
            clients: Family::default(),
            reloads: Family::default(),
            clients_limited: Gauge::default(),
            passwords_hashed: Counter::default(),
            log_dropped: Counter::default(),
            tokens: Tokens::default(),
            passwords_waiting: Gauge::default(),
            passwords_being_hashed: Gauge::default(),
            token_reviews,
        };
        metrics.register_conventional();
        metrics.register();
        metrics
    }

    /// What OpenTelemetry's semantic conventions have a name for.
    fn register_conventional(&mut self) {
        let Self {
            registry,
            durations,
            in_flight,
            tokens,
            ..
        } = self;
        let help = "From a request's head to the end of its response";
        registry.register_with_unit(
            "http_server_request_duration",
            help,
            Unit::Seconds,
            durations.clone(),
        );
        registry.register(
            "http_server_active_requests",
            "Requests on their way",
            in_flight.clone(),
        );
        tokens.register(registry);
    }

    fn register(&mut self) {
        let Self {
            registry,
            requests,
            outcomes,
            first_bytes,
            cut,
            waiting,
            ..
        } = self;
        let registry = registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "requests",
            "Requests by client, route, class and status",
            requests.clone(),
        );
        registry.register(
            "outcomes",
            "Requests by how they ended and why they were refused",
            outcomes.clone(),
        );
        let help = "From the request's head to the first byte of the response's body";
        registry.register_with_unit("time_to_first_byte", help, Unit::Seconds, first_bytes.clone());
        registry.register(
            "requests_waiting",
            "Requests whose answer hasn't begun: Ollama queues them, or loads their model",
            waiting.clone(),
        );
        registry.register(
            "requests_cut",
            "Requests cut because the client may no longer have them",
            cut.clone(),
        );
        self.register_rest();
    }

    fn register_rest(&mut self) {
        let Self {
            registry,
            last_used,
            clients,
            clients_limited,
            reloads,
            passwords_hashed,
            passwords_waiting,
            passwords_being_hashed,
            token_reviews,
            log_dropped,
            ..
        } = self;
        let registry = registry.sub_registry_with_prefix(PREFIX);
        let help = "When a client last used its credential, since 1970; 0 is not since the start";
        registry.register_with_unit(
            "client_last_used_timestamp",
            help,
            Unit::Seconds,
            last_used.clone(),
        );
        registry.register(
            "clients",
            "Clients that have a credential in force, by means",
            clients.clone(),
        );
        registry.register(
            "clients_limited",
            "Clients that have used something of a limit lately",
            clients_limited.clone(),
        );
        registry.register(
            "reloads",
            "Reloads of configuration and credentials by outcome",
            reloads.clone(),
        );
        registry.register(
            "passwords_hashed",
            "Passwords hashed: once for a credential, so far fewer than requests",
            passwords_hashed.clone(),
        );
        registry.register(
            "passwords_waiting",
            "Passwords that wait to be hashed",
            passwords_waiting.clone(),
        );
        registry.register(
            "passwords_being_hashed",
            "Passwords that are being hashed",
            passwords_being_hashed.clone(),
        );
        registry.register(
            "token_reviews",
            "Questions to the API server about service account tokens, by what came of them",
            token_reviews.clone(),
        );
        registry.register(
            "access_log_lines_dropped",
            "Lines of the access log that were lost",
            log_dropped.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The proxy's version", build);
    }

    /// Gives back the series of clients that have not been among the known ones for a while.
    pub(crate) fn forget_gone(&self, known: &HashSet<Arc<str>>, now: Instant) {
        let counted = self.series.parts(|kind| kind.client.clone()).into_iter();
        let gone = self
            .gone
            .for_good(counted.chain(self.tokens.clients()), known, now);
        if gone.is_empty() {
            return;
        }
        let is_gone = |client: Option<&Arc<str>>| client.is_some_and(|client| gone.contains(client));
        self.series.forget(
            |kind| is_gone(kind.client.as_ref()),
            |kind| {
                self.requests.remove(&kind.into());
            },
        );
        self.tokens.forget(is_gone);
    }

    /// All of them with those of the credentials in force and of the hashing of passwords, as
    /// `application/openmetrics-text`.
    pub fn encode(&self, credentials: &CredentialSet, hashing: HashingLoad) -> String {
        let HashingLoad { waiting, running } = hashing;
        self.passwords_waiting.set(waiting as i64);
        self.passwords_being_hashed.set(running as i64);
        self.last_used.clear();
        for ClientStatus {
            name,
            means,
            last_used,
        } in credentials.clients()
        {
            let labels = ClientLabels {
                client: name,
                means: means.name(),
            };
            self.last_used
                .get_or_create(&labels)
                .set(last_used.map_or(0, Timestamp::as_second));
        }
        self.clients.clear();
        for source in credentials.sources() {
            self.clients
                .get_or_create(&MeansLabels {
                    means: source.means.name(),
                })
                .set(source.clients as i64);
        }
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::usage::Usage;

    #[test]
    fn a_client_that_is_gone_gives_its_series_back() {
        let metrics = Metrics::default();
        let count = |client: &str| {
            let client = Some(client.into());
            let answer = metrics.tokens.answer(client.clone(), "/api/chat", None);
            metrics.tokens.count(answer, Usage::default());
            for outcome in ["complete", "cut"] {
                let kind = Kind {
                    client: client.clone(),
                    method: "POST",
                    route: "/api/chat",
                    class: "Inference",
                    code: 200,
                    outcome,
                    reason: "",
                };
                metrics.count(kind, Duration::ZERO, None);
            }
        };
        ["alice", "bob", "other"].into_iter().for_each(count);
        let series = |client: &str| {
            let text = metrics.encode(&CredentialSet::default(), HashingLoad::default());
            let label = format!("client=\"{client}\"");
            text.lines().filter(|line| line.contains(&label)).count()
        };
        let (known, begin) = (HashSet::from(["alice".into()]), Instant::now());
        metrics.forget_gone(&known, begin);
        assert_eq!(series("bob"), 3, "not at once");
        metrics.forget_gone(&known, begin + Duration::from_secs(3600));
        assert_eq!([series("alice"), series("bob"), series("other")], [3, 0, 3]);
        count("bob");
        let text = metrics.encode(&CredentialSet::default(), HashingLoad::default());
        let line =
            r#"corral_proxy_requests_total{client="bob",route="/api/chat",class="Inference",code="200"} 2"#;
        assert!(text.contains(line), "it counts anew: {text}");
    }

    #[test]
    fn an_unknown_client_is_the_empty_one() {
        let metrics = Metrics::default();
        let labels = RequestLabels {
            client: None,
            route: "",
            class: "",
            code: 401,
        };
        metrics.requests.get_or_create(&labels).inc();
        let text = metrics.encode(&CredentialSet::default(), HashingLoad::default());
        let line = r#"corral_proxy_requests_total{client="",route="",class="",code="401"} 1"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains(concat!(
            "corral_proxy_build_info{version=\"",
            env!("CARGO_PKG_VERSION"),
            "\"} 1"
        )));
    }
}
