//! What named clients may do, and what log, status and metrics tell of them (scenario S9).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use support::{Files, Ollama, Proxy, SOON, within};

/// A user with the password `opensesame`.
const ALICE: &str = "alice:$2y$04$Dyx3//5aVUao30GBuLZ5AeUmpeCgB/PFV0n1L2PU0mUn7WYSTSeyy";

/// Configuration with a rule that lets `admin` change models, and a log in JSON.
fn configuration(files: &Files) -> String {
    let users = files.write("users", ALICE);
    let keys = files.write("keys", "admin:sk-admin-0001\nunused:sk-unused-001\n");
    files.write(
        "proxy.yaml",
        &format!(
            "credentials: {{basic: {{path: {users}}}, apiKeys: {{path: {keys}}}}}\n\
             access: [{{clients: [admin], allow: [Inference, Read, Manage]}}]\n\
             log: {{format: json}}\n"
        ),
    )
}

#[test]
fn s9_a_client_may_use_models_and_change_them_only_by_a_rule() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = Proxy::start(&ollama, &["--config", &configuration(&files)]);
    let alice: &[&str] = &["-u", "alice:opensesame"];
    let admin: &[&str] = &["-H", "Authorization: Bearer sk-admin-0001"];
    let cases = [
        (alice, "/api/tags", "GET", 200),
        (alice, "/api/embed", "POST", 200),
        (alice, "/api/pull", "POST", 403),
        (alice, "/api/create", "POST", 403),
        (alice, "/api/push", "POST", 403),
        (alice, "/api/copy", "POST", 403),
        (alice, "/api/delete", "DELETE", 403),
        (admin, "/api/pull", "POST", 200),
        (admin, "/api/delete", "DELETE", 200),
        (&[], "/api/pull", "POST", 401),
    ];
    for (who, path, method, expected) in cases {
        let reached = ollama.requests().len();
        let data: &[&str] = if method == "GET" { &[] } else { &["--data", "{}"] };
        let answer = proxy.curl(path, &[who, &["-X", method], data].concat());
        assert_eq!(
            answer.status, expected,
            "{method} {path} {who:?}: {}",
            answer.body
        );
        let forwarded = ollama.requests().len() - reached;
        assert_eq!(forwarded, usize::from(expected == 200), "{method} {path} {who:?}");
    }
}

#[test]
fn s9_log_status_and_metrics_tell_who_came_and_no_secret() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = Proxy::start(&ollama, &["--config", &configuration(&files)]);
    assert_eq!(proxy.code(&["-u", "alice:opensesame"]), 200);
    assert_eq!(proxy.code_of_key("sk-admin-0001"), 200);
    assert_eq!(proxy.code_of_key("sk-guessed-01"), 401);
    let lines = || -> Vec<Value> {
        let output = proxy.output();
        let lines = output
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter(|line| line["route"].is_string() || line["status"].is_number())
            .collect()
    };
    within(SOON, "three lines of the access log", || lines().len() == 3);
    let told: Vec<_> = lines()
        .iter()
        .map(|line| (line["client"].clone(), line["status"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("alice".into(), 200.into()),
            ("admin".into(), 200.into()),
            (Value::Null, 401.into())
        ]
    );

    let status = proxy.status();
    let used: Vec<_> = status["clients"]
        .as_array()
        .unwrap()
        .iter()
        .map(|client| (client["name"].as_str().unwrap(), client["lastUsed"].is_string()))
        .collect();
    assert_eq!(used, [("admin", true), ("alice", true), ("unused", false)]);
    let metrics = proxy.admin("/metrics");
    let last_used = |client: &str| -> f64 {
        let line = metrics
            .lines()
            .find(|line| line.contains("last_used") && line.contains(&format!("\"{client}\"")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{client} in {metrics}"))
    };
    assert!(
        last_used("alice") > 1e9 && last_used("admin") > 1e9 && last_used("unused") == 0.0,
        "{metrics}"
    );

    let said = [proxy.output(), status.to_string(), metrics].concat();
    for secret in [
        "opensesame",
        "YWxpY2U6",
        "sk-admin",
        "sk-unused",
        "sk-guessed",
        "$2y$",
    ] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}
