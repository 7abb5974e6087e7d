//! Whoever isn't let in doesn't learn why: the same bytes for every cause, in each API's shape.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::TempDir;

use super::{SOON, basic};
use crate::backend::{Backend, Then};
use crate::client::{Answer, Client};
use crate::proxy::{ADMIN, Proxy, USER, within};
use crate::signature::Cli;
use crate::tokens::issuer::{self, ISSUER, Issuer, claims, now, sign_with_secret, unsigned};

pub(super) const WRONG: &str = "wrong-key-0123456789";
/// A key that was in force and isn't any more.
const REVOKED: &str = "sk-gone-0123456789abcdef";

/// A path of each API, and how its errors begin.
pub(super) const SHAPES: [(&str, &str); 3] = [
    ("/api/chat", "{\"error\":\""),
    ("/v1/chat/completions", "{\"error\":{"),
    ("/v1/messages", "{\"error\":{"),
];

/// A proxy with every means, before a backend that doesn't answer POSTs until it is left.
struct Guarded {
    backend: Backend,
    proxy: Proxy,
    files: TempDir,
    cli: Cli,
    issuer: Issuer,
}

impl Guarded {
    fn start() -> Self {
        let backend = Backend::answering(|exchange| {
            if exchange.is("POST ") {
                exchange.read_body()?;
                exchange.is_left();
                return Ok(Then::Close);
            }
            exchange.answer_at_once()
        });
        let (files, cli, issuer) = (tempfile::tempdir().unwrap(), Cli::new(1), Issuer::new("one"));
        let path = |name: &str| files.path().join(name).display().to_string();
        fs::write(files.path().join("users"), users(&["alice", "bob"])).unwrap();
        fs::write(
            files.path().join("keys"),
            format!("user:{USER}\nadmin:{ADMIN}\ngone:{REVOKED}\n"),
        )
        .unwrap();
        let line = format!("ssh-ed25519 {} laptop\n", cli.public_key());
        fs::write(files.path().join("authorized_keys"), line).unwrap();
        fs::write(files.path().join("jwks.json"), issuer::set(&[&issuer])).unwrap();
        let config = format!(
            "  jwt: [{{issuer: {ISSUER}, audiences: [ollama], keys: {{path: {}}}}}]\n",
            path("jwks.json")
        );
        let arguments = [
            "--htpasswd",
            &path("users"),
            "--api-keys",
            &path("keys"),
            "--ollama-keys",
            &path("authorized_keys"),
        ];
        Self {
            proxy: Proxy::with_arguments(&backend, &config, &arguments),
            backend,
            files,
            cli,
            issuer,
        }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.files.path().join(name), content).unwrap();
    }

    /// What each cause sends. The request before the last of these is good, and is answered with 401 all the same,
    /// since its user is taken away while it waits.
    fn causes(&self, path: &str) -> Vec<(&'static str, String)> {
        let key = |value: &str| format!("x-api-key: {value}\r\n");
        let bearer = |value: &str| format!("Authorization: Bearer {value}\r\n");
        let headers = vec![
            ("nothing", String::new()),
            ("an unknown key", key(WRONG)),
            ("an unknown token", format!("X-Ollama-Token: {WRONG}\r\n")),
            ("an unknown Bearer", bearer(WRONG)),
            ("a revoked key", key(REVOKED)),
            ("half a key", key(&USER[..10])),
            ("a stored form as key", key("sha256:00")),
            ("a key too long", key(&"a".repeat(2000))),
            ("an unknown user", basic("nobody", "open") + "\r\n"),
            ("a wrong password", basic("alice", "wrong") + "\r\n"),
            ("a wrong password again", basic("alice", "wrong") + "\r\n"),
            ("another user's password", basic("alice", "open-bob") + "\r\n"),
            ("a password too long", basic("alice", &"a".repeat(600)) + "\r\n"),
            ("a user who is gone", basic("carol", "open-carol") + "\r\n"),
            ("an empty password", basic("alice", "") + "\r\n"),
            ("NUL in a password", basic("alice", "open-alice\0") + "\r\n"),
            ("bad base64", "Authorization: Basic !\r\n".to_owned()),
            ("no colon", "Authorization: Basic YWxpY2U=\r\n".to_owned()),
            ("no token", "Authorization: Bearer\r\n".to_owned()),
            ("another scheme", "Authorization: Negotiate YQ==\r\n".to_owned()),
            ("two that differ", key(USER) + &bearer(WRONG)),
            ("two clients", key(USER) + &bearer(ADMIN)),
            ("twice", key(USER) + &key(USER)),
            ("joined", bearer(&format!("{USER}, {USER}"))),
            ("an id", "X-Request-Id: one\r\n".to_owned()),
        ];
        let unsigned = headers
            .into_iter()
            .map(|(name, headers)| (name, ask(path, &headers)));
        unsigned
            .chain(self.signed(path))
            .chain(self.tokens(path))
            .collect()
    }

    fn tokens(&self, path: &str) -> Vec<(&'static str, String)> {
        let (issuer, claims) = (&self.issuer, claims("alice"));
        let says = |members| issuer.sign(&issuer.header(), &issuer::with(&claims, &members));
        let good = issuer.token("alice");
        let secret = issuer.jwk().to_string();
        let tokens = [
            ("a token that has ended", says(json!({"exp": now() - 3600}))),
            ("a token that has not begun", says(json!({"nbf": now() + 3600}))),
            ("a token for another audience", says(json!({"aud": "other"}))),
            (
                "a token of another issuer",
                says(json!({"iss": "https://other.example"})),
            ),
            ("a token that names nobody", says(json!({"sub": null}))),
            (
                "a token by another key of that name",
                Issuer::new("one").token("alice"),
            ),
            ("a token by an unknown key", Issuer::new("two").token("alice")),
            (
                "a token by the public key",
                sign_with_secret(secret.as_bytes(), &claims),
            ),
            ("a token by nobody", unsigned(&json!({"alg": "none"}), &claims)),
            ("half a token", good[..good.len() - 43].to_owned()),
            ("a token too long", says(json!({"more": "a".repeat(9000)}))),
        ];
        let headers = tokens.map(|(name, token)| (name, format!("Authorization: Bearer {token}\r\n")));
        let both = (
            "a token and a key",
            format!("Authorization: Bearer {good}\r\nx-api-key: {USER}\r\n"),
        );
        headers
            .into_iter()
            .chain([both])
            .map(|(name, headers)| (name, ask(path, &headers)))
            .collect()
    }

    fn signed(&self, path: &str) -> Vec<(&'static str, String)> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let at = |seconds: u64| format!("{path}?ts={seconds}");
        let ask =
            |target: &str, authorization: &str| ask(target, &format!("Authorization: {authorization}\r\n"));
        let (now, past) = (at(seconds), at(seconds - 3600));
        vec![
            ("an unknown signer", ask(&now, &Cli::new(2).sign("POST", &now))),
            (
                "a signature of something else",
                ask(&now, &self.cli.sign("GET", &now)),
            ),
            (
                "a signature that has expired",
                ask(&past, &self.cli.sign("POST", &past)),
            ),
            ("half a signature", ask(&now, &self.cli.sign("POST", &now)[..100])),
        ]
    }
}

