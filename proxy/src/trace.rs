//! What ties a request to the logs of others: its id and its trace. Both are a client's words, so only what has their
//! exact shape counts.

use std::array;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderName, HeaderValue};

/// The id of a request, between client, proxies and servers. No standard, but everybody's name.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Characters of the longest id that is taken over.
const LONGEST_ID: usize = 128;

/// Hexadecimal digits of 64 bits.
const DIGITS: usize = 16;

/// Makes ids for requests that have none.
#[derive(Debug)]
pub struct RequestIds {
    /// Tells this process' ids from those of others, in hexadecimal.
    process: [u8; DIGITS],
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self {
            process: hexadecimal(RandomState::new().hash_one(std::process::id())),
            next: AtomicU64::new(1),
        }
    }
}

impl RequestIds {
    /// The id that a request comes with, or a new one where it has none, several, or one that could be something else.
    pub fn of(&self, headers: &HeaderMap) -> HeaderValue {
        only(headers, &X_REQUEST_ID)
            .filter(|id| is_id(id.as_bytes()))
            .cloned()
            .unwrap_or_else(|| self.make())
    }

    fn make(&self) -> HeaderValue {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 2 * DIGITS];
        id[..DIGITS].copy_from_slice(&self.process);
        id[DIGITS..].copy_from_slice(&hexadecimal(number));
        // Hexadecimal digits are what a header's value may have.
        HeaderValue::from_bytes(&id).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

/// With leading zeros. Formatting would cost ten times as much, for every request.
fn hexadecimal(number: u64) -> [u8; DIGITS] {
    let digit = |place: usize| b"0123456789abcdef"[(number >> (4 * (DIGITS - 1 - place)) & 0xf) as usize];
    array::from_fn(digit)
}

fn is_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    (1..=LONGEST_ID).contains(&id.len()) && id.iter().all(plain)
}

/// The trace that a request belongs to (W3C Trace Context, section 3.2.2).
pub fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let parent = only(headers, &TRACEPARENT)?.to_str().ok()?;
    let mut parts = parent.split('-');
    let version = parts
        .next()
        .filter(|version| is_hex(version, 2) && *version != "ff")?;
    let trace = parts
        .next()
        .filter(|trace| is_hex(trace, 32) && !is_zero(trace))?;
    parts.next().filter(|span| is_hex(span, 16) && !is_zero(span))?;
    parts.next().filter(|flags| is_hex(flags, 2))?;
    // Later versions may have more parts, the first has none.
    (version != "00" || parts.next().is_none()).then_some(trace)
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    // Most requests have few headers: to compare the names of all costs less than to hash this one.
    let mut values = headers.iter().filter(|(found, _)| *found == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(text: &str) -> bool {
    text.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
        values
            .iter()
            .map(|value| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn an_id_is_taken_over_or_made() {
        let longest = "a".repeat(128);
        let cases: &[(&str, &[&str], bool)] = &[
            ("a UUID", &["0b1e0a5e-3f0c-4b7d-9a50-2f3c1f7f8e11"], true),
            ("the longest", &[&longest], true),
            ("none", &[], false),
            ("an empty one", &[""], false),
            ("two", &["one", "two"], false),
            ("too long", &[&format!("{longest}a")], false),
            ("a sentence", &["two words"], false),
            ("a quote", &["a\"b"], false),
        ];
        let ids = RequestIds::default();
        for (name, values, taken) in cases {
            let id = ids.of(&headers(&X_REQUEST_ID, values));
            assert!(is_id(id.as_bytes()), "{name}: {id:?}");
            assert_eq!(values.contains(&id.to_str().unwrap()), *taken, "{name}: {id:?}");
        }
        let none = HeaderMap::new();
        assert_ne!(ids.of(&none), ids.of(&none), "each has its own");
        assert_eq!(hexadecimal(0x01_2345_6789_abcd), *b"000123456789abcd");
    }

    #[test]
    fn a_trace_is_read_or_is_none() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let cases: &[(&str, &[&str], Option<&str>)] = &[
            (
                "the standard's example",
                &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
                Some(TRACE),
            ),
            (
                "a later version",
                &["01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what"],
                Some(TRACE),
            ),
            (
                "too many parts",
                &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what"],
                None,
            ),
            (
                "no version",
                &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
                None,
            ),
            (
                "capitals",
                &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
                None,
            ),
            (
                "zero",
                &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
                None,
            ),
            ("no span", &["00-4bf92f3577b34da6a3ce929d0e0e4736"], None),
            ("a word", &["secret"], None),
            ("none", &[], None),
            (
                "two",
                &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"; 2],
                None,
            ),
        ];
        for (name, values, trace) in cases {
            assert_eq!(trace_id(&headers(&TRACEPARENT, values)), *trace, "{name}");
        }
    }
}
