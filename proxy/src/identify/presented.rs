//! The credential that a request carries: from headers to exactly one, or to the reason why not. Pure.
//!
//! A request may name its credential in one of four ways: `Authorization: Basic` (RFC 7617), `Authorization: Bearer`
//! (RFC 6750), `X-Ollama-Token` and `x-api-key`. More than one is refused, whatever they are, with one exception: the
//! same API key in several of these headers, each at most once, since SDKs that know both OpenAI's and Anthropic's
//! way send it in both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Unauthenticated;
use crate::credentials::{LONGEST_KEY, LONGEST_NAME};

/// Longest accepted password in bytes. Some hashes take time that grows with it.
const LONGEST_PASSWORD: usize = 512;

const X_OLLAMA_TOKEN: HeaderName = HeaderName::from_static("x-ollama-token");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The one credential of a request.
pub(super) enum Presented<'headers> {
    Key(&'headers [u8]),
    Password(NameAndPassword),
}

/// The decoded credential of HTTP Basic.
pub(super) struct NameAndPassword {
    decoded: Zeroizing<Vec<u8>>,
    colon: usize,
}

impl NameAndPassword {
    /// None when it isn't UTF-8, as the names of all users are.
    pub(super) fn name(&self) -> Option<&str> {
        std::str::from_utf8(self.name_bytes()).ok()
    }

    /// The bytes as the client sends them.
    pub(super) fn name_bytes(&self) -> &[u8] {
        &self.decoded[..self.colon]
    }

    /// The bytes as the client sends them: none are normalized.
    pub(super) fn password(&self) -> &[u8] {
        &self.decoded[self.colon + 1..]
    }

    /// Both, with the colon that ends the name.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.decoded
    }

    fn decode(token: &[u8]) -> Result<Self, Unauthenticated> {
        const LONGEST_TOKEN: usize = (LONGEST_NAME + 1 + LONGEST_PASSWORD).div_ceil(3) * 4;
        if token.len() > LONGEST_TOKEN {
            return Err(Unauthenticated::Malformed);
        }
        let decoded = Zeroizing::new(STANDARD.decode(token).map_err(|_| Unauthenticated::Malformed)?);
        let colon = decoded
            .iter()
            .position(|byte| *byte == b':')
            .ok_or(Unauthenticated::Malformed)?;
        let password_length = decoded.len() - colon - 1;
        let well_formed = (1..=LONGEST_NAME).contains(&colon)
            && (1..=LONGEST_PASSWORD).contains(&password_length)
            && !decoded.iter().any(u8::is_ascii_control);
        if well_formed {
            Ok(Self { decoded, colon })
        } else {
            Err(Unauthenticated::Malformed)
        }
    }
}

/// Finds the one credential of a request.
pub(super) fn presented(headers: &HeaderMap) -> Result<Presented<'_>, Unauthenticated> {
    let mut presented = single(headers, &AUTHORIZATION)?
        .map(parse_authorization)
        .transpose()?;
    for name in [&X_OLLAMA_TOKEN, &X_API_KEY] {
        let Some(value) = single(headers, name)? else {
            continue;
        };
        let key = check_key(value.as_bytes())?;
        match presented {
            None => presented = Some(Presented::Key(key)),
            Some(Presented::Key(found)) if found.ct_eq(key).into() => {}
            Some(_) => return Err(Unauthenticated::Ambiguous),
        }
    }
    presented.ok_or(Unauthenticated::Missing)
}

/// The only value of a header.
fn single<'headers>(
    headers: &'headers HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'headers HeaderValue>, Unauthenticated> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        Err(Unauthenticated::Ambiguous)
    } else {
        Ok(first)
    }
}

/// A scheme in any case, spaces, and exactly one token (RFC 9110, 11.4).
fn parse_authorization(value: &HeaderValue) -> Result<Presented<'_>, Unauthenticated> {
    let value = value.as_bytes();
    let space = value
        .iter()
        .position(|byte| *byte == b' ')
        .ok_or(Unauthenticated::Malformed)?;
    let (scheme, rest) = value.split_at(space);
    let start = rest
        .iter()
        .position(|byte| *byte != b' ')
        .ok_or(Unauthenticated::Malformed)?;
    let token = &rest[start..];
    if scheme.eq_ignore_ascii_case(b"bearer") {
        check_key(token).map(Presented::Key)
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        NameAndPassword::decode(token).map(Presented::Password)
    } else {
        Err(Unauthenticated::Malformed)
    }
}

/// A key is one token: several, joined by commas or spaces, are none.
fn check_key(key: &[u8]) -> Result<&[u8], Unauthenticated> {
    let well_formed = (1..=LONGEST_KEY).contains(&key.len())
        && key.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
    if well_formed {
        Ok(key)
    } else {
        Err(Unauthenticated::Malformed)
    }
}
