//! Keys that issuers publish.

use std::fs;
use std::path::Path;
use std::time::Instant;

use rcgen::{ExtendedKeyUsagePurpose, SanType};
use serde_json::{Value, json};

use super::issuer::{ISSUER, Issuer, claims, set, with};
use super::provider::Provider;
use super::{SOON, bearer, code};
use crate::backend::Backend;
use crate::client_certificates::{Authority, Certified, authority};
use crate::proxy::{Proxy, within};

/// A proxy that trusts these issuers, each with its configuration.
fn start(backend: &Backend, issuers: &[String]) -> Proxy {
    let proxy = Proxy::start(backend);
    let issuers: Vec<_> = issuers
        .iter()
        .map(|issuer| format!("{{audiences: [ollama], {issuer}}}"))
        .collect();
    let config = format!("credentials: {{jwt: [{}]}}\n", issuers.join(", "));
    fs::write(proxy.path("proxy.yaml"), config).unwrap();
    within(SOON, "the issuers are in force", || {
        !proxy.status()["issuers"].is_null()
    });
    proxy
}

fn status_of(proxy: &Proxy, issuer: &str) -> Value {
    let issuers = proxy.status()["issuers"].clone();
    let found = issuers
        .as_array()
        .unwrap()
        .iter()
        .find(|status| status["issuer"] == issuer);
    found.unwrap_or_else(|| panic!("{issuer} in {issuers}")).clone()
}

#[test]
fn s5_keys_are_found_by_the_issuers_own_document() {
    let (idp, backend, provider) = (Issuer::new("one"), Backend::start(), Provider::start());
    let issuer = provider.url("/realm");
    let document = json!({"issuer": issuer, "jwks_uri": provider.url("/keys"), "token_endpoint": "x"});
    provider.publish("/realm/.well-known/openid-configuration", &document.to_string());
    provider.publish("/keys", &set(&[&idp]));
    let proxy = start(&backend, &[format!("issuer: \"{issuer}\"")]);
    let token = idp.sign(&idp.header(), &with(&claims("alice"), &json!({"iss": issuer})));
    within(SOON, "the keys are fetched", || code(&proxy, &token) == 200);
    let status = status_of(&proxy, &issuer);
    assert_eq!(status["keys"], json!([{"name": "one", "type": "P-256"}]));
    assert!(
        status["refreshedAt"].is_string() && status["error"].is_null(),
        "{status}"
    );
    // The configuration may be read a second time while they are being fetched, which is begun anew then.
    let asked = provider.asked("/keys");
    assert!(asked <= 2, "and not for each token: {asked} times");
}

#[test]
fn row_68_keys_that_are_replaced_and_a_flood_of_unknown_ids() {
    let (old, new, provider) = (Issuer::new("old"), Issuer::new("new"), Provider::start());
    let backend = Backend::generating();
    provider.publish("/keys", &set(&[&old]));
    // One when the proxy starts, one when it may again, and then one in five seconds.
    let beginning = Instant::now();
    let most = || 2 + beginning.elapsed().as_secs() as usize / 5;
    let proxy = start(
        &backend,
        &[format!(
            "issuer: \"{ISSUER}\", jwksURI: \"{}\"",
            provider.url("/keys")
        )],
    );
    within(SOON, "the keys are fetched", || {
        code(&proxy, &old.token("alice")) == 200
    });
    let mut stream = proxy.client();
    stream.send(bearer("POST", "/api/generate", &old.token("alice")));
    assert_eq!(stream.head().unwrap().status, 200);

    provider.publish("/keys", &set(&[&new]));
    let flood = |count: usize| {
        for number in 0..count {
            let header = with(&old.header(), &json!({"kid": number.to_string()}));
            assert_eq!(code(&proxy, &old.sign(&header, &claims("admin"))), 401);
        }
    };
    flood(100);
    assert!(
        provider.asked("/keys") <= most(),
        "{} fetches so soon",
        provider.asked("/keys")
    );
    within(SOON, "a token by the new key has the keys fetched", || {
        code(&proxy, &new.token("bob")) == 200
    });
    flood(100);
    assert!(
        provider.asked("/keys") <= most(),
        "{} fetches",
        provider.asked("/keys")
    );
    while let Some(chunk) = stream.chunk() {
        assert!(!chunk.is_empty(), "the stream of the old key came to its end");
    }
    assert_eq!(code(&proxy, &old.token("alice")), 401);

    provider.go_down();
    within(SOON, "the outage is noticed", || {
        flood(1);
        status_of(&proxy, ISSUER)["error"].is_string()
    });
    assert_eq!(code(&proxy, &new.token("bob")), 200, "the last good keys count");
    assert_eq!(
        code(&proxy, &new.token("carol")),
        200,
        "for tokens that are new as well"
    );
}

