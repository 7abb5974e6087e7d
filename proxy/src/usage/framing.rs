//! Where the documents of a body begin and end.

use http::HeaderValue;
use memchr::memchr;

use super::json::{Listener, Reader};
use crate::headers::media_type;

/// What the lines of an event's data begin with (HTML, section 9.2.6).
const DATA: &[u8] = b"data:";

/// How a body holds its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// It is one.
    Document,
    /// One a line.
    Lines,
    /// One in each event's data. Ollama writes it in one line.
    Events(Position),
}

/// Where in a line of an event stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Position {
    /// So many bytes of [`DATA`] have come.
    Name(usize),
    Data,
    Other,
}

impl Framing {
    /// By the media type of the answer.
    pub(super) fn of(content_type: &HeaderValue) -> Option<Self> {
        match media_type(content_type)? {
            "application/json" => Some(Self::Document),
            "application/x-ndjson" => Some(Self::Lines),
            "text/event-stream" => Some(Self::Events(Position::Name(0))),
            _ => None,
        }
    }

    /// Reads the next piece of the body.
    pub(super) fn read(&mut self, piece: &[u8], reader: &mut Reader, listener: &mut impl Listener) {
        if *self == Self::Document {
            return reader.read(piece, listener);
        }
        let mut rest = piece;
        while let Some(end) = memchr(b'\n', rest) {
            reader.read(self.data(&rest[..end]), listener);
            // A line is a document, whether that was one or not.
            reader.restart();
            if let Self::Events(position) = self {
                *position = Position::Name(0);
            }
            rest = &rest[end + 1..];
        }
        reader.read(self.data(rest), listener);
    }

    /// The part of a line's piece that belongs to a document.
    fn data<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        let Self::Events(position) = self else {
            return piece;
        };
        let mut rest = piece;
        while let (Position::Name(come), [byte, after @ ..]) = (*position, rest) {
            *position = match DATA.get(come) {
                Some(expected) if expected != byte => Position::Other,
                _ if come + 1 == DATA.len() => Position::Data,
                _ => Position::Name(come + 1),
            };
            rest = after;
        }
        if *position == Position::Data { rest } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_says_the_framing() {
        let events = Framing::Events(Position::Name(0));
        let cases = [
            ("application/json", Some(Framing::Document)),
            ("application/json; charset=utf-8", Some(Framing::Document)),
            ("application/x-ndjson", Some(Framing::Lines)),
            ("text/event-stream", Some(events)),
            ("text/event-stream;charset=utf-8", Some(events)),
            ("text/plain", None),
            ("application/jsonp", None),
            ("", None),
        ];
        for (media_type, framing) in cases {
            assert_eq!(
                Framing::of(&HeaderValue::from_static(media_type)),
                framing,
                "{media_type}"
            );
        }
    }
}
