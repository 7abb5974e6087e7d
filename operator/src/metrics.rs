//! The operator's own metrics, in the OpenMetrics text format.

use std::fmt;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// All is as it should be, or on its way.
    Done,
    /// The OllamaService is invalid or a name that it needs is taken: only a person can help.
    Blocked,
    /// The API server refused something or didn't answer; it is tried again.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    verb: &'static str,
}

/// The operator's own metrics.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    duration: Family<ReconcileLabels, Histogram, fn() -> Histogram>,
    waiting: Gauge<i64, AtomicI64>,
    waited: Histogram,
    writes: Family<WriteLabels, Counter>,
    rotation: Histogram,
    leader: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("corral_operator");
        let metrics = Self {
            reconciles: Family::default(),
            duration: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.000_5, 2.0, 15))),
            waiting: Gauge::default(),
            waited: Histogram::new(exponential_buckets(0.000_5, 2.0, 18)),
            writes: Family::default(),
            rotation: Histogram::new(exponential_buckets(0.05, 2.0, 12)),
            leader: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("reconciles", "Reconciles by outcome", metrics.reconciles.clone());
        let help = "How long a reconcile took, by outcome";
        registry.register_with_unit(
            "reconcile_duration",
            help,
            Unit::Seconds,
            metrics.duration.clone(),
        );
        let help = "OllamaServices that wait to be reconciled";
        registry.register("queue", help, metrics.waiting.clone());
        let help = "How long an OllamaService waited to be reconciled";
        registry.register_with_unit("queue_duration", help, Unit::Seconds, metrics.waited.clone());
        registry.register("writes", "Writes sent to the API server", metrics.writes.clone());
        let help =
            "From seeing a change of credentials or configuration to having it proven on every replica";
        registry.register_with_unit("rotation_duration", help, Unit::Seconds, metrics.rotation.clone());
        registry.register(
            "leader",
            "1 while this replica is the one that acts",
            metrics.leader.clone(),
        );
        Self { registry, ..metrics }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics(…)")
    }
}

impl Metrics {
    /// Counts a reconcile.
    pub fn reconciled(&self, outcome: Outcome, took: Duration) {
        let labels = ReconcileLabels { outcome };
        self.reconciles.get_or_create(&labels).inc();
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Notes how many OllamaServices wait, beside those of other namespaces that are watched.
    pub fn waiting(&self, change: i64) {
        self.waiting.inc_by(change);
    }

    /// Notes how long one has waited.
    pub fn waited(&self, time: Duration) {
        self.waited.observe(time.as_secs_f64());
    }

    /// Counts a write.
    pub fn write(&self, kind: &'static str, verb: &'static str) {
        self.writes.get_or_create(&WriteLabels { kind, verb }).inc();
    }

    /// Notes how long a rotation took.
    pub fn rotated(&self, took: Duration) {
        self.rotation.observe(took.as_secs_f64());
    }

    /// Notes that this replica acts.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// All of them as text.
    ///
    /// # Errors
    /// Never in practice: the text is written to memory.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_documentation_lists_the_metrics_that_there_are() {
        let (_of_the_proxy, own) = include_str!("../../docs/metrics.md")
            .split_once("## The operator's")
            .unwrap();
        let rows = own
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
        let documented: BTreeSet<_> = rows
            .filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0)))
            .collect();
        let metrics = Metrics::default();
        metrics.reconciled(Outcome::Done, Duration::ZERO);
        metrics.write("Service", "patch");
        let text = metrics.text().unwrap();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let listed: BTreeSet<_> = types.filter_map(|line| line.split_once(' ')).collect();
        assert_eq!(listed, documented);
    }
}
