//! How many tokens an answer took, read from the answer as it passes: never delayed, changed or kept.
//!
//! [`format`] says where each route's answers hold their numbers, [`framing`] finds the documents in a body, [`json`]
//! reads them in pieces cut anywhere, [`tally`] makes numbers of what it reads. All of it is pure, and none grows with
//! the answer.

mod format;
mod framing;
mod json;
mod tally;

use std::fmt::Debug;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};

use format::Format;
use framing::Framing;
use json::Reader;
use tally::Tally;

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens that the model has read.
    pub input: u64,
    /// Tokens that it has written.
    pub output: u64,
    /// Ollama gave no numbers, or not all: what was written is counted by the chunks that came, of which each is
    /// usually one token, and what was read may be missing.
    pub estimated: bool,
}

/// Who is told what an answer has taken.
pub trait Charge: Debug + Send {
    /// Called once, when the request is over, however it ends. A request that took no tokens, or none that can be
    /// counted, is charged nothing.
    fn charge(self: Box<Self>, usage: Usage);
}

/// Counts the tokens of an answer that is read piece by piece.
#[derive(Debug)]
pub struct Meter {
    framing: Framing,
    reader: Reader,
    tally: Tally,
}

impl Meter {
    /// The meter of an answer by its head; none where Ollama gives no numbers, or where they can't be read: Ollama
    /// never encodes its answers' content, something between could.
    pub fn of(route: &str, status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        if !status.is_success() || headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let format = Format::of(route)?;
        let framing = Framing::of(headers.get(CONTENT_TYPE)?)?;
        Some(Self {
            framing,
            reader: Reader::new(format.places()),
            tally: Tally::new(format),
        })
    }

    /// Reads the next piece of the body.
    pub fn read(&mut self, piece: &[u8]) {
        self.framing.read(piece, &mut self.reader, &mut self.tally);
    }

    /// What the answer has taken, as far as it has been read.
    pub fn usage(&self) -> Usage {
        self.tally.usage()
    }

    /// The model that answers, as Ollama writes it.
    pub fn model(&self) -> Option<&str> {
        self.tally.model()
    }

    /// The chunks of content that have come in a stream.
    pub const fn chunks(&self) -> u64 {
        self.tally.chunks()
    }
}

#[cfg(test)]
mod tests;
