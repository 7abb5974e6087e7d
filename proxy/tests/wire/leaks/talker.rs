//! A proxy that says all that it can, and what it must not say.

use std::fs;
use std::io::{BufRead, Write};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::DnType;
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{CANARY, hashed_key, password, token};
use crate::backend::{Backend, Then};
use crate::client_certificates::{self, Authority, Certified, authority};
use crate::proxy::{ADMIN, Proxy, USER};
use crate::signature::Cli;
use crate::tls::{self, Pair};
use crate::tokens::issuer::{self, ISSUER, Issuer, claims, now, sign_with_secret, with};

/// Who signs tokens by a secret that the proxy has too.
const GATEWAY: &str = "gateway";

/// That secret.
fn shared_secret() -> String {
    format!("{CANARY}-secret-").repeat(4)
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

/// What a proxy and its clients show one another in TLS.
pub(super) struct Secured {
    pub(super) own: Pair,
    authority: Authority,
}

impl Secured {
    fn new() -> Self {
        Self {
            own: tls::pair(),
            authority: authority("badges"),
        }
    }

    /// A certificate of `badge` that says more of its owner, and those that let nobody in.
    pub(super) fn certificates(&self) -> [(&'static str, Certified, bool); 3] {
        let badge = self.authority.certify_with("badge", |parameters| {
            let name = &mut parameters.distinguished_name;
            name.push(DnType::OrganizationName, CANARY);
        });
        let nameless = self.authority.certify_with("", |parameters| {
            let name = &mut parameters.distinguished_name;
            name.remove(DnType::CommonName);
            name.push(DnType::OrganizationName, CANARY);
        });
        [
            ("a certificate", badge, true),
            ("one without a name", nameless, true),
            ("another authority's", authority(CANARY).certify(CANARY), false),
        ]
    }
}

/// A proxy with every means, in plain HTTP or in TLS, that says all it can.
pub(super) struct Talker {
    pub(super) proxy: Proxy,
    pub(super) files: TempDir,
    pub(super) cli: Cli,
    /// With what each is.
    pub(super) tokens: Vec<(&'static str, String)>,
    pub(super) secured: Option<Secured>,
}

impl Talker {
    pub(super) fn start(format: &str, secure: bool) -> Self {
        let (files, cli, idp) = (tempfile::tempdir().unwrap(), Cli::new(1), Issuer::new("one"));
        let secured = secure.then(Secured::new);
        let path = |name: &str| files.path().join(name).display().to_string();
        let source = |name: &str| format!("{{path: {}}}", path(name));
        write_good(files.path(), &cli, &idp, secured.as_ref());
        let (certificates, tls) = if secure {
            let (chain, key) = (path("tls.crt"), path("tls.key"));
            (
                format!("  clientCertificates: {}\n", source("ca.crt")),
                format!("tls: {{certFile: {chain}, keyFile: {key}}}\n"),
            )
        } else {
            Default::default()
        };
        let config = format!(
            "  basic: {}\n  ollamaKeys: {}\n  jwt:\n  \
             - {{issuer: {ISSUER}, audiences: [ollama], keys: {}}}\n  \
             - {{issuer: {GATEWAY}, audiences: [ollama], algorithms: [HS256], keys: {}}}\n\
             {certificates}{tls}\
             log: {{format: {format}, audit: true}}\n\
             access: [{{clients: [admin], allow: [Inference, Read, Manage]}}]\n",
            source("users"),
            source("authorized_keys"),
            source("jwks.json"),
            source("secret"),
        );
        Self {
            proxy: Proxy::traced(&talkative(), &config, &["--api-keys", &path("keys")]),
            files,
            cli,
            tokens: tokens(&idp),
            secured,
        }
    }

    /// Sends a request on a connection that shows this certificate, or none, and waits for the beginning of its answer.
    pub(super) fn exchange(&self, request: &str, shows: Option<&Certified>) -> bool {
        let Some(Secured { own, .. }) = &self.secured else {
            let mut client = self.proxy.client();
            client.send(request);
            return client.answer().is_some();
        };
        let mut client = tls::connect(self.proxy.address, client_certificates::showing(own, shows));
        // A handshake that is refused may end the connection before.
        let _ = client.get_mut().write_all(request.as_bytes());
        client.read_line(&mut String::new()).is_ok_and(|read| read > 0)
    }

    /// Everything in which a secret could stand.
    pub(super) fn said(&self) -> String {
        let paths = ["/metrics", "/status", "/readyz", "/livez"];
        let admin = paths.map(|path| self.proxy.admin(path).body);
        self.proxy.output() + &admin.concat()
    }

    /// What nobody may ever see, as it is and in forms that a log could give it.
    pub(super) fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![
            token("alice", &password()),
            token("alice", CANARY),
            hex::encode(Sha256::digest(hashed_key())),
            STANDARD.encode(Sha256::digest(hashed_key())),
        ];
        let parts = self.tokens.iter().flat_map(|(_, token)| token.split('.').skip(1));
        secrets.extend(parts.map(str::to_owned));
        for secret in [CANARY, USER, ADMIN, &shared_secret()] {
            let bytes = secret.as_bytes();
            secrets.extend([
                secret.to_owned(),
                STANDARD.encode(bytes),
                hex::encode(bytes),
                listed(bytes),
            ]);
        }
        let files = ["users", "tls.key"].map(|name| fs::read_to_string(self.files.path().join(name)));
        for line in files.iter().flatten().flat_map(|file| file.lines()) {
            let stored = line.strip_prefix("alice:").unwrap_or(line);
            secrets.extend((!stored.starts_with("-----")).then(|| stored.to_owned()));
        }
        secrets
    }

    #[track_caller]
    pub(super) fn check(&self, what: &str) {
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

/// Tokens that let `robot` and `proxy` in, and others.
fn tokens(idp: &Issuer) -> Vec<(&'static str, String)> {
    let says = |members| with(&claims("robot"), &members);
    let signed = |members| idp.sign(&idp.header(), &says(members));
    let good = signed(json!({"private": CANARY}));
    let half = good[..good.len() - 20].to_owned();
    let shared = says(json!({"iss": GATEWAY, "sub": "relay", "private": CANARY}));
    let elsewhere = with(&idp.header(), &json!({"kid": CANARY}));
    vec![
        ("a good token", good),
        (
            "a token by a secret",
            sign_with_secret(shared_secret().as_bytes(), &shared),
        ),
        ("half a token", half),
        ("a token that has ended", signed(json!({"exp": now() - 3600}))),
        ("a token for others", signed(json!({"aud": CANARY}))),
        ("a token of another issuer", signed(json!({"iss": CANARY}))),
        (
            "a token by another key of that name",
            Issuer::new("one").token(CANARY),
        ),
        ("a token by an unknown key", idp.sign(&elsewhere, &claims(CANARY))),
        (
            "a token by another secret",
            sign_with_secret(CANARY.as_bytes(), &shared),
        ),
    ]
}

fn write_good(directory: &Path, cli: &Cli, idp: &Issuer, secured: Option<&Secured>) {
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
    write("jwks.json", &issuer::set(&[idp]));
    write("secret", &shared_secret());
    if let Some(Secured { own, authority }) = secured {
        write("tls.crt", &own.certificate);
        write("tls.key", &own.key);
        write("ca.crt", &authority.pem);
    }
}
