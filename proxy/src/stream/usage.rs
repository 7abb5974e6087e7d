//! What only the proxy has asked for is taken out of a stream again, so that the client sees what it would have seen.
//! Pure.
//!
//! With `stream_options.include_usage` Ollama sends one more event, whose `choices` are empty, and in `/v1/completions`
//! it gives each event a `usage` of zeros (ollama/middleware/openai.go). A quote within a JSON string is always escaped,
//! so that the patterns below can't be words of the model's.

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;
use serde::de::IgnoredAny;

const END: &[u8] = b"\n\n";
const NO_CHOICES: &[u8] = br#""choices":[]"#;
const USAGE: &[u8] = br#","usage":"#;
/// Bytes of an event's part that are held back until the rest has come; a longer event passes as it is. The events in
/// question have one token each.
const LONGEST: usize = 64 << 10;

/// A stream from which usage is taken out.
#[derive(Debug, Default)]
pub(super) struct UsageFilter {
    /// The part of an event whose end hasn't come yet.
    held: BytesMut,
    /// An event is passing that is too long to be held back.
    passes: bool,
}

impl UsageFilter {
    /// Takes the next piece and gives what the client gets of it, perhaps nothing.
    pub(super) fn pass(&mut self, piece: Bytes) -> Bytes {
        if !self.passes && self.held.is_empty() && is_untouched(&piece) {
            return piece;
        }
        let mut rest = self.join(piece);
        let mut passed = BytesMut::new();
        while let Some(end) = memmem::find(&rest, END) {
            let event = rest.split_to(end + END.len());
            if std::mem::take(&mut self.passes) {
                passed.extend_from_slice(&event);
            } else {
                add_without_usage(&event, &mut passed);
            }
        }
        self.passes |= rest.len() > LONGEST;
        if self.passes {
            passed.extend_from_slice(&rest);
        } else {
            self.held = rest;
        }
        passed.freeze()
    }

    /// The stream has ended: what is left of it.
    pub(super) fn end(&mut self) -> Bytes {
        self.held.split().freeze()
    }

    fn join(&mut self, mut piece: Bytes) -> BytesMut {
        let mut joined = self.held.split();
        joined.reserve(piece.len());
        while piece.has_remaining() {
            let chunk = piece.chunk();
            joined.extend_from_slice(chunk);
            piece.advance(chunk.len());
        }
        joined
    }
}

/// Whether it is whole events that stay as they are.
fn is_untouched(piece: &[u8]) -> bool {
    piece.ends_with(END) && memmem::find(piece, USAGE).is_none()
}

fn add_without_usage(event: &[u8], passed: &mut BytesMut) {
    let Some((start, end)) = usage(event) else {
        return passed.extend_from_slice(event);
    };
    if memmem::find(event, NO_CHOICES).is_none() {
        passed.extend_from_slice(&event[..start]);
        passed.extend_from_slice(&event[end..]);
    }
}

/// Where an event has its usage, from the comma before it on.
fn usage(event: &[u8]) -> Option<(usize, usize)> {
    let start = memmem::rfind(event, USAGE)?;
    let value = start + USAGE.len();
    let mut values = serde_json::Deserializer::from_slice(&event[value..]).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some((start, value + values.byte_offset()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAT: &str = concat!(
        r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"a \",\"usage\":{} \"choices\":[]"},"finish_reason":null}]}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}"#,
        "\n\n",
    );
    const USAGE_OF_CHAT: &str = concat!(
        r#"data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13}}"#,
        "\n\n",
    );
    const DONE: &str = "data: [DONE]\n\n";
    const ZEROS: &str = r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
    const COMPLETION: &str = concat!(
        r#"data: {"id":"cmpl-1","choices":[{"text":"a}","index":0,"finish_reason":null}],"model":"m"}"#,
        "\n\n"
    );

    fn filtered(pieces: &[&[u8]]) -> String {
        let mut filter = UsageFilter::default();
        let mut passed = Vec::new();
        for piece in pieces {
            passed.extend_from_slice(&filter.pass(Bytes::copy_from_slice(piece)));
        }
        passed.extend_from_slice(&filter.end());
        String::from_utf8(passed).unwrap()
    }

    #[test]
    fn the_client_sees_what_it_would_have_seen_wherever_it_is_cut() {
        let completion = COMPLETION.replace("}\n\n", &format!("{ZEROS}}}\n\n"));
        let usage_of_completion = USAGE_OF_CHAT.replace("chatcmpl", "cmpl");
        let long = format!("data: {{\"a\":\"{}\"}}\n\n", "x".repeat(2 * LONGEST));
        // What comes, and what of it passes.
        let cases = [
            (
                "chat",
                [CHAT, USAGE_OF_CHAT, DONE].concat(),
                [CHAT, DONE].concat(),
            ),
            (
                "completions",
                [&completion, &completion, &usage_of_completion, DONE].concat(),
                [COMPLETION, COMPLETION, DONE].concat(),
            ),
            (
                "an error",
                "data: {\"error\":{}}\n\n".into(),
                "data: {\"error\":{}}\n\n".into(),
            ),
            ("a part", "data: {\"choi".into(), "data: {\"choi".into()),
            (
                "no JSON",
                "data: ,\"usage\":}\n\n".into(),
                "data: ,\"usage\":}\n\n".into(),
            ),
            ("nothing", String::new(), String::new()),
        ];
        for (name, comes, passes) in &cases {
            for cut in 0..=comes.len() {
                let (first, second) = comes.as_bytes().split_at(cut);
                assert_eq!(filtered(&[first, second]), *passes, "{name}, cut at {cut}");
            }
            let bytes: Vec<_> = comes.as_bytes().chunks(1).collect();
            assert_eq!(filtered(&bytes), *passes, "{name}, byte by byte");
        }
        let comes = [&long, USAGE_OF_CHAT, DONE].concat();
        let pieces: Vec<_> = comes.as_bytes().chunks(1000).collect();
        assert_eq!(filtered(&pieces), [&long, DONE].concat(), "a long event");
    }

    #[test]
    fn a_long_event_is_not_held_back() {
        let mut filter = UsageFilter::default();
        let piece = Bytes::from(vec![b'x'; 1000]);
        let (mut sent, mut passed) = (0, 0);
        for _ in 0..1000 {
            sent += piece.len();
            passed += filter.pass(piece.clone()).len();
            assert!(sent - passed <= LONGEST, "{}", sent - passed);
        }
    }

    #[test]
    fn whole_events_pass_without_being_copied() {
        let piece = Bytes::from_static(CHAT.as_bytes());
        let passed = UsageFilter::default().pass(piece.clone());
        assert_eq!(passed.as_ptr(), piece.as_ptr());
    }
}
