//! What must not get out: secrets, and why somebody isn't let in.

mod certificates;
mod same_answer;
mod talker;

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::process::corral_proxy;
use crate::proxy::{ADMIN, SOON, USER, get, request, within};
use crate::signature::Cli;
use crate::tls;
use talker::{Secured, Talker};

/// In each secret and private word of these tests.
const CANARY: &str = "canary7f3a";

fn token(name: &str, password: &str) -> String {
    STANDARD.encode(format!("{name}:{password}"))
}

fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}", token(name, password))
}

/// The password of the user `alice`.
fn password() -> String {
    format!("{CANARY}-password")
}

/// The key of the client `desk`, of which the file has the digest.
fn hashed_key() -> String {
    format!("{CANARY}-key-0123456789")
}

fn with(header: &str) -> String {
    format!("GET /api/tags HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n")
}

/// Good and bad requests of many kinds, each with the canary where something private can stand.
fn requests(talker: &Talker) -> Vec<(&'static str, String)> {
    let bearer = |token: &str| with(&format!("Authorization: Bearer {token}"));
    let tokens = talker.tokens.iter().map(|(name, token)| (*name, bearer(token)));
    let good = &talker.tokens[0].1;
    let others = ["x-api-key", "X-Ollama-Token"].map(|header| (header, with(&format!("{header}: {good}"))));
    let mut requests = without_tokens(&talker.cli);
    requests.extend(tokens.chain(others));
    requests
}

fn without_tokens(cli: &Cli) -> Vec<(&'static str, String)> {
    let body = format!("{{\"model\":\"m\",\"prompt\":\"{CANARY}\"}}");
    let private = format!("/api/{CANARY}?key={CANARY}");
    let signed = cli.request("GET", "/api/tags");
    vec![
        ("a user", with(&basic("alice", &password()))),
        ("a user again", with(&basic("alice", &password()))),
        (
            "a key that is stored as a digest",
            with(&format!("x-api-key: {}", hashed_key())),
        ),
        ("a Bearer", with(&format!("Authorization: Bearer {USER}"))),
        ("a token", with(&format!("X-Ollama-Token: {USER}"))),
        ("a signature", signed.clone()),
        ("another's signature", Cli::new(9).request("GET", "/api/tags")),
        (
            "a signature of something else",
            signed.replace("/api/tags", "/api/ps"),
        ),
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
            "a wrong key as token",
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
        (
            "a body that can't be judged",
            request(
                "POST",
                "/api/chat",
                USER,
                &format!("{{\"model\":\"{CANARY}\",\"model\":\"{CANARY}\"}}"),
            ),
        ),
    ]
}

#[test]
fn row_85_no_secret_is_in_any_log_metric_or_status() {
    for (format, secure) in [("json", false), ("text", false), ("json", true), ("text", true)] {
        let what = format!("{format}, TLS {secure}");
        let talker = Talker::start(format, secure);
        let requests = requests(&talker);
        for (name, request) in &requests {
            assert!(talker.exchange(request, None), "{what}: {name}");
        }
        let mut answered = requests.len();
        let certificates = talker.secured.iter().flat_map(Secured::certificates);
        for (name, certificate, is_answered) in certificates {
            answered += usize::from(is_answered);
            assert_eq!(
                talker.exchange(&with("Accept: */*"), Some(&certificate)),
                is_answered,
                "{what}: {name}"
            );
        }
        within(SOON, "a trace that is at work", || {
            talker.proxy.output().contains("TRACE")
        });
        within(SOON, "each is logged", || {
            let output = talker.proxy.output();
            output.matches("bytesSent").count() + output.matches(" sent=").count() >= answered
        });
        let output = talker.proxy.output();
        let badge = secure.then_some("badge");
        for client in ["alice", "desk", "user", "laptop", "robot", "relay"]
            .into_iter()
            .chain(badge)
        {
            assert!(output.contains(client), "{what}: {client} has come in");
        }
        talker.check(&what);
    }
}

/// Files that break while the proxy runs: what is said of them says nothing of what stands there. And when the process
/// itself comes to its worst end, it has no last words.
#[test]
fn row_85_what_breaks_is_not_repeated() {
    let mut talker = Talker::start("json", true);
    let secrets = talker.secrets();
    let key = talker.secured.as_ref().map(|tls| tls.own.key.clone()).unwrap();
    let broken = [
        ("users", format!("alice:{CANARY}\n")),
        ("keys", format!("user:{USER}\nuser:{CANARY} and more\n")),
        ("authorized_keys", format!("ssh-ed25519 {CANARY} laptop\n")),
        ("jwks.json", format!("{{\"keys\": [{{\"kty\": \"{CANARY}\"}}]}}")),
        ("secret", CANARY.to_owned()),
        (
            "ca.crt",
            format!("{key}-----BEGIN CERTIFICATE-----\n{CANARY}\n-----END CERTIFICATE-----\n"),
        ),
        ("tls.key", key.replace("-----END", &format!("{CANARY}-----END"))),
    ];
    for (name, content) in &broken {
        fs::write(talker.files.path().join(name), content).unwrap();
    }
    within(SOON, "each fault is told", || {
        let status = talker.proxy.status();
        let credentials = status["credentials"].as_array().unwrap();
        credentials.iter().all(|source| source["error"].is_string())
            && status["certificate"]["error"].is_string()
    });
    talker.check("broken files");
    talker.proxy.signal("ABRT");
    within(SOON, "the end", || talker.proxy.ended().is_some());
    let said = talker.proxy.output();
    for secret in secrets {
        assert!(!said.contains(&secret), "at the end: {secret}");
    }
}

#[test]
fn row_85_a_malformed_credential_file_is_not_repeated() {
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = files.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let check = |flag: &str, value: &str, fault: &str| {
        let output = corral_proxy(&["check", flag, value]).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            !output.status.success() && said.contains(fault) && !said.contains(CANARY),
            "{fault}: {said}"
        );
    };
    let keys = write("keys", &format!("user:{CANARY}\nuser:{CANARY} and more\n"));
    let users = write("users", &format!("alice:{CANARY}\nbob:$2y$99${CANARY}\n"));
    let ollama_keys = write("authorized_keys", &format!("ssh-ed25519 {CANARY} laptop\n"));
    check("--api-keys", &keys, "entry `keys`");
    check("--htpasswd", &users, "entry `users`");
    check("--ollama-keys", &ollama_keys, "entry `authorized_keys`");

    let set = write("jwks.json", &format!("{{\"keys\": [{{\"kty\": \"{CANARY}\"}}]}}"));
    let secret = write("secret", CANARY);
    let authorities = write("ca.crt", &format!("-----BEGIN CERTIFICATE-----\n{CANARY}\n"));
    let own = tls::pair();
    let (certificate, key) = (write("tls.crt", &own.certificate), write("tls.key", &own.key));
    let configurations = [
        (
            "jwks.json",
            format!("credentials: {{jwt: [{{issuer: a, audiences: [b], keys: {{path: {set}}}}}]}}\n"),
        ),
        (
            "secret",
            format!(
                "credentials: {{jwt: [{{issuer: a, audiences: [b], algorithms: [HS256], keys: {{path: {secret}}}}}]}}\n"
            ),
        ),
        (
            "ca.crt",
            format!(
                "credentials: {{clientCertificates: {{path: {authorities}}}}}\n\
                 tls: {{certFile: {certificate}, keyFile: {key}}}\n"
            ),
        ),
    ];
    for (entry, configuration) in configurations {
        let path = write("proxy.yaml", &configuration);
        check("--config", &path, &format!("entry `{entry}`"));
    }
}
