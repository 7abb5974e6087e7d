//! The body of a request for a stream, looked at as it passes.

use bytes::Bytes;

use super::Plan;
use super::outline::Outline;
use crate::admit::InFlight;

/// What asks Ollama for the tokens of a stream (ollama/openai/openai.go, `StreamOptions`). It goes before the object's
/// last brace, after at least one other member.
const ASK: &[u8] = br#","stream_options":{"include_usage":true}"#;

/// A look at a body.
#[derive(Debug)]
pub struct Reading {
    outline: Outline,
    asks_for_usage: bool,
}

impl Reading {
    /// None where nobody needs it.
    pub fn of(plan: Plan) -> Option<Box<Self>> {
        plan.is_any().then(|| {
            Box::new(Self {
                outline: Outline::default(),
                asks_for_usage: plan.asks_for_usage,
            })
        })
    }

    /// Whether the body may be forwarded with more bytes than it came with.
    pub const fn may_add(&self) -> bool {
        self.asks_for_usage
    }

    /// Takes the next piece and gives what is forwarded in its place; `in_flight` is told what has been learnt.
    pub fn pass(&mut self, piece: Bytes, in_flight: &InFlight) -> Bytes {
        let Some(end) = self.outline.read(&piece) else {
            return piece;
        };
        if !self.outline.asks_for_stream() {
            return piece;
        }
        in_flight.note_asks_for_stream();
        if !self.asks_for_usage || self.outline.has_options() {
            return piece;
        }
        in_flight.note_usage_was_added();
        let (before, after) = piece.split_at(end);
        [before, ASK, after].concat().into()
    }
}
