//! What models read and write, and how fast (OpenTelemetry's conventions for generative AI).

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::found::Found;
use super::names::Names;
use crate::usage::Usage;

/// Whose answer, to what, by which model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answer {
    /// Who asked; `other` beyond those that are told apart.
    pub client: Option<Arc<str>>,
    /// The route's pattern.
    pub http_route: &'static str,
    /// The model; `other` as well, empty where none is known.
    pub gen_ai_response_model: Arc<str>,
}

/// Labels of the pace of streams. Clients are left out: each would have all the histogram's buckets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PaceLabels {
    http_route: &'static str,
    gen_ai_response_model: Arc<str>,
}

impl From<&Answer> for PaceLabels {
    fn from(answer: &Answer) -> Self {
        let Answer {
            client: _,
            http_route,
            gen_ai_response_model,
        } = answer;
        Self {
            http_route,
            gen_ai_response_model: Arc::clone(gen_ai_response_model),
        }
    }
}

/// Whoever may create models can make up names without end.
const MOST_MODELS: usize = 200;

type Paces = Family<PaceLabels, Histogram, fn() -> Histogram>;

/// The tokens of answers that are alike.
#[derive(Debug)]
struct Counts {
    input: Counter,
    output: Counter,
}

/// The numbers of models.
#[derive(Debug)]
pub struct Tokens {
    models: Names,
    counts: Found<Answer, Counts>,
    input: Family<Answer, Counter>,
    output: Family<Answer, Counter>,
    first_chunks: Paces,
    chunks: Paces,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            models: Names::up_to(MOST_MODELS),
            counts: Found::default(),
            input: Family::default(),
            output: Family::default(),
            first_chunks: Family::new_with_constructor(waits),
            chunks: Family::new_with_constructor(paces),
        }
    }
}

/// The conventions' buckets for the first chunk, in seconds.
fn waits() -> Histogram {
    Histogram::new([
        0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
    ])
}

/// The conventions' buckets for each output token, in seconds, with smaller ones for small models.
fn paces() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5,
    ])
}

impl Tokens {
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self {
            models: _,
            counts: _,
            input,
            output,
            first_chunks,
            chunks,
        } = self;
        registry.register(
            "gen_ai_client_inference_usage_input_tokens",
            "Tokens read by models",
            input.clone(),
        );
        registry.register(
            "gen_ai_client_inference_usage_output_tokens",
            "Tokens written by models; chunks where Ollama gave no number",
            output.clone(),
        );
        let seconds = Unit::Seconds;
        let help = "From a request's head to the first chunk of what the model writes, in streams";
        let name = "gen_ai_client_operation_time_to_first_chunk";
        registry.register_with_unit(name, help, seconds.clone(), first_chunks.clone());
        let help = "From one chunk of a stream to the next";
        let name = "gen_ai_client_operation_time_per_output_chunk";
        registry.register_with_unit(name, help, seconds, chunks.clone());
    }

    /// The labels of an answer.
    pub fn answer(
        &self,
        client: Option<Arc<str>>,
        http_route: &'static str,
        model: Option<&Arc<str>>,
    ) -> Answer {
        Answer {
            client,
            http_route,
            gen_ai_response_model: model.map_or_else(|| "".into(), |model| self.models.label(model)),
        }
    }

    /// Counts what an answer took.
    pub fn count(&self, answer: Answer, usage: Usage) {
        let find = |answer: &Answer| Counts {
            input: self.input.get_or_create_owned(answer),
            output: self.output.get_or_create_owned(answer),
        };
        self.counts.note(answer, find, |counts| {
            counts.input.inc_by(usage.input);
            counts.output.inc_by(usage.output);
        });
    }

    /// The clients that have numbers here.
    pub(super) fn clients(&self) -> Vec<Arc<str>> {
        self.counts.parts(|answer| answer.client.clone())
    }

    /// Gives back the numbers of clients that are gone.
    pub(super) fn forget(&self, is_gone: impl Fn(Option<&Arc<str>>) -> bool) {
        let is_gone = |answer: &Answer| is_gone(answer.client.as_ref());
        self.counts.forget(is_gone, |answer| {
            self.input.remove(answer);
            self.output.remove(answer);
        });
    }

    /// Notes how long the first chunk of a stream took.
    pub fn note_first_chunk(&self, answer: &Answer, wait: Duration) {
        self.first_chunks
            .get_or_create(&answer.into())
            .observe(wait.as_secs_f64());
    }

    /// Where the further chunks of a stream are noted, so that each of them need not look it up.
    pub fn per_chunk(&self, answer: &Answer) -> Histogram {
        self.chunks.get_or_create_owned(&answer.into())
    }
}
