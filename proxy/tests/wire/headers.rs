//! What Ollama sees of a client, and which headers say who that is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::backend::Backend;
use crate::proxy::{ADMIN, Proxy, USER, get};

/// A name, headers that a client sends, and what may not be in what arrives.
type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str]);

/// Sends each case with a good credential: it is answered, it arrives, and with it nothing but what the proxy itself
/// says of the client.
#[track_caller]
fn check(cases: &[Case<'_>]) {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (count, (name, headers, forbidden)) in (1..).zip(cases) {
        let headers = headers.join("\r\n");
        let answer = proxy.exchange(format!(
            "POST /api/chat HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer {USER}\r\n{headers}\r\nContent-Length: 2\r\n\r\n{{}}"
        ));
        assert_eq!(answer.status, 200, "{name}");
        let heads = backend.heads();
        assert_eq!(heads.len(), count, "{name}");
        let head = &heads[count - 1];
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

/// Sends a GET with these headers and no others, and says the status. Refused, it doesn't arrive.
#[track_caller]
fn status(proxy: &Proxy, backend: &Backend, headers: &str) -> u16 {
    let before = backend.lines().len();
    let answer = proxy.exchange(format!("GET /api/tags HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n"));
    let arrived = backend.lines().len() - before;
    assert_eq!(arrived, usize::from(answer.status == 200), "{headers}");
    answer.status
}

/// Checks the status that each case's headers get, and that a good request gets through afterwards.
#[track_caller]
fn check_statuses(cases: &[(&str, String, u16)]) {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (name, headers, expected) in cases {
        assert_eq!(status(&proxy, &backend, headers), *expected, "{name}");
        assert_eq!(
            proxy.exchange(get("/api/tags")).status,
            200,
            "{name}: the next request"
        );
    }
}

#[test]
fn row_38_a_credential_that_is_called_hop_by_hop() {
    check(&[
        ("the credential", &["Connection: authorization, x-api-key"], &[]),
        ("with close", &["Connection: close, Authorization"], &[]),
        (
            "in two lines",
            &["Connection: keep-alive", "Connection: authorization"],
            &[],
        ),
        (
            "the framing",
            &["Connection: content-length, content-type"],
            &["content-type"],
        ),
    ]);
    check_statuses(&[(
        "a credential that isn't there",
        "Connection: authorization".to_owned(),
        401,
    )]);
}

#[test]
fn row_39_an_identity_that_is_called_hop_by_hop() {
    check(&[
        (
            "all of them",
            &["Connection: x-forwarded-for, x-real-ip, x-forwarded-host, x-forwarded-proto, host"],
            &[],
        ),
        (
            "with a claim",
            &["Connection: x-forwarded-for", "X-Forwarded-For: 203.0.113.9"],
            &["203.0.113.9"],
        ),
        ("an id", &["Connection: x-request-id"], &[]),
    ]);
}

#[test]
fn row_40_underscores_for_hyphens() {
    check(&[(
        "identities",
        &[
            "X_Forwarded_For: 203.0.113.9",
            "X_Real_IP: 203.0.113.9",
            "x_api_key: a",
            "Remote_User: root",
        ],
        &["x_", "203.0.113.9", "root"],
    )]);
    check_statuses(&[
        ("a key", format!("x_api_key: {USER}"), 401),
        ("a token", format!("X_Ollama_Token: {USER}"), 401),
        ("a dot", format!("x.api.key: {USER}"), 401),
    ]);
}

#[test]
fn row_41_a_spoofed_target() {
    check(&[(
        "each header that routers know",
        &[
            "X-Forwarded-Uri: /api/delete",
            "X-Original-URL: /api/delete",
            "X-Original-URI: /api/delete",
            "X-Rewrite-URL: /api/delete",
            "X-Forwarded-Prefix: /api/delete",
            "X-Forwarded-Method: DELETE",
            "X-Original-Method: DELETE",
        ],
        &["/api/delete", "delete"],
    )]);
    check_statuses(&[
        ("an open path", "X-Forwarded-Uri: /livez".to_owned(), 401),
        ("another method", "X-Forwarded-Method: OPTIONS".to_owned(), 401),
    ]);
}

/// No name of a client opens anything.
#[test]
fn row_42_the_name_of_a_health_check() {
    let names = [
        "kube-probe/1.33",
        "GoogleHC/1.0",
        "ELB-HealthChecker/2.0",
        "Prometheus/3.0",
        "curl/8",
    ];
    let cases = names.map(|name| (name, format!("User-Agent: {name}"), 401));
    check_statuses(&cases);
    check(&[("with a credential", &["User-Agent: kube-probe/1.33"], &[])]);
}

#[test]
fn row_43_two_credentials() {
    let (user, admin, wrong) = (
        format!("Authorization: Bearer {USER}"),
        format!("Authorization: Bearer {ADMIN}"),
        "Authorization: Bearer wrong-key-0123456789",
    );
    let basic = format!("Authorization: Basic {}", STANDARD.encode("user:opensesame"));
    check_statuses(&[
        ("good and bad", format!("{user}\r\n{wrong}"), 401),
        ("bad and good", format!("{wrong}\r\n{user}"), 401),
        ("two clients", format!("{user}\r\n{admin}"), 401),
        ("the same header twice", format!("{user}\r\n{user}"), 401),
        ("Basic and a key", format!("{basic}\r\n{user}"), 401),
        ("a key and Basic", format!("{user}\r\n{basic}"), 401),
        (
            "Basic beside x-api-key",
            format!("{basic}\r\nx-api-key: {USER}"),
            401,
        ),
        (
            "another client's beside it",
            format!("{user}\r\nx-api-key: {ADMIN}"),
            401,
        ),
        ("a bad one beside it", format!("{user}\r\nx-api-key: x"), 401),
        (
            "an empty one beside it",
            format!("{user}\r\nX-Ollama-Token:"),
            401,
        ),
        (
            "twice in x-api-key",
            format!("x-api-key: {USER}\r\nx-api-key: {USER}"),
            401,
        ),
        // SDKs that know both ways send one key in both.
        (
            "one key in two headers",
            format!("{user}\r\nx-api-key: {USER}"),
            200,
        ),
    ]);
}

#[test]
fn row_44_spellings_of_a_credential() {
    let authorization = |value: &str| format!("Authorization: {value}");
    check_statuses(&[
        (
            "joined by a comma",
            authorization(&format!("Bearer {USER},Bearer {USER}")),
            401,
        ),
        (
            "joined by comma and space",
            authorization(&format!("Bearer {USER}, Bearer {USER}")),
            401,
        ),
        ("joined in x-api-key", format!("x-api-key: {USER}, {ADMIN}"), 401),
        (
            "a tab for the space",
            authorization(&format!("Bearer\t{USER}")),
            401,
        ),
        (
            "a tab beside the space",
            authorization(&format!("Bearer \t{USER}")),
            401,
        ),
        ("no scheme", authorization(USER), 401),
        ("no token", authorization("Bearer"), 401),
        ("an empty token", authorization("Bearer "), 401),
        ("an empty header", authorization(""), 401),
        ("another scheme", authorization(&format!("Token {USER}")), 401),
        ("quoted", authorization(&format!("Bearer \"{USER}\"")), 401),
        (
            "in capitals",
            authorization(&format!("Bearer {}", USER.to_uppercase())),
            401,
        ),
        (
            "escaped",
            authorization(&format!("Bearer {}", USER.replace('-', "%2d"))),
            401,
        ),
        (
            "its beginning",
            authorization(&format!("Bearer {}", &USER[..USER.len() - 1])),
            401,
        ),
        ("more behind it", authorization(&format!("Bearer {USER}0")), 401),
        ("the client's name", authorization("Bearer user"), 401),
        (
            "its line in the file",
            authorization(&format!("Bearer user:{USER}")),
            401,
        ),
        // A scheme has no case, and any number of spaces may follow it (RFC 9110, section 11.4).
        (
            "a scheme in any case",
            authorization(&format!("bEARER {USER}")),
            200,
        ),
        ("several spaces", authorization(&format!("Bearer   {USER}")), 200),
        (
            "space around it",
            authorization(&format!("Bearer {USER} \t")),
            200,
        ),
    ]);
}

#[test]
fn row_45_identities_that_a_client_claims() {
    check(&[
        (
            "names",
            &[
                "X-Forwarded-User: root",
                "X-Forwarded-Email: root",
                "X-Forwarded-Groups: root",
                "X-Forwarded-Preferred-Username: root",
                "Remote-User: root",
                "X-Remote-User: root",
                "X-Auth-Request-Email: root",
                "X-WebAuth-User: root",
                "X-User: root",
                "From: root",
                "Cookie: s=root",
                "Origin: http://root",
                "Referer: http://root",
            ],
            &["root"],
        ),
        (
            "addresses",
            &[
                "X-Real-IP: 203.0.113.9",
                "Forwarded: for=203.0.113.9",
                "X-Forwarded-For: 203.0.113.9",
                "X-Forwarded-For: 203.0.113.9",
                "X-Client-IP: 203.0.113.9",
                "True-Client-IP: 203.0.113.9",
                "CF-Connecting-IP: 203.0.113.9",
                "X-Envoy-External-Address: 203.0.113.9",
            ],
            &["203.0.113.9"],
        ),
        (
            "a certificate",
            &[
                "X-Forwarded-Client-Cert: Hash=root",
                "SSL-Client-Cert: root",
                "X-SSL-Client-S-DN: root",
            ],
            &["root"],
        ),
    ]);
}

#[test]
fn row_46_no_credential_is_forwarded() {
    check(&[
        (
            "for a proxy",
            &["Proxy-Authorization: Basic YTpi"],
            &["proxy-authorization", "YTpi"],
        ),
        ("cookies", &["Cookie: session=secret"], &["secret"]),
        (
            "those of other services",
            &[
                "X-Auth-Token: secret",
                "api-key: secret",
                "x-goog-api-key: secret",
            ],
            &["secret"],
        ),
        (
            "announced as a trailer",
            &["Trailer: authorization", "TE: trailers"],
            &["trailer", "te:"],
        ),
    ]);
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for header in ["Authorization: Bearer", "X-Ollama-Token:", "x-api-key:"] {
        assert_eq!(
            status(&proxy, &backend, &format!("{header} {USER}")),
            200,
            "{header}"
        );
    }
    let arrived = backend.heads().concat();
    assert!(!arrived.contains(USER), "{arrived}");
}

/// Ollama answers foreign names with 403. What the client asked for is told apart from it.
#[test]
fn row_47_the_host_that_ollama_sees() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for host in ["evil.example", "localhost", "127.0.0.1:1", "[::1]"] {
        let answer = proxy.exchange(format!(
            "GET /api/tags HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: other.example\r\nX-Host: other.example\r\nx-api-key: {USER}\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{host}");
        let head = backend.heads().pop().unwrap();
        for line in [
            format!("\r\nhost: localhost:{}\r\n", backend.address.port()),
            format!("\r\nx-forwarded-host: {host}\r\n"),
        ] {
            assert_eq!(head.matches(&line).count(), 1, "{host}: {line:?} in {head}");
        }
        assert!(!head.contains("other.example"), "{host}: {head}");
    }
}
