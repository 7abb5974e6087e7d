//! The credentials that a request carries: from headers to one for each means at most, or to the reason why not. Pure.
//!
//! A request may name a credential in one of five ways: `Authorization: Basic` (RFC 7617), `Authorization: Bearer`
//! (RFC 6750), the signature of the stock `ollama` CLI in `Authorization`, `X-Ollama-Token` and `x-api-key`. Two for one
//! means are refused, with one exception: the same API key in several of these headers, each at most once, since SDKs
//! that know both OpenAI's and Anthropic's way send it in both. What has the shape of a JSON Web Token is one where there
//! are issuers, and an API key otherwise. Whether credentials for several means are too many, or
//! just what is needed, is [`super::Requirement`]'s to say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Unauthenticated;
use super::signature::Signature;
use crate::credentials::{LONGEST_KEY, LONGEST_NAME};
use crate::jwt::has_shape_of_token;
use crate::status::Means;

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
}

impl<'headers> Presented<'headers> {
    /// The means that there is a credential for.
    pub(super) fn means(&self) -> impl Iterator<Item = Means> {
        let Self {
            password,
            signature,
            key,
            token,
        } = self;
        [
            (Means::Basic, password.is_some()),
            (Means::OllamaKeys, signature.is_some()),
            (Means::ApiKeys, key.is_some()),
            (Means::Jwt, token.is_some()),
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
    fn add(&mut self, credential: &'headers [u8], takes_tokens: bool) -> Result<(), Unauthenticated> {
        let place = if takes_tokens && has_shape_of_token(credential) {
            &mut self.token
        } else {
            check_key(credential)?;
            &mut self.key
        };
        match place {
            Some(found) if !bool::from(found.ct_eq(credential)) => Err(Unauthenticated::Ambiguous),
            _ => {
                *place = Some(credential);
                Ok(())
            }
        }
    }
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

/// Finds the credentials of a request.
pub(super) fn presented(headers: &HeaderMap, takes_tokens: bool) -> Result<Presented<'_>, Unauthenticated> {
    let mut presented = single(headers, &AUTHORIZATION)?
        .map(|value| parse_authorization(value, takes_tokens))
        .transpose()?
        .unwrap_or_default();
    for name in [&X_OLLAMA_TOKEN, &X_API_KEY] {
        if let Some(value) = single(headers, name)? {
            presented.add(value.as_bytes(), takes_tokens)?;
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
fn parse_authorization(value: &HeaderValue, takes_tokens: bool) -> Result<Presented<'_>, Unauthenticated> {
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
        presented.add(token, takes_tokens).map(|()| presented)
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
mod tests {
    use super::*;

    type Headers<'case> = &'case [(&'case str, &'case [u8])];

    /// A signature as the CLI sends it.
    const SIGNATURE: &[u8] = b"AAAAC3NzaC1lZDI1NTE5AAAAIAxGSmMrXi+qzIgoLRfNOcaZ8fMnXUvqT4sitE1g1GD3:\
        O7tvfyIgPTPzXXj/uWhgm7dDVwBF117FSCWzMa+5OpB0JcrYSTgEwH2PFQ/Gnh/3UjMM4x/1wbqDGrbvIc3sAQ==";

    const TOKEN: &[u8] = b"Bearer eyJ.e30.";

    /// What a request shows: a key as it is, a name and password with a bar between, the end of a signature's key.
    fn shown(pairs: Headers<'_>) -> Result<String, Unauthenticated> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value).unwrap(),
            );
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        presented(&headers, true).map(|presented| {
            let password = presented
                .password
                .map(|shown| format!("{}|{}", text(shown.name_bytes()), text(shown.password())));
            let signature = presented
                .signature
                .map(|shown| hex::encode(&shown.public_key[30..]));
            let token = presented.token.map(|token| format!("token {}", text(token)));
            let all = [password, signature, presented.key.map(text), token];
            all.into_iter().flatten().collect::<Vec<_>>().join(" ")
        })
    }

    #[test]
    fn one_credential_for_each_means() {
        let cases: &[(&str, Headers<'_>, &str)] = &[
            ("bearer", &[("authorization", b"Bearer sk-1")], "sk-1"),
            ("scheme in any case", &[("authorization", b"bEaReR sk-1")], "sk-1"),
            ("several spaces", &[("authorization", b"Bearer   sk-1")], "sk-1"),
            ("token of Ollama", &[("x-ollama-token", b"sk-1")], "sk-1"),
            ("Anthropic's key", &[("x-api-key", b"sk-1")], "sk-1"),
            (
                "the same key twice",
                &[("x-api-key", b"sk-1"), ("authorization", b"Bearer sk-1")],
                "sk-1",
            ),
            (
                "the same key thrice",
                &[
                    ("authorization", b"Bearer sk-1"),
                    ("x-api-key", b"sk-1"),
                    ("x-ollama-token", b"sk-1"),
                ],
                "sk-1",
            ),
            (
                "basic",
                &[("authorization", b"Basic YWxpY2U6b3BlbnNlc2FtZQ==")],
                "alice|opensesame",
            ),
            (
                "basic in capitals",
                &[("authorization", b"BASIC YWxpY2U6b3BlbnNlc2FtZQ==")],
                "alice|opensesame",
            ),
            (
                "a colon in the password",
                &[("authorization", b"Basic YTpiOmM6")],
                "a|b:c:",
            ),
            ("UTF-8", &[("authorization", b"Basic YTrDqQ==")], "a|é"),
            ("the CLI's signature", &[("authorization", SIGNATURE)], "60f7"),
            ("a token", &[("authorization", TOKEN)], "token eyJ.e30."),
            (
                "the same token twice",
                &[("authorization", TOKEN), ("x-api-key", &TOKEN[7..])],
                "token eyJ.e30.",
            ),
            (
                "a token beside a key",
                &[("authorization", TOKEN), ("x-api-key", b"sk-1")],
                "sk-1 token eyJ.e30.",
            ),
            (
                "what only begins as a token does",
                &[("authorization", b"Bearer eyJ.e30")],
                "eyJ.e30",
            ),
            ("nothing", &[("accept", b"*/*")], ""),
            (
                "basic beside a key",
                &[("authorization", b"Basic YTpi"), ("x-api-key", b"sk-1")],
                "a|b sk-1",
            ),
            (
                "a signature beside a key",
                &[("authorization", SIGNATURE), ("x-ollama-token", b"sk-1")],
                "60f7 sk-1",
            ),
        ];
        for (name, pairs, expected) in cases {
            assert_eq!(shown(pairs).as_deref(), Ok(*expected), "{name}");
        }
    }

    #[test]
    fn anything_else_is_nobody() {
        use Unauthenticated::{Ambiguous, Malformed};
        let basic = |text: &[u8]| format!("Basic {}", STANDARD.encode(text)).into_bytes();
        let long_name = basic(&[&[b'a'; 254][..], b":b"].concat());
        let long_password = basic(&[&b"a:"[..], &[b'b'; 513]].concat());
        let long_key = [&b"Bearer "[..], &[b'k'; LONGEST_KEY + 1]].concat();
        let (nul, line, empty_name, empty) = (basic(b"a:b\0c"), basic(b"a\n:b"), basic(b":b"), basic(b"a:"));
        let two = "authorization";
        let cases: &[(&str, Headers<'_>, Unauthenticated)] = &[
            (
                "two bearers",
                &[(two, b"Bearer sk-1"), (two, b"Bearer sk-2")],
                Ambiguous,
            ),
            (
                "twice the same",
                &[(two, b"Bearer sk-1"), (two, b"Bearer sk-1")],
                Ambiguous,
            ),
            (
                "good before bad",
                &[(two, b"Bearer sk-1"), (two, b"x")],
                Ambiguous,
            ),
            (
                "bad before good",
                &[(two, b"x"), (two, b"Bearer sk-1")],
                Ambiguous,
            ),
            (
                "basic and bearer",
                &[(two, b"Basic YTpi"), (two, b"Bearer sk-1")],
                Ambiguous,
            ),
            (
                "two x-api-keys",
                &[("x-api-key", b"sk-1"), ("x-api-key", b"sk-1")],
                Ambiguous,
            ),
            (
                "different keys",
                &[(two, b"Bearer sk-1"), ("x-api-key", b"sk-2")],
                Ambiguous,
            ),
            (
                "a longer key",
                &[(two, b"Bearer sk-1"), ("x-api-key", b"sk-11")],
                Ambiguous,
            ),
            (
                "different tokens",
                &[("x-ollama-token", b"sk-1"), ("x-api-key", b"sk-2")],
                Ambiguous,
            ),
            (
                "malformed beside a key",
                &[(two, b"Bearer"), ("x-api-key", b"sk-1")],
                Malformed,
            ),
            (
                "a malformed key beside a good one",
                &[(two, b"Bearer sk-1"), ("x-api-key", b"")],
                Malformed,
            ),
            ("two signatures", &[(two, SIGNATURE), (two, SIGNATURE)], Ambiguous),
            ("half a signature", &[(two, &SIGNATURE[..156])], Malformed),
            ("empty", &[(two, b"")], Malformed),
            ("scheme alone", &[(two, b"Bearer")], Malformed),
            ("scheme and space", &[(two, b"Bearer ")], Malformed),
            ("no scheme", &[(two, b"sk-1")], Malformed),
            ("another scheme", &[(two, b"Digest sk-1")], Malformed),
            ("a longer scheme", &[(two, b"Bearers sk-1")], Malformed),
            ("a space first", &[(two, b" Bearer sk-1")], Malformed),
            ("a tab between", &[(two, b"Bearer\tsk-1")], Malformed),
            ("a tab and a space between", &[(two, b"Bearer \tsk-1")], Malformed),
            ("a space behind", &[(two, b"Bearer sk-1 ")], Malformed),
            ("two tokens", &[(two, b"Bearer sk-1 sk-2")], Malformed),
            (
                "joined by comma and space",
                &[(two, b"Bearer sk-1, Bearer sk-2")],
                Malformed,
            ),
            ("joined by a comma", &[(two, b"Bearer sk-1,sk-2")], Malformed),
            ("joined in x-api-key", &[("x-api-key", b"sk-1, sk-2")], Malformed),
            ("no ASCII", &[("x-api-key", b"sk-\xe9")], Malformed),
            ("an empty token", &[("x-ollama-token", b"")], Malformed),
            ("a key too long", &[(two, &long_key)], Malformed),
            ("bad base64", &[(two, b"Basic !!!!")], Malformed),
            ("base64 without padding", &[(two, b"Basic YTpiYw")], Malformed),
            ("base64 with spare bits", &[(two, b"Basic YTpiYx==")], Malformed),
            (
                "the other base64 alphabet",
                &[(two, b"Basic YTo_Pz8_")],
                Malformed,
            ),
            ("base64 twice", &[(two, b"Basic YTpi YTpi")], Malformed),
            ("no colon", &[(two, b"Basic YWJj")], Malformed),
            ("an empty name", &[(two, &empty_name)], Malformed),
            ("an empty password", &[(two, &empty)], Malformed),
            ("NUL in the password", &[(two, &nul)], Malformed),
            ("a line end in the name", &[(two, &line)], Malformed),
            ("a name too long", &[(two, &long_name)], Malformed),
            ("a password too long", &[(two, &long_password)], Malformed),
        ];
        for (name, pairs, expected) in cases {
            assert_eq!(shown(pairs), Err(*expected), "{name}");
        }
    }
}
