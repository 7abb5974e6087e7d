//! What Ollama sees of a client.

use crate::backend::Backend;
use crate::proxy::{Proxy, USER};

/// Headers that a client sends, and what may not be in what arrives.
type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

#[test]
fn no_credential_or_identity_of_the_client_arrives() {
    let cases: &[Case<'_>] = &[
        (
            "38: a credential called hop-by-hop",
            &["Connection: authorization, x-api-key"],
            &["authorization"],
        ),
        (
            "39: an identity called hop-by-hop",
            &["Connection: x-forwarded-for, x-real-ip, x-forwarded-host, host"],
            &[],
        ),
        (
            "40: underscores",
            &["X_Forwarded_For: 203.0.113.9", "x_api_key: a"],
            &["x_", "203.0.113.9"],
        ),
        (
            "41: a spoofed target",
            &["X-Forwarded-Uri: /api/delete", "X-Original-URL: /api/delete"],
            &["/api/delete"],
        ),
        ("42: a probe's name", &["User-Agent: kube-probe/1.33"], &[]),
        (
            "45: identities",
            &[
                "X-Forwarded-User: root",
                "Remote-User: root",
                "X-Auth-Request-Email: root",
                "Cookie: s=root",
                "Origin: http://root",
            ],
            &["root"],
        ),
        (
            "45: addresses",
            &[
                "X-Real-IP: 203.0.113.9",
                "Forwarded: for=203.0.113.9",
                "X-Forwarded-For: 203.0.113.9",
            ],
            &["203.0.113.9"],
        ),
        (
            "46: another credential",
            &["Proxy-Authorization: Basic YTpi"],
            &["proxy-authorization"],
        ),
        (
            "a trailer announced",
            &["Trailer: authorization", "TE: trailers"],
            &["trailer", "te:"],
        ),
        (
            "another method",
            &["X-HTTP-Method-Override: DELETE"],
            &["override"],
        ),
    ];
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (name, headers, forbidden) in cases {
        let headers = headers.join("\r\n");
        let answer = proxy.exchange(format!(
            "POST /api/chat HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {USER}\r\n{headers}\r\nContent-Length: 2\r\n\r\n{{}}"
        ));
        assert_eq!(answer.status, 200, "{name}");
        let head = backend.heads().pop().unwrap();
        for part in forbidden.iter().chain(&["authorization", USER, "\r\nconnection"]) {
            assert!(!head.contains(part), "{name}: {part} in {head}");
        }
        let port = backend.address.port();
        for line in [
            &format!("\r\nhost: localhost:{port}\r\n"),
            "\r\nx-real-ip: 127.0.0.1\r\n",
            "\r\nx-forwarded-for: 127.0.0.1\r\n",
            "\r\nx-forwarded-proto: http\r\n",
            "\r\nx-forwarded-host: evil.example\r\n",
            "\r\ncontent-length: 2\r\n",
        ] {
            assert_eq!(head.matches(line).count(), 1, "{name}: {line:?} in {head}");
        }
    }
}

#[test]
fn any_means_of_sending_a_key_is_stripped() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let basic = "Authorization: Basic dXNlcjpzay11c2VyLTAxMjM0NTY3ODlhYmNkZWY=";
    let cases = [
        (format!("Authorization: Bearer {USER}"), 200),
        (format!("X-Ollama-Token: {USER}"), 200),
        (format!("x-api-key: {USER}"), 200),
        (basic.to_owned(), 401),
    ];
    let mut arrived = 0;
    for (header, status) in cases {
        let answer = proxy.exchange(format!("GET /api/tags HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
        assert_eq!(answer.status, status, "{header}");
        arrived += usize::from(status == 200);
        assert_eq!(backend.heads().len(), arrived, "{header}");
        assert!(!backend.heads().concat().contains("sk-user"), "{header}");
    }
}
