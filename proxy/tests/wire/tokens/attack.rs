//! Attacks by tokens. Rows are those of docs/security-tests.md.

use std::fs;

use serde_json::{Value, json};

use super::issuer::{Issuer, claims, encode, message, now, set, sign_with_secret, unsigned, with};
use super::{ask, code, start};
use crate::backend::Backend;
use crate::proxy::{SOON, within};

/// Checks that none of these tokens lets anyone in, that each gets the answer that no credential gets, and that the next
/// good one is let in.
fn check_refused(issuer: &Issuer, cases: &[(&str, String)]) {
    let backend = Backend::start();
    let proxy = start(&backend, issuer);
    let nobody = proxy.exchange("GET /api/tags HTTP/1.1\r\nHost: ollama\r\n\r\n");
    let before = backend.lines().len();
    for (name, token) in cases {
        let answer = ask(&proxy, token);
        assert_eq!((answer.status, &answer.body), (401, &nobody.body), "{name}");
        assert_eq!(backend.lines().len(), before, "{name}: something has arrived");
    }
    assert_eq!(code(&proxy, &issuer.token("alice")), 200, "the next good one");
}

#[test]
fn row_62_no_algorithm() {
    let idp = Issuer::new("one");
    let claims = claims("admin");
    let signed = |algorithm: Value| idp.sign(&json!({"alg": algorithm, "kid": "one"}), &claims);
    check_refused(
        &idp,
        &[
            ("none", unsigned(&json!({"alg": "none"}), &claims)),
            ("in other letters", unsigned(&json!({"alg": "nOnE"}), &claims)),
            (
                "with the key's name",
                unsigned(&json!({"alg": "none", "kid": "one"}), &claims),
            ),
            ("with a signature", signed(json!("none"))),
            ("an empty one", signed(json!(""))),
            ("a null", signed(Value::Null)),
            ("a list", signed(json!(["ES256"]))),
            ("not even the word", idp.sign(&json!({"kid": "one"}), &claims)),
            ("the right one and no signature", unsigned(&idp.header(), &claims)),
            (
                "a signature of zeros",
                format!("{}.{}", message(&idp.header(), &claims), encode([0; 64])),
            ),
        ],
    );
}

#[test]
fn row_63_a_public_key_as_a_secret() {
    let idp = Issuer::new("one");
    let (jwk, claims) = (idp.jwk(), claims("admin"));
    check_refused(
        &idp,
        &[
            ("its JWK", sign_with_secret(jwk.to_string().as_bytes(), &claims)),
            (
                "the whole set",
                sign_with_secret(set(&[&idp]).as_bytes(), &claims),
            ),
            (
                "a coordinate",
                sign_with_secret(jwk["x"].as_str().unwrap().as_bytes(), &claims),
            ),
            ("an empty secret", sign_with_secret(b"", &claims)),
            ("a secret of zeros", sign_with_secret(&[0; 32], &claims)),
        ],
    );
}

#[test]
fn row_64_keys_in_the_token_itself() {
    let (idp, mallory) = (Issuer::new("one"), Issuer::new("one"));
    let backend = Backend::start();
    let here = format!("http://{}/jwks.json", backend.address);
    let signed = |members: Value| mallory.sign(&with(&mallory.header(), &members), &claims("admin"));
    check_refused(
        &idp,
        &[
            ("a JWK", signed(json!({"jwk": mallory.jwk()}))),
            ("an address of keys", signed(json!({"jku": here}))),
            ("an address of certificates", signed(json!({"x5u": here}))),
            ("certificates", signed(json!({"x5c": ["MIIB"], "x5t": "AAAA"}))),
            (
                "all of them",
                signed(json!({"jwk": mallory.jwk(), "jku": here, "x5u": here, "x5c": ["MIIB"]})),
            ),
        ],
    );
    assert!(backend.lines().is_empty(), "the token's address was asked");
}

#[test]
fn row_65_key_ids_that_lead_astray() {
    let (idp, mallory) = (Issuer::new("one"), Issuer::new("one"));
    let named = |issuer: &Issuer, name: Value| {
        issuer.sign(&with(&issuer.header(), &json!({"kid": name})), &claims("admin"))
    };
    check_refused(
        &idp,
        &[
            ("a path", named(&idp, json!("../../../../dev/null"))),
            ("an absolute path", named(&idp, json!("/proc/self/environ"))),
            ("a query", named(&idp, json!("one' UNION SELECT 'x"))),
            ("a command", named(&idp, json!("one|/bin/true"))),
            ("a NUL behind it", named(&idp, json!("one\0"))),
            ("other letters", named(&idp, json!("One"))),
            ("a number", named(&idp, json!(1))),
            ("a list", named(&idp, json!(["one"]))),
            ("a long one", named(&idp, json!("one".repeat(100)))),
            ("the right one under another key", named(&mallory, json!("one"))),
        ],
    );
    let backend = Backend::start();
    let proxy = start(&backend, &idp);
    fs::write(proxy.path("jwks.json"), set(&[&idp, &mallory])).unwrap();
    within(SOON, "a name of two keys names none", || {
        code(&proxy, &idp.token("admin")) == 401
    });
    assert_eq!(code(&proxy, &mallory.token("admin")), 401);
    assert!(
        proxy.status()["credentials"]
            .to_string()
            .contains("two keys are called `one`")
    );
}

