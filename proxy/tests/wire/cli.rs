//! The command line: exit codes and what is said.

use std::fs;
use std::process::Output;

use crate::process::corral_proxy;
use crate::tls;

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line of an error.
#[track_caller]
fn error_line(output: &Output) -> String {
    let errors = text(&output.stderr);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.starts_with("corral-proxy: "), "{errors}");
    errors.trim_end().to_owned()
}

#[test]
fn a_bad_flag_or_file_at_start_is_exit_code_2_and_one_clear_line() {
    let files = Files::new();
    let keys = files.write("keys", "alice:sk-alice-0123456789\n");
    let short = files.write("short", "alice:sk-alice-0123456789\nbob:\n");
    let users = files.write("users", "alice:plaintext\n");
    let config = files.write("config", "listen: 127.0.0.1:0\nacess: []\n");
    let closed = files.write("closed", "listen: 127.0.0.1:0\n");
    let (made, another) = (tls::pair(), tls::pair());
    let certificate = files.write("tls.crt", &made.certificate);
    let other = files.write("other.key", &another.key);
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "no credentials",
            &[],
            &["credentials", "none are configured", "--htpasswd", "--api-keys"],
        ),
        (
            "no credentials in the file",
            &["--config", &closed],
            &["closed", "credentials"],
        ),
        ("an unknown flag", &["--open"], &["--open"]),
        (
            "a bad address",
            &["--api-keys", &keys, "--listen", "here"],
            &["--listen", "here"],
        ),
        (
            "a bad upstream",
            &["--api-keys", &keys, "--upstream", "127.0.0.1:11434"],
            &["--upstream", "http://HOST:PORT"],
        ),
        (
            "an upstream with a path",
            &["--api-keys", &keys, "--upstream", "http://a/b"],
            &["without a path"],
        ),
        (
            "zero threads",
            &["--api-keys", &keys, "--threads", "0"],
            &["--threads"],
        ),
        (
            "a bad network",
            &["--api-keys", &keys, "--allow-cidr", "ten"],
            &["--allow-cidr", "10.0.0.0/8"],
        ),
        (
            "a missing configuration",
            &["--config", "/nonexistent"],
            &["/nonexistent"],
        ),
        (
            "a malformed configuration",
            &["--config", &config],
            &["config", "acess", "line 2"],
        ),
        ("missing keys", &["--api-keys", "/nonexistent"], &["/nonexistent"]),
        ("malformed keys", &["--api-keys", &short], &["short", "line 2"]),
        (
            "a certificate without its key",
            &["--api-keys", &keys, "--tls-cert", &keys],
            &["tls.keyFile", "--tls-key"],
        ),
        (
            "a missing certificate",
            &[
                "--api-keys",
                &keys,
                "--tls-cert",
                "/nonexistent",
                "--tls-key",
                &keys,
            ],
            &["/nonexistent"],
        ),
        (
            "no certificate in the file",
            &["--api-keys", &keys, "--tls-cert", &keys, "--tls-key", &keys],
            &["keys: has no certificate", "-----BEGIN CERTIFICATE-----"],
        ),
        (
            "another's key",
            &[
                "--api-keys",
                &keys,
                "--tls-cert",
                &certificate,
                "--tls-key",
                &other,
            ],
            &["other.key: is not the key of the certificate"],
        ),
        ("malformed users", &["--htpasswd", &users], &["users", "line 1"]),
    ];
    for (name, arguments, parts) in cases {
        let output = corral_proxy(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}: {output:?}");
        let line = error_line(&output);
        for part in *parts {
            assert!(line.contains(part), "{name}: {part} in {line}");
        }
        assert!(!line.contains("sk-alice"), "{name}: {line}");
    }
}

#[test]
fn check_explains_and_finds_faults() {
    let files = Files::new();
    let keys = files.write("keys", "alice:sk-alice-0123456789\nbob:sk-bob-0123456789\n");
    let broken = files.write("broken", "alice:sk-alice-0123456789\n\nbob:\n");
    let secret = files.write("secret", &"s".repeat(32));
    let issuers = format!(
        "jwt: [{{issuer: gateway, audiences: [ollama], algorithms: [HS256], keys: {{path: {secret}}}}}, \
         {{issuer: 'https://idp.example', audiences: [ollama]}}], kubernetes: {{audiences: [ollama, llm]}}"
    );
    let config = |keys: &str| {
        files.write(
            "proxy.yaml",
            &format!(
                "credentials: {{apiKeys: {{path: {keys}}}, {issuers}}}\naccess: [{{clients: [alice], groups: ['team-*'], allow: [Manage], models: [user/*], allowedCIDRs: [10.1.0.0/16], \
                 notAfter: 2030-01-01T00:00:00Z}}]\n\
                 network: {{allowedCIDRs: [10.0.0.0/8]}}\nmodels: [{{name: gemma3, keepLoaded: true}}]\n"
            ),
        )
    };
    let output = corral_proxy(&["check", "--config", &config(&keys)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let explained = text(&output.stdout);
    for part in [
        "127.0.0.1:8880",
        "apiKeys: 2 clients",
        "jwt: tokens of gateway, by keys in a file",
        "jwt: tokens of https://idp.example, by keys from https://idp.example/.well-known/openid-configuration",
        "kubernetes: service account tokens for ollama or llm, by the word of the API server of its own cluster",
        "alice, group team-*: Manage; models user/*; from 10.1.0.0/16; until 2030-01-01T00:00:00Z",
        "everyone else: Inference, Read",
        "10.0.0.0/8",
        "gemma3, kept loaded",
    ] {
        assert!(explained.contains(part), "{part} in {explained}");
    }
    let output = corral_proxy(&["check", "--config", &config(&broken)])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let line = error_line(&output);
    assert!(line.contains("line 3") && line.contains("broken"), "{line}");
}

#[test]
fn an_address_that_is_taken_is_a_failure() {
    let files = Files::new();
    let keys = files.write("keys", "alice:sk-alice-0123456789\n");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = corral_proxy(&["--api-keys", &keys, "--listen", &address])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains(&address), "{output:?}");
}

#[test]
fn each_flag_is_also_an_environment_variable() {
    let cases = [
        ("CORRAL_CONFIG", "/nonexistent", "/nonexistent"),
        ("CORRAL_LISTEN", "here", "--listen"),
        ("CORRAL_UPSTREAM", "here", "--upstream"),
        ("CORRAL_HTPASSWD", "/nonexistent", "/nonexistent"),
        ("CORRAL_API_KEYS", "/nonexistent", "/nonexistent"),
        ("CORRAL_OLLAMA_KEYS", "/nonexistent", "/nonexistent"),
        (
            "CORRAL_CLIENT_CA",
            "/nonexistent",
            "credentials.clientCertificates",
        ),
        ("CORRAL_TLS_CERT", "/nonexistent", "tls.keyFile"),
        ("CORRAL_TLS_KEY", "/nonexistent", "tls.certFile"),
        ("CORRAL_ADMIN_LISTEN", "here", "--admin-listen"),
        ("CORRAL_THREADS", "no", "--threads"),
        ("CORRAL_ALLOW_CIDR", "no", "--allow-cidr"),
    ];
    for (name, value, said) in cases {
        let output = corral_proxy(&[]).env(name, value).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(error_line(&output).contains(said), "{name}: {output:?}");
    }
}
