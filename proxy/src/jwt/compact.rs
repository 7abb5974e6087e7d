//! The compact form of a signed token (RFC 7515, section 7.1), taken apart. Nothing in it is believed yet.

use std::cell::OnceCell;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use thiserror::Error;

use super::json::{Object, parse_object};
use crate::config::JwtAlgorithm;

/// Most bytes of a token. Those of identity providers have one to three thousand.
pub(crate) const LONGEST_TOKEN: usize = 8192;

/// Most bytes of a key's name.
pub(super) const LONGEST_KEY_NAME: usize = 256;

/// A token as it was sent.
pub(super) struct Compact<'token> {
    pub(super) header: Header,
    /// What the signature is of: header and payload, still encoded.
    pub(super) signed: &'token [u8],
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
    claims: OnceCell<Option<Object>>,
}

/// What the header says, as far as anyone asks.
pub(super) struct Header {
    pub(super) algorithm: JwtAlgorithm,
    /// The name of the key.
    pub(super) key_name: Option<String>,
}

/// Why a token is none.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    #[error("longer than {LONGEST_TOKEN} bytes")]
    TooLong,
    #[error("not three parts")]
    Parts,
    #[error("a part is not base64url without padding")]
    Base64,
    #[error("the header is not a JSON object with each name once")]
    Header,
    #[error("a member of the header has a value of another kind")]
    Member,
    #[error("no algorithm that anyone could accept")]
    Algorithm,
    #[error("of another type than JWT or at+jwt")]
    Type,
    #[error("an extension that must be understood")]
    Extension,
}

/// Whether a credential has the shape of a token: three parts, the first of which begins as a JSON object does.
pub(crate) fn has_shape_of_token(credential: &[u8]) -> bool {
    let mut parts = credential.split(|byte| *byte == b'.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    // `{"`, as nearly all begin. JSON may have white space before and between (RFC 8259, section 2).
    header.starts_with(b"eyJ")
        || decode(header).is_ok_and(|header| header.trim_ascii_start().starts_with(b"{"))
}

impl<'token> Compact<'token> {
    /// Takes a token apart.
    pub(super) fn parse(token: &'token [u8]) -> Result<Self, Malformed> {
        if token.len() > LONGEST_TOKEN {
            return Err(Malformed::TooLong);
        }
        let mut dots = token
            .iter()
            .enumerate()
            .filter_map(|(index, byte)| (*byte == b'.').then_some(index));
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Malformed::Parts);
        };
        Ok(Self {
            header: Header::parse(&decode(&token[..first])?)?,
            signed: &token[..second],
            payload: decode(&token[first + 1..second])?,
            signature: decode(&token[second + 1..])?,
            claims: OnceCell::new(),
        })
    }

    /// What the payload says, parsed once; none where it isn't a JSON object with each name once.
    pub(super) fn claims(&self) -> Option<&Object> {
        let parse = || parse_object(&self.payload).ok();
        self.claims.get_or_init(parse).as_ref()
    }
}

/// The alphabet for URLs, no padding, and no bit that says nothing: of each value there is one spelling.
fn decode(part: &[u8]) -> Result<Vec<u8>, Malformed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed::Base64)
}

impl Header {
    /// `jwk`, `jku`, `x5c` and `x5u`, by which a token would bring its own key, are members that nobody asks for.
    fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let header = parse_object(text).map_err(|_| Malformed::Header)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(Malformed::Extension);
        }
        if !text_of(&header, "typ")?.is_none_or(is_token_type) {
            return Err(Malformed::Type);
        }
        let algorithm = text_of(&header, "alg")?.and_then(JwtAlgorithm::of_name);
        let key_name = text_of(&header, "kid")?;
        if key_name.is_some_and(|name| name.len() > LONGEST_KEY_NAME) {
            return Err(Malformed::Member);
        }
        Ok(Self {
            algorithm: algorithm.ok_or(Malformed::Algorithm)?,
            key_name: key_name.map(str::to_owned),
        })
    }
}

fn text_of<'header>(header: &'header Object, member: &str) -> Result<Option<&'header str>, Malformed> {
    match header.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Malformed::Member),
    }
}