#[test]
fn what_an_issuer_publishes_is_taken_or_refused() {
    let (idp, backend, provider) = (Issuer::new("one"), Backend::start(), Provider::start());
    let location = provider.url("/good");
    provider.publish("/good", &set(&[&idp]));
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: {location}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    provider.answer("/redirect", &redirect);
    provider.publish(
        "/large",
        &format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300_000)),
    );
    provider.publish("/html", "<html>");
    provider.publish(
        "/secret",
        &json!({"keys": [{"kty": "oct", "k": "A".repeat(43)}]}).to_string(),
    );
    provider.publish("/empty", r#"{"keys": []}"#);
    let document = |issuer: &str, keys: &str| json!({"issuer": issuer, "jwks_uri": keys}).to_string();
    let (other, file) = (provider.url("/other"), provider.url("/file"));
    provider.publish(
        "/other/.well-known/openid-configuration",
        &document("https://evil.example", &location),
    );
    provider.publish(
        "/file/.well-known/openid-configuration",
        &document(&file, "file:///etc/passwd"),
    );
    let cases = [
        ("/redirect", "answers 302"),
        ("/large", "length limit exceeded"),
        ("/html", "not a JWK or JWK set: wrong in line 1"),
        ("/secret", "a secret that is published"),
        ("/empty", "no key of a set"),
        ("/gone", "no answer from"),
    ];
    let mut issuers: Vec<_> = cases
        .iter()
        .map(|(path, _)| format!("issuer: \"{path}\", jwksURI: \"{}\"", provider.url(path)))
        .collect();
    issuers.extend([&other, &file].map(|issuer| format!("issuer: \"{issuer}\"")));
    let proxy = start(&backend, &issuers);
    let found = [
        (other.as_str(), "the document of another issuer"),
        (file.as_str(), "names no `jwks_uri`"),
    ];
    for (issuer, expected) in cases.into_iter().chain(found) {
        within(SOON, expected, || {
            status_of(&proxy, issuer)["error"].to_string().contains(expected)
        });
        assert_eq!(status_of(&proxy, issuer)["keys"], json!([]), "{issuer}");
        let token = idp.sign(&idp.header(), &with(&claims("admin"), &json!({"iss": issuer})));
        assert_eq!(code(&proxy, &token), 401, "{issuer}");
    }
    assert_eq!(provider.asked("/good"), 0, "a redirect was followed");
}

/// What an issuer's address shows that is called `localhost`.
fn of_server(issuer: &Authority) -> Certified {
    issuer.certify_with("idp", |parameters| {
        parameters.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    })
}

/// In place of what stands there, as an editor does it.
fn replace(path: &Path, content: &str) {
    fs::write(path.with_extension("new"), content).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

#[test]
fn s5_keys_of_an_issuer_that_ones_own_authority_has_certified() {
    let (own, other) = (authority("own"), authority("other"));
    let (idp, backend) = (Issuer::new("one"), Backend::generating());
    let provider = Provider::start_https(&of_server(&own));
    let issuer = provider.url("/realm");
    let document = json!({"issuer": issuer, "jwks_uri": provider.url("/keys")});
    provider.publish("/realm/.well-known/openid-configuration", &document.to_string());
    provider.publish("/keys", &set(&[&idp]));
    let files = tempfile::tempdir().unwrap();
    let bundle = files.path().join("ca.crt");
    fs::write(&bundle, &own.pem).unwrap();
    let by_own = format!("issuer: \"{issuer}\", ca: {{path: {}}}", bundle.display());
    let by_mozilla = format!("issuer: direct, jwksURI: \"{}\"", provider.url("/keys"));
    let proxy = start(&backend, &[by_own, by_mozilla]);
    let token_of = |issuer: &str| idp.sign(&idp.header(), &with(&claims("alice"), &json!({"iss": issuer})));
    let token = token_of(&issuer);
    let says =
        |issuer: &str, expected: &str| status_of(&proxy, issuer)["error"].to_string().contains(expected);
    within(SOON, "the keys are fetched", || code(&proxy, &token) == 200);
    within(SOON, "nobody else trusts that authority", || {
        says("direct", "invalid peer certificate")
    });
    assert_eq!(code(&proxy, &token_of("direct")), 401);

    let mut stream = proxy.client();
    stream.send(bearer("POST", "/api/generate", &token));
    assert_eq!(stream.head().unwrap().status, 200);
    replace(&bundle, &[own.pem.as_str(), &other.pem].concat());
    let asked = provider.asked("/keys");
    within(SOON, "it is asked by the new ones", || {
        provider.asked("/keys") > asked
    });
    for _ in 0..100 {
        assert!(stream.chunk().is_some(), "a stream that may go on is cut");
    }
    let cases = [
        (
            "another authority",
            other.pem.as_str(),
            "invalid peer certificate",
        ),
        ("none", "x", "isn't asked while it can't be read"),
    ];
    for (name, content, expected) in cases {
        replace(&bundle, content);
        within(SOON, name, || says(&issuer, expected));
        assert_eq!(code(&proxy, &token), 401, "{name}");
        replace(&bundle, &own.pem);
        within(SOON, "mended", || code(&proxy, &token) == 200);
    }
    while let Some(chunk) = stream.chunk() {
        assert!(
            !chunk.is_empty(),
            "the stream came to its end though nobody trusted the issuer"
        );
    }
    let source = || proxy.status()["credentials"][0].clone();
    assert_eq!(
        (&source()["issuer"], &source()["error"]),
        (&json!(issuer), &json!(null))
    );
    replace(&bundle, "x");
    within(SOON, "the file is named", || {
        source()["error"].to_string().contains("no certificate")
    });
}
