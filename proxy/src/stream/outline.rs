//! What the body of a request says of the stream that it asks for, read as it passes. Pure.
//!
//! It knows the object's own keys and nothing of what they hold, and keeps none of it. Where Ollama could read a body
//! in another way (a key that stands twice, in other letters or with escapes), it knows nothing: then the stream is
//! left as it is.

use memchr::memchr2;

/// Longest key that matters, in bytes; of a longer one no more is kept.
const LONGEST: usize = 16;
const STREAM: &[u8] = b"stream";
const STREAM_OPTIONS: &[u8] = b"stream_options";

/// A body that is read in pieces.
#[derive(Debug, Default)]
pub(super) struct Outline {
    state: State,
    depth: usize,
    key: Vec<u8>,
    next_is_key: bool,
    stream: Option<bool>,
    awaits_stream: bool,
    has_options: bool,
    is_doubtful: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Between,
    Text {
        is_key: bool,
        escaped: bool,
    },
    /// The object has ended, or it is none.
    Done,
}

impl Outline {
    /// Reads the next piece; says where in it the object's last brace is.
    pub(super) fn read(&mut self, piece: &[u8]) -> Option<usize> {
        let mut position = 0;
        while let Some(rest) = piece.get(position..).filter(|rest| !rest.is_empty()) {
            position += match self.state {
                State::Between => {
                    if self.between(rest[0]) {
                        return Some(position);
                    }
                    1
                }
                State::Text {
                    is_key,
                    escaped: true,
                } => {
                    self.state = State::Text {
                        is_key,
                        escaped: false,
                    };
                    1
                }
                State::Text { is_key, .. } => self.text(rest, is_key),
                State::Done => return None,
            };
        }
        None
    }

    /// Whether the object has ended and asks for a stream.
    pub(super) fn asks_for_stream(&self) -> bool {
        self.state == State::Done && self.stream == Some(true) && !self.is_doubtful
    }

    /// Whether it also says what the stream should have in it.
    pub(super) const fn has_options(&self) -> bool {
        self.has_options
    }

