//! JSON Web Tokens: whoever is let in is whom a signed token names, as any reader of JSON reads it.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use corral_proxy::config::flags::Flags;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use super::guard::{Guard, write};

const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://idp.example";
const AUDIENCE: &str = "ollama";
/// The year 2100.
const END: u64 = 4_102_444_800;
/// Most bytes of a token.
const LONGEST: usize = 8192;

static GUARD: LazyLock<Guard> = LazyLock::new(|| {
    let files = tempfile::tempdir().expect("a folder");
    let secret = write(&files, "secret", SECRET);
    let issuer = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "keys": {"path": secret}, "algorithms": ["HS256"],
    });
    let config = json!({"credentials": {"jwt": [issuer]}}).to_string();
    Guard::new(&Flags {
        config: Some(write(&files, "proxy.yaml", &config)),
        ..Flags::default()
    })
});

/// A token as nobody has signed it, and the header and the claims of one that the issuer has, a line each.
pub(crate) fn check(data: &[u8]) {
    assert_eq!(name(data), None, "nobody has signed it");
    let at = data.iter().position(|byte| *byte == b'\n');
    let (header, claims) = data.split_at(at.unwrap_or(data.len()));
    check_signed(header, claims);
    if let Ok(Value::Object(claims)) = serde_json::from_slice(claims) {
        check_completed(claims);
    }
}

/// One that is accepted says what it must, says the same when it is written by another, and not a bit of it can change.
fn check_signed(header: &[u8], claims: &[u8]) {
    let token = sign(header, claims);
    let Some(client) = name(&token) else { return };
    let says: Value = serde_json::from_slice(header).expect("a header in JSON");
    let claims: Value = serde_json::from_slice(claims).expect("claims in JSON");
    assert_eq!(says["alg"], "HS256");
    assert_eq!(says.get("crit"), None, "what must be understood is refused");
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], *client);
    assert!(claims["exp"].is_number(), "it ends: {claims}");
    let audience = &claims["aud"];
    let is_ours = audience
        .as_array()
        .map_or(audience == AUDIENCE, |several| several.contains(&AUDIENCE.into()));
    assert!(is_ours, "{audience}");
    let rewritten = sign(header, claims.to_string().as_bytes());
    if rewritten.len() <= LONGEST {
        assert_eq!(name(&rewritten), Some(client), "{says} {claims}");
    }
    check_changed(token);
}

fn check_changed(mut token: Vec<u8>) {
    let at = token.iter().map(|byte| usize::from(*byte)).sum::<usize>() % token.len();
    token[at] = if token[at] == b'A' { b'B' } else { b'A' };
    assert_eq!(name(&token), None, "changed at {at}");
}

/// Whatever else a good token says, it stays good.
fn check_completed(mut claims: Map<String, Value>) {
    claims.retain(|name, _| !["nbf", "iat"].contains(&name.as_str()));
    for (name, value) in [
        ("iss", ISSUER.into()),
        ("aud", AUDIENCE.into()),
        ("sub", "alice".into()),
        ("exp", END.into()),
    ] {
        claims.insert(name.to_owned(), value);
    }
    let claims = Value::Object(claims).to_string();
    let token = sign(br#"{"alg":"HS256"}"#, claims.as_bytes());
    if token.len() <= LONGEST {
        assert_eq!(name(&token).as_deref(), Some("alice"), "{claims}");
    }
}

fn sign(header: &[u8], claims: &[u8]) -> Vec<u8> {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let message = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}").into_bytes()
}

/// Whom a token lets in.
fn name(token: &[u8]) -> Option<String> {
    let value = HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok()?;
    GUARD.name(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}
