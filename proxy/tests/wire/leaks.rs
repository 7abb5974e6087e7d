//! What must not get out: secrets, and why somebody isn't let in.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::backend::{Backend, Then};
use crate::proxy::{ADMIN, Proxy, USER, corral_proxy, get, request, within};

const SOON: Duration = Duration::from_secs(5);
/// In each secret and private word of these tests.
const CANARY: &str = "canary7f3a";

fn basic(name: &str, password: &str) -> String {
    format!(
        "Authorization: Basic {}",
        STANDARD.encode(format!("{name}:{password}"))
    )
}

fn with(header: &str) -> String {
    format!("GET /api/tags HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n")
}

/// Good and bad requests of many kinds, each with the canary where something private can stand.
fn requests() -> Vec<(&'static str, String)> {
    let body = format!("{{\"model\":\"m\",\"prompt\":\"{CANARY}\"}}");
    let private = format!("/api/{CANARY}?key={CANARY}");
    vec![
        ("a question", request("POST", "/api/generate", USER, &body)),
        ("a query", get(&format!("/api/tags?key={CANARY}"))),
        ("no route", get(&private)),
        ("a Manage act", request("DELETE", "/api/delete", ADMIN, &body)),
        (
            "a Manage act refused",
            request("DELETE", "/api/delete", USER, &body),
        ),
        ("another method", get("/api/generate")),
        (
            "a wrong key",
            with(&format!("Authorization: Bearer {CANARY}-0123456789")),
        ),
        (
            "a key as token",
            with(&format!("X-Ollama-Token: {CANARY}-0123456789")),
        ),
        (
            "two keys",
            with(&format!("x-api-key: {CANARY}-1\r\nX-Ollama-Token: {CANARY}-2")),
        ),
        ("a wrong password", with(&basic("alice", CANARY))),
        ("a long password", with(&basic("alice", &CANARY.repeat(100)))),
        ("no user", with(&basic(CANARY, CANARY))),
        ("bad base64", with(&format!("Authorization: Basic {CANARY}!"))),
        (
            "another scheme",
            with(&format!("Authorization: Digest username={CANARY}")),
        ),
        (
            "a cookie",
            with(&format!("x-api-key: {USER}\r\nCookie: session={CANARY}")),
        ),
        (
            "a request id",
            with(&format!("x-api-key: {USER}\r\nX-Request-Id: \"{CANARY}\"")),
        ),
        (
            "a trace",
            with(&format!("x-api-key: {USER}\r\ntraceparent: {CANARY}")),
        ),
        (
            "a strange method",
            format!("{CANARY} /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n\r\n"),
        ),
        (
            "a Host",
            format!("GET /api/tags HTTP/1.1\r\nHost: {CANARY}@\r\nx-api-key: {USER}\r\n\r\n"),
        ),
        ("no HTTP", format!("GET / HTTP/1.1\r\n{CANARY} : a\r\n\r\n")),
        (
            "a broken upload",
            format!(
                "POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n"
            ),
        ),
    ]
}

/// Answers with the canary, in a stream that breaks.
fn talkative() -> Backend {
    Backend::answering(|exchange| {
        exchange.read_body()?;
        if exchange.is("POST /api/generate ") {
            exchange.begin_stream()?;
            exchange.chunk(&format!(
                "{{\"model\":\"{CANARY}!\",\"response\":\"{CANARY}\",\"done\":false}}\n"
            ))?;
            return Ok(Then::Close);
        }
        exchange.answer("200 OK", &format!("{{\"secret\":\"{CANARY}\"}}"))
    })
}

#[test]
fn row_85_no_secret_is_in_any_log_metric_or_status() {
    let backend = talkative();
    for format in ["json", "text"] {
        let proxy = Proxy::traced(
            &backend,
            &format!(
                "log: {{format: {format}, audit: true}}\naccess: [{{clients: [admin], allow: [Inference, Read, Manage]}}]\n"
            ),
        );
        let requests = requests();
        for (name, request) in &requests {
            let mut client = proxy.client();
            client.send(request);
            assert!(client.answer().is_some(), "{name}");
        }
        within(SOON, "a trace that is at work", || {
            proxy.output().contains("TRACE")
        });
        within(SOON, "each is logged", || {
            let output = proxy.output();
            output.matches("bytesSent").count() + output.matches(" sent=").count() >= requests.len()
        });
        let everything = [
            proxy.output(),
            proxy.admin("/metrics").body,
            proxy.admin("/status").body,
        ]
        .concat();
        for secret in [CANARY, USER, ADMIN, &STANDARD.encode(format!("alice:{CANARY}"))] {
            let line = everything.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{format}: {secret}");
        }
    }
}

#[test]
fn row_85_a_malformed_credential_file_is_not_repeated() {
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let keys = write("keys", &format!("user:{CANARY}\nuser:{CANARY} and more\n"));
    let users = write("users", &format!("alice:{CANARY}\nbob:$2y$99${CANARY}\n"));
    for arguments in [["--api-keys", &keys], ["--htpasswd", &users]] {
        let output = corral_proxy(&["check"]).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!output.status.success() && !said.contains(CANARY), "{said}");
    }
}

#[test]
fn row_86_the_same_401_for_every_cause() {
    let proxy = Proxy::start(&Backend::start());
    let wrong = "wrong-key-0123456789";
    let causes = [
        ("nothing", String::new()),
        ("a wrong key", format!("x-api-key: {wrong}\r\n")),
        ("a wrong token", format!("X-Ollama-Token: {wrong}\r\n")),
        ("a wrong Bearer", format!("Authorization: Bearer {wrong}\r\n")),
        ("no user", basic("nobody", "password") + "\r\n"),
        ("bad base64", "Authorization: Basic !\r\n".to_owned()),
        ("no token", "Authorization: Bearer\r\n".to_owned()),
        ("another scheme", "Authorization: Negotiate YQ==\r\n".to_owned()),
        (
            "two",
            format!("x-api-key: {USER}\r\nAuthorization: Bearer {wrong}\r\n"),
        ),
        ("twice", format!("x-api-key: {USER}\r\nx-api-key: {USER}\r\n")),
        ("an id", "X-Request-Id: one\r\n".to_owned()),
    ];
    let answers: Vec<_> = causes
        .iter()
        .map(|(name, headers)| {
            let answer = proxy.exchange(format!("GET /api/tags HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
            let head: Vec<_> = answer
                .head
                .lines()
                .filter(|line| !line.starts_with("date: "))
                .collect();
            (name, answer.status, head.join("\n"), answer.body)
        })
        .collect();
    let (_, status, head, body) = &answers[0];
    assert_eq!(*status, 401);
    for (name, _, other_head, other_body) in &answers {
        assert_eq!((other_head, other_body), (head, body), "{name}");
    }
}
