//! Pages in browsers: what they are told before they have a credential, and which answers they may see.

use crate::backend::Backend;
use crate::client::Answer;
use crate::proxy::{Proxy, SOON, USER, within};

const ALLOWED: &str =
    "network: {cors: {allowedOrigins: [\"https://app.example\", \"https://*.example.com\"]}}\n";

fn ask(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn preflight(origin: &str) -> String {
    let fields = format!(
        "Origin: {origin}\r\nAccess-Control-Request-Method: POST\r\n\
         Access-Control-Request-Headers: authorization,content-type\r\n"
    );
    ask("OPTIONS /api/chat", &fields)
}

fn allowed(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

#[test]
fn a_browser_is_told_without_a_credential_what_a_page_may() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, ALLOWED);
    for origin in ["https://app.example", "https://a.example.com"] {
        let answer = proxy.exchange(preflight(origin));
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(allowed(&answer), Some(origin));
        for (name, value) in [
            ("access-control-allow-methods", "POST"),
            ("access-control-allow-headers", "authorization, content-type"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{origin}");
        }
        assert!(answer.head.contains("\r\nvary: Origin\r\n"), "{}", answer.head);
        assert!(!answer.head.contains("allow-credentials"), "{}", answer.head);
    }
    let refused = proxy.exchange(preflight("https://evil.example"));
    assert_eq!((refused.status, allowed(&refused)), (401, None));
    assert_eq!(backend.lines().len(), 0, "Ollama is asked nothing");
    within(SOON, "a line in the log", || {
        proxy.output().contains("204 OPTIONS")
    });
}

#[test]
fn every_answer_can_be_seen_by_the_page_and_by_no_other() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, ALLOWED);
    let cases = [
        ("an answer", "GET /api/tags", USER, 200),
        ("no credential", "GET /api/tags", "wrong-key-0123456789", 401),
        ("not allowed", "DELETE /api/delete", USER, 403),
        ("no route", "GET /api/nothing", USER, 404),
        ("another method", "GET /api/chat", USER, 405),
    ];
    for (name, line, key, status) in cases {
        for (origin, named) in [
            ("Origin: https://app.example\r\n", Some("https://app.example")),
            ("Origin: https://evil.example\r\n", None),
            ("", None),
        ] {
            let answer = proxy.exchange(ask(line, &format!("{origin}x-api-key: {key}\r\n")));
            assert_eq!(
                (answer.status, allowed(&answer)),
                (status, named),
                "{name} {origin}"
            );
            let exposed = answer.header("access-control-expose-headers");
            assert_eq!(exposed, named.map(|_| "*"), "{name} {origin}");
        }
    }
    assert!(!backend.heads().concat().to_lowercase().contains("\r\norigin:"));
}

#[test]
fn without_configuration_browsers_let_no_page_call() {
    let proxy = Proxy::start(&Backend::start());
    let answer = proxy.exchange(preflight("https://app.example"));
    assert_eq!((answer.status, allowed(&answer)), (401, None));
    let request = ask(
        "GET /api/tags",
        &format!("Origin: https://app.example\r\nx-api-key: {USER}\r\n"),
    );
    let answer = proxy.exchange(request);
    assert_eq!((answer.status, allowed(&answer)), (200, None));
}

#[test]
fn every_page_may_call_only_where_that_is_spelled_out_and_the_address_still_counts() {
    let every = "network: {cors: {allowedOrigins: [\"*\"]}}\n";
    let proxy = Proxy::configured(&Backend::start(), every);
    let answer = proxy.exchange(preflight("https://anything.example"));
    assert_eq!((answer.status, allowed(&answer)), (204, Some("*")));
    assert!(!answer.head.contains("vary: Origin"), "{}", answer.head);
    let shut = "network: {allowedCIDRs: [192.0.2.0/24], cors: {allowedOrigins: [\"*\"]}}\n";
    let proxy = Proxy::configured(&Backend::start(), shut);
    assert_eq!(proxy.exchange(preflight("https://anything.example")).status, 403);
}