    /// Takes a byte outside of texts; says whether it ends the object.
    fn between(&mut self, byte: u8) -> bool {
        match byte {
            byte if byte.is_ascii_whitespace() => return false,
            b'{' if self.depth == 0 => {
                self.depth = 1;
                self.next_is_key = true;
                return false;
            }
            _ if self.depth == 0 => self.state = State::Done,
            b'"' => {
                let is_key = self.depth == 1 && self.next_is_key;
                self.state = State::Text {
                    is_key,
                    escaped: false,
                };
            }
            b':' => return false,
            b',' => self.next_is_key = self.depth == 1,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        if std::mem::take(&mut self.awaits_stream) {
            self.stream = Some(byte == b't');
        }
        if self.depth == 0 {
            self.state = State::Done;
        }
        byte == b'}' && self.depth == 0
    }

    /// Says how many bytes it has read.
    fn text(&mut self, bytes: &[u8], is_key: bool) -> usize {
        let found = memchr2(b'"', b'\\', bytes);
        if is_key {
            let room = LONGEST - self.key.len();
            let part = &bytes[..found.unwrap_or(bytes.len())];
            self.key.extend_from_slice(&part[..part.len().min(room)]);
        }
        let Some(found) = found else {
            return bytes.len();
        };
        if bytes[found] == b'\\' {
            self.is_doubtful |= is_key;
            self.state = State::Text {
                is_key,
                escaped: true,
            };
        } else {
            self.state = State::Between;
            if is_key {
                self.end_key();
            }
        }
        found + 1
    }

    fn end_key(&mut self) {
        self.next_is_key = false;
        let key = std::mem::take(&mut self.key);
        match key.as_slice() {
            STREAM => {
                self.is_doubtful |= self.stream.is_some();
                self.awaits_stream = true;
            }
            STREAM_OPTIONS => self.has_options = true,
            // What Go takes for one of these keys: in another case, or with one of two letters beyond ASCII.
            key => {
                self.is_doubtful |= !key.is_ascii()
                    || key.eq_ignore_ascii_case(STREAM)
                    || key.eq_ignore_ascii_case(STREAM_OPTIONS);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether it asks for a stream, and has options for it.
    const CASES: &[(&str, Option<bool>)] = &[
        (r#"{"stream":true}"#, Some(false)),
        (r#" { "stream" : true , "model":"a"} "#, Some(false)),
        (r#"{"model":"a","stream":true}trailing}"#, Some(false)),
        (r#"{"messages":[{"stream":false}],"stream":true}"#, Some(false)),
        (r#"{"prompt":"\"}{\\","stream":true}"#, Some(false)),
        (
            r#"{"stream":true,"stream_options":{"include_usage":true}}"#,
            Some(true),
        ),
        (r#"{"stream_options":null,"stream":true}"#, Some(true)),
        (
            r#"{"a_key_longer_than_any_that_matters":{},"stream":true}"#,
            Some(false),
        ),
        (
            r#"{"stream_options_of_another_kind":1,"stream":true}"#,
            Some(false),
        ),
        (r#"{"stream":false}"#, None),
        (r#"{"stream":null}"#, None),
        (r#"{"stream":"true"}"#, None),
        (r#"{"stream":1}"#, None),
        (r#"{"stream":[true]}"#, None),
        (r#"{"stream":{"true":true}}"#, None),
        (r#"{"text":"stream","a":true}"#, None),
        (r#"{"stream":true"#, None),
        (r#"{"stream":true,"stream":true}"#, None),
        (r#"{"stream":true,"STREAM":false}"#, None),
        (r#"{"stream":true,"Stream_Options":{}}"#, None),
        (r#"{"stream":true,"\u0073tream":false}"#, None),
        ("{\"stream\":true,\"\u{17f}tream\":false}", None),
        ("{}", None),
        ("", None),
        ("true", None),
        (r#"[{"stream":true}]"#, None),
        (r#"}{"stream":true}"#, None),
    ];

    fn said(outline: &Outline) -> Option<bool> {
        outline.asks_for_stream().then(|| outline.has_options())
    }

    #[test]
    fn a_body_is_read_wherever_it_is_cut() {
        for (body, expected) in CASES {
            for cut in 0..=body.len() {
                let (first, second) = body.as_bytes().split_at(cut);
                let mut outline = Outline::default();
                let end = outline.read(first);
                let end = end.or_else(|| outline.read(second).map(|end| cut + end));
                assert_eq!(said(&outline), *expected, "{body}, cut at {cut}");
                if expected.is_some() {
                    let object = body.rfind("}trailing").unwrap_or(body.trim_end().len() - 1);
                    assert_eq!(end, Some(object), "{body}, cut at {cut}");
                }
            }
        }
    }

    /// Keys and values as they may stand in a body.
    fn member() -> impl Strategy<Value = (&'static str, &'static str)> {
        let key = prop::sample::select(vec![
            "stream",
            "stream",
            "stream_options",
            "model",
            "Stream",
            "STREAM_OPTIONS",
            "\u{17f}tream",
            "\\u0073tream",
            "a\\\"stream",
            "",
        ]);
        let value = prop::sample::select(vec![
            "true",
            "true",
            "false",
            "null",
            " 1 ",
            "\"\"",
            r#""}{\"stream\":true""#,
            "[true,{}]",
            r#"{"stream":true}"#,
        ]);
        (key, value)
    }

    /// A key as Go folds it (encoding/json/fold.go).
    fn folded(key: &str) -> String {
        let key: String = serde_json::from_str(&format!("\"{key}\"")).unwrap();
        key.replace('\u{17f}', "s").to_lowercase()
    }

    proptest! {
        #[test]
        fn what_it_says_is_what_ollama_reads(
            members in prop::collection::vec(member(), 0..5),
            size in 1_usize..20,
        ) {
            let written: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let body = format!("{{{}}}", written.join(" , "));
            let mut outline = Outline::default();
            let mut end = None;
            for (number, piece) in body.as_bytes().chunks(size).enumerate() {
                end = end.or(outline.read(piece).map(|end| number * size + end));
            }
            prop_assert_eq!(end, Some(body.len() - 1));
            let values = |wanted: &str| -> Vec<&str> {
                let of_key = members.iter().filter(|(key, _)| folded(key) == wanted);
                of_key.map(|(_, value)| *value).collect()
            };
            if outline.asks_for_stream() {
                prop_assert_eq!(values("stream"), ["true"]);
                prop_assert_eq!(outline.has_options(), !values("stream_options").is_empty());
            }
        }
    }

    #[test]
    fn nothing_long_is_kept() {
        let mut outline = Outline::default();
        outline.read(b"{\"");
        for _ in 0..1000 {
            outline.read(&[b'a'; 1000]);
        }
        assert!(outline.key.len() <= LONGEST, "{}", outline.key.len());
    }
}