#[test]
fn row_66_times_that_are_no_numbers() {
    let idp = Issuer::new("one");
    let sign = |members: Value| idp.sign(&idp.header(), &with(&claims("admin"), &members));
    let soon = now() + 600;
    check_refused(
        &idp,
        &[
            ("an end in quotes", sign(json!({"exp": soon.to_string()}))),
            ("a beginning in quotes", sign(json!({"nbf": "0"}))),
            ("a making in quotes", sign(json!({"iat": "0"}))),
            ("a date", sign(json!({"exp": "2099-01-01T00:00:00Z"}))),
            ("a list", sign(json!({"exp": [soon]}))),
            ("an object", sign(json!({"exp": {"seconds": soon}}))),
            ("true", sign(json!({"exp": true}))),
            ("less than nothing", sign(json!({"exp": -1}))),
            ("more than there is", sign(json!({"exp": u64::MAX}))),
            ("far more", sign(json!({"exp": 1e300}))),
            ("milliseconds", sign(json!({"exp": soon * 1000}))),
        ],
    );
}

#[test]
fn row_67_claims_that_are_missing_or_others() {
    let idp = Issuer::new("one");
    let sign = |members: Value| idp.sign(&idp.header(), &with(&claims("admin"), &members));
    check_refused(
        &idp,
        &[
            ("no end", sign(json!({"exp": null}))),
            ("ended", sign(json!({"exp": now() - 60}))),
            ("not begun", sign(json!({"nbf": now() + 60}))),
            ("made in the future", sign(json!({"iat": now() + 60}))),
            ("no audience", sign(json!({"aud": null}))),
            ("an empty audience", sign(json!({"aud": ""}))),
            ("no audience of several", sign(json!({"aud": []}))),
            (
                "another audience",
                sign(json!({"aud": ["ollama.example", "Ollama"]})),
            ),
            ("no issuer", sign(json!({"iss": null}))),
            (
                "another issuer",
                sign(json!({"iss": "https://idp.example.evil.example"})),
            ),
            (
                "an issuer with a slash",
                sign(json!({"iss": "https://idp.example/"})),
            ),
            ("no client", sign(json!({"sub": null}))),
            ("an empty client", sign(json!({"sub": ""}))),
            ("a client of two lines", sign(json!({"sub": "alice\nadmin"}))),
            (
                "a client that is no text",
                sign(json!({"sub": {"name": "admin"}})),
            ),
            ("no object", idp.sign(&idp.header(), &json!([claims("admin")]))),
        ],
    );
}

#[test]
fn row_69_extensions_and_tokens_without_end() {
    let idp = Issuer::new("one");
    let header = |members: Value| idp.sign(&with(&idp.header(), &members), &claims("admin"));
    let token = idp.token("admin");
    let (head, signature) = token.rsplit_once('.').unwrap();
    check_refused(
        &idp,
        &[
            (
                "what must be understood",
                header(json!({"crit": ["x"], "x": true})),
            ),
            ("nothing that must be", header(json!({"crit": []}))),
            (
                "what is understood",
                header(json!({"crit": ["exp"], "exp": now()})),
            ),
            (
                "a payload as it is",
                header(json!({"crit": ["b64"], "b64": false})),
            ),
            ("the same without a word", header(json!({"b64": false}))),
            ("another type", header(json!({"typ": "JOSE"}))),
            (
                "9 KiB",
                idp.sign(
                    &idp.header(),
                    &with(&claims("admin"), &json!({"x": "x".repeat(9000)})),
                ),
            ),
            ("20 KiB of key name", header(json!({"kid": "k".repeat(20_000)}))),
            (
                "deep",
                format!(
                    "{}.{}.{signature}",
                    encode(r#"{"alg":"ES256"}"#),
                    encode("{\"a\":".repeat(1000))
                ),
            ),
            ("a fourth part", format!("{token}.AAAA")),
            ("padding", format!("{token}==")),
            ("a claim twice", {
                let twice = claims("alice")
                    .to_string()
                    .replace("\"sub\":", "\"sub\":\"admin\",\"sub\":");
                format!(
                    "{}.{}.{signature}",
                    head.split('.').next().unwrap(),
                    encode(twice)
                )
            }),
            ("nothing between the dots", "eyJ..".to_owned()),
        ],
    );
}
