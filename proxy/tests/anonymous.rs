//! Callers without any credential, where the configuration lets them in, by the real proxy with curl before it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Files, Ollama, Proxy, SOON, Stream, within};

const OPEN: &str = "credentials: {anonymous: {}}\n";
const CLOSED: &str = "credentials: {}\n";

/// A proxy that knows alice by her key, and the rest by this configuration.
fn proxy(files: &Files, ollama: &Ollama, config: &str) -> Proxy {
    let arguments = [
        "--config",
        &files.write("proxy.yaml", config),
        "--api-keys",
        &files.write("keys", "alice:sk-alice-0001\n"),
    ];
    Proxy::start(ollama, &arguments)
}

#[test]
fn callers_without_any_credential_come_in_and_wrong_ones_do_not() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = proxy(&files, &ollama, OPEN);
    let cases: &[(&str, &[&str], u16)] = &[
        ("none", &[], 200),
        ("a right one", &["-H", "x-api-key: sk-alice-0001"], 200),
        ("a wrong key", &["-H", "x-api-key: sk-alice-0002"], 401),
        ("an empty key", &["-H", "x-api-key;"], 401),
        ("an unknown user", &["-u", "alice:opensesame"], 401),
        ("an empty one", &["-H", "Authorization;"], 401),
        ("an unknown scheme", &["-H", "Authorization: Digest x"], 401),
        (
            "a right one beside a wrong one",
            &["-H", "x-api-key: sk-alice-0001", "-u", "a:b"],
            401,
        ),
    ];
    for (name, arguments, expected) in cases {
        assert_eq!(proxy.code(arguments), *expected, "{name}");
    }
    assert_eq!(ollama.requests().len(), 2, "{:?}", ollama.requests());
    let delete = ["-X", "DELETE", "--data", r#"{"model":"llama3"}"#];
    assert_eq!(
        proxy.curl("/api/delete", &delete).status,
        403,
        "a change of models"
    );
    within(SOON, "they have a name", || {
        proxy.output().contains("client=\"anonymous\" means=anonymous")
    });
    let said = proxy.output();
    assert_eq!(
        said.matches("callers without any credential are let in").count(),
        1,
        "{said}"
    );
    let clients = proxy.status()["clients"].clone();
    let anonymous = clients
        .as_array()
        .unwrap()
        .iter()
        .find(|client| client["name"] == "anonymous");
    let anonymous = anonymous.unwrap_or_else(|| panic!("{clients}"));
    assert!(
        anonymous["means"] == "anonymous" && anonymous["lastUsed"].is_string(),
        "{clients}"
    );
}

#[test]
fn rules_on_their_name_decide_what_they_may() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let config = "credentials: {anonymous: {client: guest}}\n\
        access: [{clients: [guest], allow: [Read]}, {clients: ['*'], allow: [Inference]}]\n";
    let proxy = proxy(&files, &ollama, config);
    let chat = |credentials: &[&str]| {
        let arguments = [credentials, &["--data", "{}"]].concat();
        proxy.curl("/api/chat", &arguments).status
    };
    assert_eq!(proxy.curl("/api/tags", &[]).status, 200);
    assert_eq!(chat(&[]), 403);
    assert_eq!(chat(&["-H", "x-api-key: sk-alice-0001"]), 200);
}

#[test]
fn they_are_refused_and_their_streams_cut_once_they_need_a_credential() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = proxy(&files, &ollama, OPEN);
    let (mut nobody, mut alice) = (
        Stream::with(&proxy, &[]),
        Stream::with(&proxy, &["-H", "x-api-key: sk-alice-0001"]),
    );
    within(SOON, "both are under way", || {
        nobody.lines() > 2 && alice.lines() > 2
    });
    files.write("proxy.yaml", CLOSED);
    within(SOON, "nobody's stream is cut", || nobody.ended().is_some());
    let lines = alice.lines();
    assert_eq!(proxy.code(&[]), 401);
    within(SOON, "alice's goes on", || alice.lines() > lines + 2);
    assert!(alice.ended().is_none());
}