/// A media type, in any case and with or without its `application/` (RFC 7515, section 4.1.9). `at+jwt` is an access token
/// (RFC 9068); a token of another type was made to be read by somebody else (RFC 8725, section 3.11).
fn is_token_type(media_type: &str) -> bool {
    let prefix = "application/";
    let name = match media_type.get(..prefix.len()) {
        Some(start) if start.eq_ignore_ascii_case(prefix) => &media_type[prefix.len()..],
        _ => media_type,
    };
    name.eq_ignore_ascii_case("JWT") || name.eq_ignore_ascii_case("at+jwt")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(header: &str) -> String {
        format!(
            "{}.{}.AAAA",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode("{}")
        )
    }

    fn parse(token: &str) -> Result<(JwtAlgorithm, Option<String>), Malformed> {
        Compact::parse(token.as_bytes()).map(|compact| (compact.header.algorithm, compact.header.key_name))
    }

    #[test]
    fn a_token_is_told_from_a_key() {
        let cases = [
            ("as nearly all are", token(r#"{"alg":"RS256"}"#), true),
            ("white space within", token("{ \"alg\": \"RS256\" }"), true),
            (
                "a line for each member",
                token("{\r\n  \"alg\": \"RS256\"\r\n}"),
                true,
            ),
            ("white space before", token("\n {\"alg\":\"RS256\"}"), true),
            ("an empty object", token("{}"), true),
            ("an array", token("[1]"), false),
            ("a key with two dots", "sk.live.0123".to_owned(), false),
            ("a key like a file's name", "corral-key.tar.gz".to_owned(), false),
            ("two parts", "eyJhbGciOiJSUzI1NiJ9.e30".to_owned(), false),
            (
                "five parts, as of what is encrypted",
                "eyJhbGciOiJkaXIifQ.a.b.c.d".to_owned(),
                false,
            ),
            ("nothing", String::new(), false),
            ("only dots", "..".to_owned(), false),
        ];
        for (name, credential, expected) in cases {
            assert_eq!(has_shape_of_token(credential.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn a_header_is_read_or_refused() {
        use JwtAlgorithm::{EdDSA, RS256};
        use Malformed::{Algorithm, Extension, Header, Member, Type};
        let long = format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(257));
        let cases = [
            ("an algorithm alone", r#"{"alg":"RS256"}"#, Ok((RS256, None))),
            ("a key's name", r#"{"alg":"RS256","kid":"a/../b"}"#, Ok((RS256, Some("a/../b".into())))),
            ("a type", r#"{"alg":"RS256","typ":"JWT"}"#, Ok((RS256, None))),
            ("a type in other letters", r#"{"alg":"RS256","typ":"jwt"}"#, Ok((RS256, None))),
            ("an access token", r#"{"alg":"RS256","typ":"at+jwt"}"#, Ok((RS256, None))),
            ("its whole media type", r#"{"alg":"RS256","typ":"application/AT+JWT"}"#, Ok((RS256, None))),
            ("EdDSA's newer name", r#"{"alg":"Ed25519"}"#, Ok((EdDSA, None))),
            ("a key of its own", r#"{"alg":"RS256","jwk":{"kty":"oct"},"x5c":["AA"]}"#, Ok((RS256, None))),
            ("addresses of keys", r#"{"alg":"RS256","jku":"https://a","x5u":"https://a"}"#, Ok((RS256, None))),
            ("no algorithm", "{}", Err(Algorithm)),
            ("none", r#"{"alg":"none"}"#, Err(Algorithm)),
            ("None", r#"{"alg":"None"}"#, Err(Algorithm)),
            ("an empty algorithm", r#"{"alg":""}"#, Err(Algorithm)),
            ("an algorithm in other letters", r#"{"alg":"rs256"}"#, Err(Algorithm)),
            ("an algorithm with a space", r#"{"alg":"RS256 "}"#, Err(Algorithm)),
            ("an algorithm of another curve", r#"{"alg":"ES256K"}"#, Err(Algorithm)),
            ("an algorithm of encryption", r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#, Err(Algorithm)),
            ("a list of algorithms", r#"{"alg":["RS256"]}"#, Err(Member)),
            ("a number as the key's name", r#"{"alg":"RS256","kid":1}"#, Err(Member)),
            ("a long name of the key", long.as_str(), Err(Member)),
            ("no name of the key", r#"{"alg":"RS256","kid":null}"#, Err(Member)),
            ("another type", r#"{"alg":"RS256","typ":"dpop+jwt"}"#, Err(Type)),
            ("a logout token", r#"{"alg":"RS256","typ":"logout+jwt"}"#, Err(Type)),
            ("an empty type", r#"{"alg":"RS256","typ":""}"#, Err(Type)),
            ("another media type", r#"{"alg":"RS256","typ":"text/jwt"}"#, Err(Type)),
            ("a type that is none", r#"{"alg":"RS256","typ":1}"#, Err(Member)),
            ("crit", r#"{"alg":"RS256","crit":["exp"],"exp":1}"#, Err(Extension)),
            ("an empty crit", r#"{"alg":"RS256","crit":[]}"#, Err(Extension)),
            ("b64", r#"{"alg":"RS256","b64":false}"#, Err(Extension)),
            ("b64 as it is without it", r#"{"alg":"RS256","b64":true}"#, Err(Extension)),
            ("an algorithm twice", r#"{"alg":"RS256","alg":"RS256"}"#, Err(Header)),
            ("an array", "[]", Err(Header)),
            ("nothing", "", Err(Header)),
        ];
        for (name, header, expected) in cases {
            assert_eq!(parse(&token(header)), expected, "{name}");
        }
    }

    #[test]
    fn a_token_has_three_parts_each_in_one_spelling() {
        use Malformed::{Base64, Parts, TooLong};
        let good = token(r#"{"alg":"RS256"}"#);
        let (head, rest) = good.split_once('.').unwrap();
        let cases = [
            ("one part", head.to_owned(), Some(Parts)),
            ("two parts", format!("{head}.e30"), Some(Parts)),
            ("four parts", format!("{good}.AAAA"), Some(Parts)),
            (
                "five parts, as of an encrypted token",
                format!("{good}.AAAA.AAAA"),
                Some(Parts),
            ),
            ("nothing", String::new(), Some(Parts)),
            ("dots", "..".to_owned(), Some(Malformed::Header)),
            ("an empty payload and signature", format!("{head}.."), None),
            ("padding", format!("{head}.e30=.AAAA"), Some(Base64)),
            ("the other alphabet", format!("{head}.e30.AA/A"), Some(Base64)),
            (
                "a bit that says nothing",
                format!("{head}.e31.AAAA"),
                Some(Base64),
            ),
            ("one character over", format!("{head}.e30.AAAAA"), Some(Base64)),
            ("a space", format!("{head}. {rest}"), Some(Base64)),
            ("a line end", format!("{good}\n"), Some(Base64)),
            (
                "as long as may be",
                format!("{head}..{}", "A".repeat(8192 - head.len() - 2)),
                None,
            ),
            (
                "too long",
                format!("{head}..{}", "A".repeat(8196 - head.len() - 2)),
                Some(TooLong),
            ),
        ];
        for (name, token, expected) in cases {
            assert_eq!(parse(&token).err(), expected, "{name}");
        }
        assert_eq!(Compact::parse(b"eyJ\xff..").err(), Some(Base64), "not ASCII");
    }

    proptest! {
        /// Of what is accepted there is one spelling: it is the encoding of its own parts.
        #[test]
        fn what_is_accepted_is_canonical(
            token in prop_oneof![
                "[A-Za-z0-9_.=-]{0,40}",
                "eyJhbGciOiJSUzI1NiJ9\\.[A-Za-z0-9_=+/.-]{0,20}\\.?[A-Za-z0-9_=-]{0,20}",
            ],
        ) {
            if let Ok(compact) = Compact::parse(token.as_bytes()) {
                let (head, _) = token.split_once('.').unwrap();
                let [payload, signature] =
                    [compact.payload, compact.signature].map(|part| URL_SAFE_NO_PAD.encode(part));
                prop_assert_eq!(&token, &format!("{head}.{payload}.{signature}"));
                let signed = format!("{head}.{payload}");
                prop_assert_eq!(compact.signed, signed.as_bytes());
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(token in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Compact::parse(&token);
        }

        #[test]
        fn any_header_is_read_or_refused(header in "\\{(\"(alg|kid|typ|crit)\":(\"RS256\"|1|\\[\\]),?){0,4}\\}") {
            let read = parse(&token(&header));
            prop_assert!(read.is_err() || header.matches("\"alg\"").count() == 1);
        }
    }
}
