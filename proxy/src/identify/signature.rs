//! The signature of the stock `ollama` CLI (ollama/api/client.go, `do` and `stream`; ollama/auth/auth.go, `Sign`).
//!
//! With `OLLAMA_AUTH=1` it sends `Authorization: KEY:SIGNATURE`, where KEY is its public SSH key in base64, and signs
//! `METHOD,PATH?ts=SECONDS`: method, path and the whole query, which says when. Neither body nor headers are signed, and
//! an ed25519 signature is always the same: within the time that is allowed it can be sent again, and nobody can tell.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use jiff::Timestamp;

use super::Unauthenticated;
use crate::credentials::{ENCODED_LENGTH, decode_key};

/// Length of an ed25519 signature in base64.
const SIGNATURE_LENGTH: usize = 64_usize.div_ceil(3) * 4;

/// Most digits of a time in seconds.
const MOST_DIGITS: usize = 12;

/// What stands in `Authorization`.
pub(super) struct Signature {
    /// By whom, if it is true.
    pub(super) public_key: [u8; 32],
    signature: [u8; 64],
}

impl Signature {
    /// Reads `KEY:SIGNATURE`.
    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let (key, rest) = value.split_at_checked(ENCODED_LENGTH)?;
        let signature = rest.strip_prefix(b":")?;
        if signature.len() != SIGNATURE_LENGTH {
            return None;
        }
        Some(Self {
            public_key: decode_key(key)?,
            signature: STANDARD.decode(signature).ok()?.try_into().ok()?,
        })
    }

    /// Checks that it is of this request and of this time.
    ///
    /// What is signed is path and query as they were sent. [`crate::target::Target`] takes a path byte for byte or not
    /// at all, so they are those that are judged and forwarded.
    pub(super) fn verify(
        &self,
        head: &Parts,
        now: Timestamp,
        clock_skew: u32,
    ) -> Result<(), Unauthenticated> {
        let seconds = signed_at(head).ok_or(Unauthenticated::Malformed)?;
        if now.as_second().abs_diff(seconds) > u64::from(clock_skew) {
            return Err(Unauthenticated::Expired);
        }
        let message = format!("{},{}?ts={seconds}", head.method, head.uri.path());
        UnparsedPublicKey::new(&ED25519, &self.public_key)
            .verify(message.as_bytes(), &self.signature)
            .map_err(|_| Unauthenticated::Wrong)
    }
}

/// When the request was signed, in seconds since 1970. The CLI sends and signs `ts` alone; of anything beside it nobody
/// would know whether it was meant.
fn signed_at(head: &Parts) -> Option<i64> {
    let digits = head.uri.query()?.strip_prefix("ts=")?;
    let canonical = (1..=MOST_DIGITS).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && !digits.starts_with('0');
    if canonical { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    /// Sent by the CLI of version 0.17.4.
    const AUTHORIZATION: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAxGSmMrXi+qzIgoLRfNOcaZ8fMnXUvqT4sitE1g1GD3:\
                                 O7tvfyIgPTPzXXj/uWhgm7dDVwBF117FSCWzMa+5OpB0JcrYSTgEwH2PFQ/Gnh/3UjMM4x/1wbqDGrbvIc3sAQ==";
    const SIGNED_AT: i64 = 1_795_315_645;

    fn verify(authorization: &str, method: &str, target: &str, now: i64) -> Result<(), Unauthenticated> {
        let head = Request::builder().method(method).uri(target).body(()).unwrap();
        let signature = Signature::decode(authorization.as_bytes()).ok_or(Unauthenticated::Missing)?;
        signature.verify(&head.into_parts().0, Timestamp::from_second(now).unwrap(), 30)
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn what_the_cli_sends_is_accepted_for_what_it_signed_and_when() {
        use Unauthenticated::{Expired, Malformed, Wrong};
        /// A name, method, target, how much later it comes, and what is said.
        type Case<'a> = (&'a str, &'a str, &'a str, i64, Result<(), Unauthenticated>);
        let cases: &[Case<'_>] = &[
            ("at once", "GET", "/api/tags?ts=1795315645", 0, Ok(())),
            ("at the end", "GET", "/api/tags?ts=1795315645", 30, Ok(())),
            ("too late", "GET", "/api/tags?ts=1795315645", 31, Err(Expired)),
            ("a clock that is ahead", "GET", "/api/tags?ts=1795315645", -30, Ok(())),
            ("too far ahead", "GET", "/api/tags?ts=1795315645", -31, Err(Expired)),
            ("another method", "POST", "/api/tags?ts=1795315645", 0, Err(Wrong)),
            ("HEAD", "HEAD", "/api/tags?ts=1795315645", 0, Err(Wrong)),
            ("another path", "GET", "/api/ps?ts=1795315645", 0, Err(Wrong)),
            ("an escaped path", "GET", "/api/%74ags?ts=1795315645", 0, Err(Wrong)),
            ("another time", "GET", "/api/tags?ts=1795315646", 0, Err(Wrong)),
            ("no query", "GET", "/api/tags", 0, Err(Malformed)),
            ("no time", "GET", "/api/tags?ts=", 0, Err(Malformed)),
            ("a zero first", "GET", "/api/tags?ts=01795315645", 0, Err(Malformed)),
            ("a sign", "GET", "/api/tags?ts=+1795315645", 0, Err(Malformed)),
            ("a fraction", "GET", "/api/tags?ts=1795315645.0", 0, Err(Malformed)),
            ("escaped digits", "GET", "/api/tags?ts=179531564%35", 0, Err(Malformed)),
            ("many digits", "GET", "/api/tags?ts=9999999999999", 0, Err(Malformed)),
            ("more than the time", "GET", "/api/tags?ts=1795315645&a=b", 0, Err(Malformed)),
            ("something before it", "GET", "/api/tags?a=b&ts=1795315645", 0, Err(Malformed)),
            ("two times", "GET", "/api/tags?ts=1795315645&ts=1795315645", 0, Err(Malformed)),
            ("another name", "GET", "/api/tags?TS=1795315645", 0, Err(Malformed)),
        ];
        for (name, method, target, later, expected) in cases {
            assert_eq!(verify(AUTHORIZATION, method, target, SIGNED_AT + later), *expected, "{name}");
        }
    }

    #[test]
    fn what_is_altered_is_refused() {
        let (key, signature) = AUTHORIZATION.split_once(':').unwrap();
        let altered = |text: &str, from: &str, to: &str| text.replacen(from, to, 1);
        let cases = [
            (
                "the signature",
                format!("{key}:{}", altered(signature, "O7", "P7")),
            ),
            ("the key", format!("{}:{signature}", altered(key, "GD3", "GD2"))),
            (
                "the key's type",
                format!("{}:{signature}", altered(key, "C3Nz", "C3NA")),
            ),
            ("no signature", key.to_owned()),
            ("an empty signature", format!("{key}:")),
            ("a longer signature", format!("{AUTHORIZATION}A")),
            (
                "a signature without padding",
                AUTHORIZATION.trim_end_matches('=').to_owned(),
            ),
            ("a second signature", format!("{AUTHORIZATION}:{signature}")),
            ("a space", format!("{key}: {signature}")),
            ("the key alone twice", format!("{key}:{key}")),
            ("the other base64 alphabet", AUTHORIZATION.replace('/', "_")),
        ];
        for (name, authorization) in cases {
            let outcome = verify(&authorization, "GET", "/api/tags?ts=1795315645", SIGNED_AT);
            assert!(outcome.is_err(), "{name}: {authorization}");
        }
    }
}
