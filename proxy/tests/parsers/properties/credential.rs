//! The credential that a request carries: whoever is let in has shown exactly one, and it is right.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use corral_proxy::config::flags::Flags;
use http::{HeaderMap, HeaderValue};

use super::guard::{Guard, write};

/// The one key that is known.
pub(crate) const KEY: &str = "sk-fuzz-0123456789";
/// The one user, with the password `opensesame`.
pub(crate) const USER: &str = "alice:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=";

const NAMES: [&str; 4] = ["authorization", "x-api-key", "x-ollama-token", "accept"];

static GUARD: LazyLock<Guard> = LazyLock::new(|| {
    let files = tempfile::tempdir().expect("a folder");
    Guard::new(&Flags {
        api_keys: Some(write(&files, "keys", &format!("desk:{KEY}\n"))),
        htpasswd: Some(write(&files, "users", &format!("{USER}\n"))),
        ..Flags::default()
    })
});

/// Headers, a line each: which one it is, by its first byte, and its value.
pub(crate) fn check(data: &[u8]) {
    let headers = headers(data);
    let name = GUARD.name(headers.clone());
    assert_eq!(name.as_deref(), expected(&headers), "{headers:?}");
}

fn headers(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(8) {
        let (number, value) = super::variant(line);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(NAMES[number % NAMES.len()], value);
        }
    }
    headers
}

/// Slow and simple: every credential that there is must be the same right one.
fn expected(headers: &HeaderMap) -> Option<&'static str> {
    let mut shown = Vec::new();
    for name in &NAMES[..3] {
        let values: Vec<_> = headers.get_all(*name).iter().collect();
        match values[..] {
            [] => {}
            [value] if *name == "authorization" => shown.push(of_authorization(value.as_bytes())),
            [value] => shown.push((value == KEY).then_some("desk")),
            _ => return None,
        }
    }
    let (first, rest) = shown.split_first()?;
    let is_alone = rest.is_empty();
    match first {
        Some("alice") if !is_alone => None,
        first if rest.iter().all(|other| other == first) => *first,
        _ => None,
    }
}

fn of_authorization(value: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" => (token == KEY).then_some("desk"),
        "basic" => (token == STANDARD.encode("alice:opensesame")).then_some("alice"),
        _ => None,
    }
}
