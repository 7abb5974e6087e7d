//! What the values of an answer's documents come to.

use super::Usage;
use super::format::{Field, Format};
use super::json::{Listener, Scalar};

/// The sum of an answer as far as it has come.
#[derive(Debug)]
pub(super) struct Tally {
    format: Format,
    document: Document,
    model: Option<String>,
    /// The last numbers that are those of the whole answer.
    reported: Option<Counts>,
    /// What is known of the tokens read before numbers of the whole answer come.
    expected_input: u64,
    chunks: u64,
}

/// What one document says.
#[derive(Debug, Default)]
struct Document {
    counts: Counts,
    done: Option<bool>,
    goes_on: bool,
    event: Event,
}

impl Document {
    /// Whether it brings a piece of what the model writes.
    fn is_chunk(&self, format: Format) -> bool {
        match format {
            Format::Native => self.done == Some(false),
            Format::Embed => false,
            Format::Completions => self.goes_on,
            Format::Responses | Format::Messages => self.event == Event::Content,
        }
    }

    /// Whether its counts are those of the whole answer. A native answer leaves out counts of nothing; elsewhere
    /// counts that are all zero stand in documents before the last.
    fn is_final(&self, format: Format) -> bool {
        match format {
            Format::Native => self.done == Some(true),
            Format::Embed => true,
            Format::Completions | Format::Responses | Format::Messages => self.counts.are_any(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    input: Option<u64>,
    output: Option<u64>,
}

impl Counts {
    fn are_any(self) -> bool {
        self.input.unwrap_or(0) > 0 || self.output.unwrap_or(0) > 0
    }
}

/// Events of /v1/responses and /v1/messages, as far as they matter here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Event {
    Content,
    MessageStart,
    #[default]
    Other,
}

impl Event {
    fn of(name: &str) -> Self {
        match name {
            "message_start" => Self::MessageStart,
            "content_block_delta" => Self::Content,
            // response.output_text.delta, response.reasoning_summary_text.delta, response.function_call_arguments.delta
            _ if name.starts_with("response.") && name.ends_with(".delta") => Self::Content,
            _ => Self::Other,
        }
    }
}

impl Tally {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            document: Document::default(),
            model: None,
            reported: None,
            expected_input: 0,
            chunks: 0,
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let Counts { input, output } = self.reported.unwrap_or(Counts {
            input: Some(self.expected_input),
            output: None,
        });
        Usage {
            input: input.unwrap_or(0),
            output: output.unwrap_or(self.chunks),
            estimated: self.reported.is_none() || (output.is_none() && self.chunks > 0),
        }
    }

    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    pub(super) const fn chunks(&self) -> u64 {
        self.chunks
    }
}

impl Listener for Tally {
    fn value(&mut self, field: Field, value: Scalar<'_>) {
        let document = &mut self.document;
        match (field, value) {
            (Field::Model, Scalar::Text(name)) if self.model.is_none() => self.model = Some(name.to_owned()),
            (Field::Input, Scalar::Number(count)) => document.counts.input = Some(count),
            (Field::Output, Scalar::Number(count)) => document.counts.output = Some(count),
            (Field::Done, Scalar::Bool(done)) => document.done = Some(done),
            (Field::FinishReason, Scalar::Null) => document.goes_on = true,
            (Field::Event, Scalar::Text(name)) => document.event = Event::of(name),
            _ => {}
        }
    }

    fn end(&mut self) {
        let document = std::mem::take(&mut self.document);
        self.chunks += u64::from(document.is_chunk(self.format));
        if document.event == Event::MessageStart {
            // Ollama's guess from the length of the question.
            self.expected_input = document.counts.input.unwrap_or(0);
        } else if document.is_final(self.format) {
            self.reported = Some(document.counts);
        }
    }
}
