//! Requests that are signed as the stock `ollama` CLI signs them (scenario S14).

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::backend::Backend;
use crate::client::Answer;
use crate::proxy::{Proxy, SOON, USER, within};

/// A CLI with a key of its own.
pub(crate) struct Cli(Ed25519KeyPair);

impl Cli {
    pub(crate) fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    pub(crate) fn public_key(&self) -> String {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend(self.0.public_key().as_ref());
        STANDARD.encode(blob)
    }

    /// `KEY:SIGNATURE` over `METHOD,PATH?QUERY`.
    pub(crate) fn sign(&self, method: &str, target: &str) -> String {
        let signature = self.0.sign(format!("{method},{target}").as_bytes());
        format!("{}:{}", self.public_key(), STANDARD.encode(signature))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> String {
        let target = format!("{path}?ts={}", now());
        request(method, &target, &self.sign(method, &target))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn request(method: &str, target: &str, authorization: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\nAuthorization: {authorization}\r\n\r\n")
}

/// The answer; to HEAD its head.
fn exchange(proxy: &Proxy, request: &str) -> Answer {
    if !request.starts_with("HEAD ") {
        return proxy.exchange(request);
    }
    let mut client = proxy.client();
    client.send(request);
    client.head().unwrap()
}

/// A proxy that knows one CLI as `alice`, and is given that file's path.
fn start(backend: &Backend, alice: &Cli) -> Proxy {
    let proxy = Proxy::start(backend);
    let line = format!("ssh-ed25519 {} alice\n", alice.public_key());
    fs::write(proxy.path("authorized_keys"), line).unwrap();
    let [keys, authorized_keys] = ["keys", "authorized_keys"].map(|name| proxy.path(name));
    let config = format!(
        "credentials: {{apiKeys: {{path: {}}}, ollamaKeys: {{path: {}}}}}\n",
        keys.display(),
        authorized_keys.display()
    );
    fs::write(proxy.path("proxy.yaml"), config).unwrap();
    within(SOON, "the key is in force", || {
        proxy.exchange(alice.request("GET", "/api/tags")).status == 200
    });
    proxy
}

#[test]
fn s14_what_a_known_cli_signs_is_let_in_and_nothing_else() {
    let (alice, mallory) = (Cli::new(1), Cli::new(2));
    let backend = Backend::start();
    let proxy = start(&backend, &alice);
    let seconds = now();
    let [target, past, future] =
        [seconds, seconds - 60, seconds + 60].map(|seconds| format!("/api/tags?ts={seconds}"));
    let signed = |method: &str, target: &str| request(method, target, &alice.sign(method, target));
    let good = alice.sign("GET", &target);
    let cases = [
        ("HEAD / comes first", alice.request("HEAD", "/"), 200),
        ("a list", signed("GET", &target), 200),
        ("what the client may not", alice.request("POST", "/api/pull"), 403),
        ("no route", alice.request("GET", "/api/none"), 404),
        ("an unknown key", mallory.request("GET", "/api/tags"), 401),
        ("too old", signed("GET", &past), 401),
        ("from the future", signed("GET", &future), 401),
        ("another method", request("POST", &target, &good), 401),
        (
            "another path",
            request("GET", &target.replace("tags", "ps"), &good),
            401,
        ),
        (
            "an escaped path",
            request("GET", &target.replace("tags", "%74ags"), &good),
            401,
        ),
        (
            "another host's path",
            request("GET", &format!("http://a{target}"), &alice.sign("GET", &target)),
            400,
        ),
        ("more in the query", signed("GET", &format!("{target}&a=b")), 401),
        (
            "unsigned query",
            request("GET", &format!("{target}&a=b"), &good),
            401,
        ),
        ("no query", signed("GET", "/api/tags"), 401),
        (
            "another's signature",
            request(
                "GET",
                &target,
                &format!(
                    "{}:{}",
                    alice.public_key(),
                    mallory.sign("GET", &target).split(':').nth(1).unwrap()
                ),
            ),
            401,
        ),
        (
            "as a token",
            request("GET", &target, &format!("Bearer {good}")),
            401,
        ),
        (
            "beside a key",
            request("GET", &target, &format!("{good}\r\nx-api-key: {USER}")),
            401,
        ),
    ];
    let before = backend.lines().len();
    let mut arrived = 0;
    let mut refusals: Vec<(&str, Answer)> = Vec::new();
    for (name, request, status) in cases {
        let answer = exchange(&proxy, &request);
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        arrived += usize::from(status == 200);
        assert_eq!(backend.lines().len(), before + arrived, "{name}");
        if status == 401 {
            refusals.push((name, answer));
        }
    }
    for (name, answer) in &refusals {
        assert_eq!(answer.body, refusals[0].1.body, "{name}");
    }
    assert!(
        !backend.heads().concat().contains(&alice.public_key()),
        "a key has reached Ollama"
    );
}

#[test]
fn s14_a_key_that_is_taken_away_cuts_its_streams() {
    let (alice, bob) = (Cli::new(1), Cli::new(2));
    let backend = Backend::generating();
    let proxy = start(&backend, &alice);
    let mut client = proxy.client();
    client.send(alice.request("POST", "/api/generate"));
    assert_eq!(client.head().unwrap().status, 200);
    let line = format!("ssh-ed25519 {} alice\n", bob.public_key());
    fs::write(proxy.path("authorized_keys"), line).unwrap();
    while let Some(chunk) = client.chunk() {
        assert!(!chunk.is_empty(), "the stream came to its end");
    }
    assert_eq!(proxy.exchange(alice.request("GET", "/api/tags")).status, 401);
    assert_eq!(proxy.exchange(bob.request("GET", "/api/tags")).status, 200);
    let clients = proxy.status()["clients"].to_string();
    assert!(
        clients.contains("ollamaKeys") && clients.contains("alice"),
        "{clients}"
    );
}
