//! The credentials that a request carries: from headers to one for each means at most, or to the reason why not. Pure.
//!
//! A request may name a credential in one of five ways: `Authorization: Basic` (RFC 7617), `Authorization: Bearer`
//! (RFC 6750), the signature of the stock `ollama` CLI in `Authorization`, `X-Ollama-Token` and `x-api-key`. Two for one
//! means are refused, with one exception: the same API key in several of these headers, each at most once, since SDKs
//! that know both OpenAI's and Anthropic's way send it in both. What has the shape of a JSON Web Token is one where tokens
//! are taken, and an API key otherwise. Whether credentials for several means are too many, or just what is needed, is
//! [`super::Requirement`]'s to say.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::signature::Signature;
use super::{ClientCertificate, Unauthenticated};
use crate::credentials::{LONGEST_KEY, LONGEST_NAME, Means};

/// Longest accepted password in bytes. Some hashes take time that grows with it.
const LONGEST_PASSWORD: usize = 512;

const X_OLLAMA_TOKEN: HeaderName = HeaderName::from_static("x-ollama-token");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// All credentials of a request, each under the means that it is for.
#[derive(Default)]
pub(super) struct Presented<'headers> {
    pub(super) password: Option<NameAndPassword>,
    pub(super) signature: Option<Signature>,
    pub(super) key: Option<&'headers [u8]>,
    pub(super) token: Option<&'headers [u8]>,
    /// Of a Kubernetes service account.
    pub(super) account_token: Option<&'headers [u8]>,
    /// Of the connection; the headers say nothing of it.
    pub(super) certificate: Option<&'headers Arc<ClientCertificate>>,
}

impl<'headers> Presented<'headers> {
    /// The means that there is a credential for.
    pub(super) fn means(&self) -> impl Iterator<Item = Means> {
        let Self {
            password,
            signature,
            key,
            token,
            account_token,
            certificate,
        } = self;
        [
            (Means::Basic, password.is_some()),
            (Means::OllamaKeys, signature.is_some()),
            (Means::ApiKeys, key.is_some()),
            (Means::Jwt, token.is_some()),
            (Means::Kubernetes, account_token.is_some()),
            (Means::ClientCertificates, certificate.is_some()),
        ]
        .into_iter()
        .filter_map(|(means, shown)| shown.then_some(means))
    }

    /// Whether there is none: not even one that is malformed, which is an error.
    pub(super) fn is_empty(&self) -> bool {
        self.means().next().is_none()
    }

    fn of_password(password: NameAndPassword) -> Self {
        Self {
            password: Some(password),
            ..Self::default()
        }
    }

    fn of_signature(signature: Signature) -> Self {
        Self {
            signature: Some(signature),
            ..Self::default()
        }
    }

    /// Adds an API key, or a token where they are taken.
    fn add(&mut self, credential: &'headers [u8], token: impl TokenKind) -> Result<(), Unauthenticated> {
        let place = match token(credential) {
            Some(Token::OfIssuer) => &mut self.token,
            Some(Token::OfServiceAccount) => &mut self.account_token,
            None => {
                check_key(credential)?;
                &mut self.key
            }
        };
        match place {
            Some(found) if verify_slices_are_equal(found, credential).is_err() => {
                Err(Unauthenticated::Ambiguous)
            }
            _ => {
                *place = Some(credential);
                Ok(())
            }
        }
    }
}

/// Whose word it is that a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// An issuer's, whose keys we have.
    OfIssuer,
    /// A cluster's, whose API server we ask.
    OfServiceAccount,
}

/// Tells which kind of token a credential is, if it is one.
pub(super) trait TokenKind: Copy + Fn(&[u8]) -> Option<Token> {}

impl<F: Copy + Fn(&[u8]) -> Option<Token>> TokenKind for F {}

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

/// The headers that a credential may stand in.
pub(crate) static CREDENTIAL_HEADERS: [HeaderName; 3] = [AUTHORIZATION, X_OLLAMA_TOKEN, X_API_KEY];

/// The value of the only such header, and which of them it is.
pub(super) fn sole_value(headers: &HeaderMap) -> Option<(usize, &[u8])> {
    let mut values = headers.iter().filter_map(|(name, value)| {
        let place = CREDENTIAL_HEADERS.iter().position(|header| header == name)?;
        Some((place, value.as_bytes()))
    });
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Finds the credentials of a request.
pub(super) fn presented(
    headers: &HeaderMap,
    token: impl TokenKind,
) -> Result<Presented<'_>, Unauthenticated> {
    let mut presented = single(headers, &AUTHORIZATION)?
        .map(|value| parse_authorization(value, token))
        .transpose()?
        .unwrap_or_default();
    for name in [&X_OLLAMA_TOKEN, &X_API_KEY] {
        if let Some(value) = single(headers, name)? {
            presented.add(value.as_bytes(), token)?;
        }
    }
    Ok(presented)
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

/// A scheme in any case, spaces, and exactly one token (RFC 9110, 11.4); or a signature of the CLI's, which has no scheme.
fn parse_authorization(value: &HeaderValue, kind: impl TokenKind) -> Result<Presented<'_>, Unauthenticated> {
    let value = value.as_bytes();
    let Some(space) = value.iter().position(|byte| *byte == b' ') else {
        let signature = Signature::decode(value).map(Presented::of_signature);
        return signature.ok_or(Unauthenticated::Malformed);
    };
    let (scheme, rest) = value.split_at(space);
    let start = rest
        .iter()
        .position(|byte| *byte != b' ')
        .ok_or(Unauthenticated::Malformed)?;
    let token = &rest[start..];
    if scheme.eq_ignore_ascii_case(b"bearer") {
        let mut presented = Presented::default();
        presented.add(token, kind).map(|()| presented)
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        NameAndPassword::decode(token).map(Presented::of_password)
    } else {
        Err(Unauthenticated::Malformed)
    }
}

/// A key is one token: several, joined by commas or spaces, are none.
fn check_key(key: &[u8]) -> Result<(), Unauthenticated> {
    let well_formed = (1..=LONGEST_KEY).contains(&key.len())
        && key.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',');
    if well_formed {
        Ok(())
    } else {
        Err(Unauthenticated::Malformed)
    }
}

#[cfg(test)]
mod tests;