/// Users whose passwords are `open-NAME`.
fn users(names: &[&str]) -> String {
    let lines = names.iter().map(|name| {
        let hash = bcrypt::hash_with_salt(format!("open-{name}"), 4, [7; 16]).unwrap();
        format!("{name}:{hash}\n")
    });
    lines.collect()
}

pub(super) fn ask(target: &str, headers: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: 2\r\n\r\n{{}}")
}

/// All of it but the time.
fn seen(answer: &Answer) -> (Vec<&str>, &str) {
    let lines = answer.head.lines().filter(|line| !line.starts_with("date: "));
    (lines.collect(), &answer.body)
}

#[test]
fn row_86_the_same_401_for_every_cause() {
    let guarded = Guarded::start();
    assert_eq!(status(&guarded.proxy, &format!("x-api-key: {REVOKED}\r\n")), 404);
    guarded.write("keys", &format!("user:{USER}\nadmin:{ADMIN}\n"));
    within(SOON, "a key is revoked", || {
        status(&guarded.proxy, &format!("x-api-key: {REVOKED}\r\n")) == 401
    });
    let good = format!("Authorization: Bearer {}\r\n", guarded.issuer.token("alice"));
    assert_eq!(status(&guarded.proxy, &good), 404, "a good token");
    let before = guarded.backend.lines().len();
    for (path, begins) in SHAPES {
        let expected = guarded.proxy.exchange(ask(path, ""));
        assert!(
            expected.status == 401 && expected.body.starts_with(begins),
            "{path}: {expected:?}"
        );
        for (name, request) in guarded.causes(path) {
            let answer = guarded.proxy.exchange(request);
            assert_eq!(seen(&answer), seen(&expected), "{path}: {name}");
        }
    }
    assert_eq!(guarded.backend.lines().len(), before, "none has arrived");
}

/// The causes that only come with time: a source that is broken, and a credential that goes while its request waits.
#[test]
fn row_86_the_same_401_when_credentials_change() {
    let guarded = Guarded::start();
    for (path, _) in SHAPES {
        let expected = guarded.proxy.exchange(ask(path, ""));
        let good = ask(path, &format!("{}\r\n", basic("alice", "open-alice")));
        let before = guarded.backend.lines().len();
        let mut waiting: Client = guarded.proxy.client();
        waiting.send(&good);
        within(SOON, "it has arrived", || guarded.backend.lines().len() > before);
        for (name, content) in [
            ("taken away", users(&["bob"])),
            ("another password", users(&["bob"]).replace("bob", "alice")),
            ("an empty file", String::new()),
            ("a malformed file", users(&["alice"]) + "bob\n"),
        ] {
            guarded.write("users", &content);
            if let Some(answer) = (name == "taken away").then(|| waiting.answer().unwrap()) {
                assert_eq!(seen(&answer).1, expected.body, "{path}: while it waits");
                assert_eq!(answer.status, 401, "{path}: while it waits");
            }
            within(SOON, name, || {
                status(&guarded.proxy, &format!("{}\r\n", basic("alice", "open-alice"))) == 401
            });
            let answer = guarded.proxy.exchange(&good);
            assert_eq!(seen(&answer), seen(&expected), "{path}: {name}");
        }
        guarded.write("users", &users(&["alice", "bob"]));
        within(SOON, "the good file", || {
            status(&guarded.proxy, &format!("{}\r\n", basic("alice", "open-alice"))) == 404
        });
    }
}

/// The status that these headers get from a route that there isn't: 401, or 404 once they are known. A request that is
/// forwarded could arrive after it was cut.
fn status(proxy: &Proxy, headers: &str) -> u16 {
    let request = format!("GET /nowhere HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
    proxy.exchange(request).status
}
