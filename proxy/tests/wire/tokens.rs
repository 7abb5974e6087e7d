//! JSON Web Tokens (scenario S5).

mod attack;
mod groups;
pub(crate) mod issuer;
mod provider;
mod published;

use std::fs;

use serde_json::json;

use crate::backend::Backend;
use crate::client::Answer;
use crate::proxy::{Proxy, SOON, USER, get, request, within};
use issuer::{ISSUER, Issuer, claims, now, set, with};

/// A proxy that trusts an issuer by the set in its file `jwks.json`, beside its API keys.
fn start(backend: &Backend, issuer: &Issuer) -> Proxy {
    let proxy = Proxy::start(backend);
    fs::write(proxy.path("jwks.json"), set(&[issuer])).unwrap();
    configure(&proxy, "");
    within(SOON, "the issuer is in force", || {
        code(&proxy, &issuer.token("alice")) == 200
    });
    proxy
}

/// Trusts the issuer with more of its configuration.
fn configure(proxy: &Proxy, more: &str) {
    configure_with_access(
        proxy,
        more,
        "{clients: [admin], allow: [Inference, Read, Manage]}",
    );
}

/// The same under other access rules.
fn configure_with_access(proxy: &Proxy, more: &str, access: &str) {
    let [keys, jwks] = ["keys", "jwks.json"].map(|name| proxy.path(name).display().to_string());
    let config = format!(
        "credentials:\n  apiKeys: {{path: {keys}}}\n  jwt:\n  - issuer: {ISSUER}\n    audiences: [ollama]\n    \
         keys: {{path: {jwks}}}\n    {more}\naccess: [{access}]\n"
    );
    fs::write(proxy.path("proxy.yaml"), config).unwrap();
}

fn bearer(method: &str, path: &str, token: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: ollama\r\nAuthorization: Bearer {token}\r\n\r\n")
}

fn ask(proxy: &Proxy, token: &str) -> Answer {
    proxy.exchange(bearer("GET", "/api/tags", token))
}

fn code(proxy: &Proxy, token: &str) -> u16 {
    ask(proxy, token).status
}

#[test]
fn s5_a_token_lets_its_bearer_in_under_its_own_name() {
    let (idp, backend) = (Issuer::new("one"), Backend::start());
    let proxy = start(&backend, &idp);
    let (alice, admin) = (idp.token("alice"), idp.token("admin"));
    let header = |name: &str| format!("GET /api/tags HTTP/1.1\r\nHost: ollama\r\n{name}: {alice}\r\n\r\n");
    let cases = [
        ("as Bearer", bearer("GET", "/api/tags", &alice), 200),
        ("as Anthropic's libraries send keys", header("x-api-key"), 200),
        ("as Ollama's token", header("X-Ollama-Token"), 200),
        ("an API key beside tokens", get("/api/tags"), 200),
        (
            "what the client may not",
            bearer("POST", "/api/pull", &alice),
            403,
        ),
        ("what another may", bearer("POST", "/api/pull", &admin), 200),
        (
            "a token and a key",
            format!(
                "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {alice}\r\nx-api-key: {USER}\r\n\r\n"
            ),
            401,
        ),
    ];
    for (name, request, status) in cases {
        assert_eq!(proxy.exchange(request).status, status, "{name}");
    }
    let status = proxy.status();
    let clients = status["clients"].to_string();
    assert!(
        clients.contains(r#""means":"jwt""#) && clients.contains("alice"),
        "{clients}"
    );
    assert_eq!(
        status["issuers"],
        json!([{"issuer": ISSUER, "keys": [{"name": "one", "type": "P-256"}]}])
    );
    let said = [
        proxy.output(),
        status.to_string(),
        proxy.admin("/metrics").body,
        backend.heads().concat(),
    ]
    .concat();
    assert!(!said.contains(&alice[..20]), "a token has got out");
}

#[test]
fn s5_keys_are_replaced_without_a_restart() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let backend = Backend::generating();
    let mut proxy = start(&backend, &old);
    let mut stream = proxy.client();
    stream.send(bearer("POST", "/api/generate", &old.token("alice")));
    assert_eq!(stream.head().unwrap().status, 200);

    fs::write(proxy.path("jwks.json"), set(&[&old, &new])).unwrap();
    within(SOON, "the new key counts beside the old one", || {
        code(&proxy, &new.token("bob")) == 200
    });
    assert_eq!(code(&proxy, &old.token("alice")), 200);
    assert!(
        stream.chunk().is_some_and(|chunk| !chunk.is_empty()),
        "the stream goes on"
    );

    fs::write(proxy.path("jwks.json"), set(&[&new])).unwrap();
    while let Some(chunk) = stream.chunk() {
        assert!(!chunk.is_empty(), "the stream came to its end");
    }
    assert_eq!(
        [code(&proxy, &old.token("alice")), code(&proxy, &new.token("bob"))],
        [401, 200]
    );

    fs::write(proxy.path("jwks.json"), "{\"keys\": [{}]}").unwrap();
    within(SOON, "keys with a fault let nobody in", || {
        code(&proxy, &new.token("bob")) == 401
    });
    let source = proxy.status()["credentials"][1].clone();
    assert_eq!(
        (&source["means"], &source["issuer"]),
        (&json!("jwt"), &json!(ISSUER))
    );
    assert!(
        source["error"]
            .to_string()
            .contains("key 1: `kty` must be the key's type"),
        "{source}"
    );
    assert_eq!(
        proxy.exchange(get("/api/tags")).status,
        200,
        "the API keys still count"
    );
    assert!(proxy.ended().is_none());
}

/// A stream that began by a good token outlives it; the next request doesn't.
#[test]
fn a_token_that_ends_ends_no_stream() {
    let (idp, backend) = (Issuer::new("one"), Backend::generating());
    let proxy = start(&backend, &idp);
    configure(&proxy, "leewaySeconds: 0");
    let ended = with(&claims("alice"), &json!({"exp": now() - 1}));
    let ended = idp.sign(&idp.header(), &ended);
    within(SOON, "there is no leeway any more", || {
        code(&proxy, &ended) == 401
    });
    let sign = || idp.sign(&idp.header(), &with(&claims("alice"), &json!({"exp": now() + 2})));
    // On a busy machine one may end before it has come in.
    let (mut stream, short) = std::iter::repeat_with(|| {
        let (mut stream, short) = (proxy.client(), sign());
        stream.send(bearer("POST", "/api/generate", &short));
        let status = stream.head().unwrap().status;
        (status == 200).then_some((stream, short))
    })
    .flatten()
    .next()
    .unwrap();
    within(SOON, "the token has ended", || code(&proxy, &short) == 401);
    assert!(
        stream.chunk().is_some_and(|chunk| !chunk.is_empty()),
        "the stream goes on"
    );
}

/// What is remembered of a token is no more than the token was worth.
#[test]
fn a_token_that_was_let_in_is_judged_by_what_is_in_force() {
    let (idp, backend) = (Issuer::new("one"), Backend::start());
    let proxy = start(&backend, &idp);
    let token = idp.token("alice");
    assert_eq!([code(&proxy, &token), code(&proxy, &token)], [200, 200]);
    for more in ["algorithms: [ES384]", "clientClaim: azp"] {
        configure(&proxy, more);
        within(SOON, more, || code(&proxy, &token) == 401);
        configure(&proxy, "");
        within(SOON, "as before", || code(&proxy, &token) == 200);
    }
    let body = request("POST", "/api/generate", &token, r#"{"model":"m"}"#);
    assert_eq!(proxy.exchange(body).status, 200);
}
