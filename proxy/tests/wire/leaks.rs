//! What must not get out: secrets, and why somebody isn't let in.

mod same_answer;

use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::backend::{Backend, Then};
use crate::proxy::{ADMIN, Proxy, SOON, USER, corral_proxy, get, request, within};
use crate::signature::Cli;
use crate::tls::{self, Pair};

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
fn requests(cli: &Cli) -> Vec<(&'static str, String)> {
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

/// A proxy with every means, in plain HTTP or in TLS, that says all it can.
struct Talker {
    proxy: Proxy,
    files: TempDir,
    cli: Cli,
    certificate: Option<Pair>,
}

impl Talker {
    fn start(format: &str, secure: bool) -> Self {
        let (files, cli) = (tempfile::tempdir().unwrap(), Cli::new(1));
        let certificate = secure.then(tls::pair);
        let path = |name: &str| files.path().join(name).display().to_string();
        let (users, keys, ollama_keys) = (path("users"), path("keys"), path("authorized_keys"));
        let mut arguments = vec![
            "--htpasswd",
            &users,
            "--api-keys",
            &keys,
            "--ollama-keys",
            &ollama_keys,
        ];
        let (chain, key) = (path("tls.crt"), path("tls.key"));
        if secure {
            arguments.extend(["--tls-cert", &chain, "--tls-key", &key]);
        }
        write_good(files.path(), &cli, certificate.as_ref());
        let config = format!(
            "log: {{format: {format}, audit: true}}\naccess: [{{clients: [admin], allow: [Inference, Read, Manage]}}]\n"
        );
        Self {
            proxy: Proxy::traced(&talkative(), &config, &arguments),
            files,
            cli,
            certificate,
        }
    }

    /// Sends a request and waits for the beginning of its answer.
    fn exchange(&self, request: &str) -> bool {
        let Some(pair) = &self.certificate else {
            let mut client = self.proxy.client();
            client.send(request);
            return client.answer().is_some();
        };
        let mut client = tls::connect(self.proxy.address, tls::trusting(&[pair]));
        client.get_mut().write_all(request.as_bytes()).unwrap();
        client.read_line(&mut String::new()).is_ok_and(|read| read > 0)
    }

    /// Everything in which a secret could stand.
    fn said(&self) -> String {
        let paths = ["/metrics", "/status", "/readyz", "/livez"];
        let admin = paths.map(|path| self.proxy.admin(path).body);
        self.proxy.output() + &admin.concat()
    }

    /// What nobody may ever see, as it is and in forms that a log could give it.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![
            token("alice", &password()),
            token("alice", CANARY),
            hex::encode(Sha256::digest(hashed_key())),
            STANDARD.encode(Sha256::digest(hashed_key())),
        ];
        for secret in [CANARY, USER, ADMIN] {
            let bytes = secret.as_bytes();
            secrets.extend([secret.to_owned(), hex::encode(bytes), listed(bytes)]);
        }
        let files = ["users", "tls.key"].map(|name| fs::read_to_string(self.files.path().join(name)));
        for line in files.iter().flatten().flat_map(|file| file.lines()) {
            let stored = line.strip_prefix("alice:").unwrap_or(line);
            secrets.extend((!stored.starts_with("-----")).then(|| stored.to_owned()));
        }
        secrets
    }

    #[track_caller]
    fn check(&self, what: &str) {
        let said = self.said();
        for secret in self.secrets() {
            let line = said.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "{what}: {secret}");
        }
    }
}

/// As `Debug` prints bytes.
fn listed(bytes: &[u8]) -> String {
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

fn write_good(directory: &Path, cli: &Cli, certificate: Option<&Pair>) {
    let write = |name: &str, content: &str| fs::write(directory.join(name), content).unwrap();
    let hash = bcrypt::hash_with_salt(password(), 4, [7; 16]).unwrap();
    write("users", &format!("alice:{hash}\n"));
    let digest = hex::encode(Sha256::digest(hashed_key()));
    write(
        "keys",
        &format!("user:{USER}\nadmin:{ADMIN}\ndesk:sha256:{digest}\n"),
    );
    write(
        "authorized_keys",
        &format!("ssh-ed25519 {} laptop\n", cli.public_key()),
    );
    if let Some(Pair { certificate, key }) = certificate {
        write("tls.crt", certificate);
        write("tls.key", key);
    }
}

#[test]
fn row_85_no_secret_is_in_any_log_metric_or_status() {
    for (format, secure) in [("json", false), ("text", false), ("json", true), ("text", true)] {
        let what = format!("{format}, TLS {secure}");
        let talker = Talker::start(format, secure);
        let requests = requests(&talker.cli);
        for (name, request) in &requests {
            assert!(talker.exchange(request), "{what}: {name}");
        }
        within(SOON, "a trace that is at work", || {
            talker.proxy.output().contains("TRACE")
        });
        within(SOON, "each is logged", || {
            let output = talker.proxy.output();
            output.matches("bytesSent").count() + output.matches(" sent=").count() >= requests.len()
        });
        let output = talker.proxy.output();
        for client in ["alice", "desk", "user", "laptop"] {
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
    let key = talker.certificate.as_ref().map(|pair| pair.key.clone()).unwrap();
    let broken = [
        ("users", format!("alice:{CANARY}\n")),
        ("keys", format!("user:{USER}\nuser:{CANARY} and more\n")),
        ("authorized_keys", format!("ssh-ed25519 {CANARY} laptop\n")),
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
    let keys = write("keys", &format!("user:{CANARY}\nuser:{CANARY} and more\n"));
    let users = write("users", &format!("alice:{CANARY}\nbob:$2y$99${CANARY}\n"));
    let ollama_keys = write("authorized_keys", &format!("ssh-ed25519 {CANARY} laptop\n"));
    for arguments in [
        ["--api-keys", &keys],
        ["--htpasswd", &users],
        ["--ollama-keys", &ollama_keys],
    ] {
        let output = corral_proxy(&["check"]).args(arguments).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!output.status.success() && !said.contains(CANARY), "{said}");
    }
}
