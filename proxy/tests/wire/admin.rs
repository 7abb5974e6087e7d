//! The admin port and the access log: all that an operator needs, and nothing secret.

use serde_json::Value;

use crate::backend::Backend;
use crate::proxy::{ADMIN, Proxy, SOON, USER, get, request, within};

#[test]
fn each_path_says_its_part() {
    let proxy = Proxy::start(&Backend::start());
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let cases = [
        ("/livez", 200, "text/plain; charset=utf-8"),
        ("/readyz", 200, "text/plain; charset=utf-8"),
        ("/status", 200, "application/json"),
        (
            "/metrics",
            200,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
        ("/", 404, "text/plain; charset=utf-8"),
        ("/api/tags", 404, "text/plain; charset=utf-8"),
    ];
    for (path, status, content_type) in cases {
        let answer = proxy.admin(path);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, Some(content_type)),
            "{path}"
        );
    }
}

#[test]
fn a_proxy_whose_upstream_is_away_is_not_ready() {
    let mut backend = Backend::start();
    backend.address = "127.0.0.1:1".parse().unwrap();
    let proxy = Proxy::start(&backend);
    let answer = proxy.admin("/readyz");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (503, "the upstream doesn't answer\n")
    );
    assert_eq!(proxy.status()["ready"], false);
    assert_eq!(proxy.admin("/livez").status, 200);
}

#[test]
fn s9_requests_are_counted_and_clients_seen() {
    let proxy = Proxy::start(&Backend::start());
    let before = proxy.status();
    assert_eq!(
        proxy.exchange(request("POST", "/api/chat", USER, "{}")).status,
        200
    );
    assert_eq!(
        proxy.exchange("GET /api/tags HTTP/1.1\r\nHost: a\r\n\r\n").status,
        401
    );
    assert_eq!(
        proxy.exchange(request("DELETE", "/api/delete", USER, "")).status,
        403
    );
    let expected = [
        r#"corral_proxy_requests_total{client="user",route="/api/chat",class="Inference",code="200"} 1"#,
        r#"corral_proxy_requests_total{client="",route="",class="",code="401"} 1"#,
        r#"corral_proxy_requests_total{client="user",route="/api/delete",class="Manage",code="403"} 1"#,
        r#"corral_proxy_outcomes_total{outcome="refused",reason="missing"} 1"#,
        r#"corral_proxy_outcomes_total{outcome="refused",reason="forbidden"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="POST",http_route="/api/chat",http_response_status_code="200"} 1"#,
        r#"http_server_request_duration_seconds_count{http_request_method="GET",http_route="",http_response_status_code="401"} 1"#,
        r#"corral_proxy_time_to_first_byte_seconds_count{class="Inference"} 1"#,
        r#"corral_proxy_clients{means="apiKeys"} 2"#,
        r#"corral_proxy_client_last_used_timestamp_seconds{client="admin",means="apiKeys"} 0"#,
        "http_server_active_requests 0",
        "corral_proxy_passwords_waiting 0",
        "corral_proxy_access_log_lines_dropped_total 0",
        "# EOF",
    ];
    within(SOON, "all is counted", || {
        let metrics = proxy.admin("/metrics").body;
        expected
            .iter()
            .all(|line| metrics.lines().any(|found| found == *line))
    });
    let last_used = |status: &Value, client: &str| {
        let clients = status["clients"].as_array().unwrap();
        clients.iter().find(|found| found["name"] == client).unwrap()["lastUsed"].clone()
    };
    let after = proxy.status();
    assert_eq!(last_used(&before, "user"), Value::Null);
    assert!(last_used(&after, "user").is_string());
    assert_eq!(last_used(&after, "admin"), Value::Null, "an unused client shows");
}

#[test]
fn s9_each_request_is_a_line_of_the_access_log() {
    let proxy = Proxy::configured(&Backend::start(), "log: {format: json}\n");
    let secret = "canary-secret-0123456789";
    assert_eq!(
        proxy.exchange(request("POST", "/api/chat", USER, "{}")).status,
        200
    );
    let wrong = format!(
        "GET /api/{secret}?key={secret} HTTP/1.1\r\nHost: {secret}\r\nAuthorization: Bearer {secret}\r\n\r\n"
    );
    assert_eq!(proxy.exchange(wrong).status, 401);
    assert_eq!(
        proxy.exchange(get(&format!("/api/tags?key={secret}"))).status,
        200
    );
    assert_eq!(proxy.exchange(get(&format!("/api/{secret}"))).status, 404);
    let lines = || -> Vec<Value> {
        let output = proxy.output();
        output
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["method"].is_string())
            .collect()
    };
    within(SOON, "four lines", || lines().len() == 4);
    let fields = [
        "client",
        "means",
        "address",
        "method",
        "route",
        "class",
        "status",
        "outcome",
        "reason",
        "bytesReceived",
        "bytesSent",
    ];
    let seen: Vec<String> = lines()
        .iter()
        .map(|line| fields.map(|field| line[field].to_string()).join(" "))
        .collect();
    assert_eq!(
        seen,
        [
            r#""user" "apiKeys" "127.0.0.1" "POST" "/api/chat" "Inference" 200 "complete" null 2 2"#,
            r#"null null "127.0.0.1" "GET" null null 401 "refused" "unknown" 0 55"#,
            r#""user" "apiKeys" "127.0.0.1" "GET" "/api/tags" "Read" 200 "complete" null 0 2"#,
            r#""user" "apiKeys" "127.0.0.1" "GET" null null 404 "refused" "no_route" 0 26"#,
        ]
    );
    let everything = [
        proxy.output(),
        proxy.admin("/metrics").body,
        proxy.admin("/status").body,
    ]
    .concat();
    for canary in [secret, USER] {
        assert!(!everything.contains(canary), "{canary} in {everything}");
    }
}

#[test]
fn a_head_that_is_no_http_is_accounted_for() {
    let proxy = Proxy::start(&Backend::start());
    let cases = [
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        (
            format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(40_000)),
            431,
        ),
    ];
    for (request, status) in cases {
        assert_eq!(proxy.exchange(request).status, status);
        let line =
            format!("{status} OTHER - client=- means=- address=127.0.0.1 class=- outcome=refused:unreadable");
        within(SOON, &line, || proxy.output().contains(&line));
    }
}

#[test]
fn changes_and_refusals_are_lines_of_the_audit_log() {
    let access =
        "access: [{clients: [admin], allow: [Manage]}, {clients: [user], allow: [Inference], models: [a]}]\n";
    let proxy = Proxy::configured(&Backend::start(), &format!("log: {{audit: true}}\n{access}"));
    let canary = "canary-secret-0123456789";
    let body = |member: &str| format!("{{{member},\"system\":\"{canary}\"}}");
    let model = body(r#""model":"a""#);
    let exchanges = [
        (request("DELETE", "/api/delete", ADMIN, &model), 200),
        (
            request("POST", "/api/pull", ADMIN, &body(r#""name":"A:latest""#)),
            200,
        ),
        (
            request(
                "POST",
                "/api/create",
                ADMIN,
                &body(r#""model":"b:1","from":"u/a""#),
            ),
            200,
        ),
        (
            request(
                "POST",
                "/api/copy",
                ADMIN,
                &body(r#""source":"a","destination":"c""#),
            ),
            200,
        ),
        (
            request("POST", "/api/push", ADMIN, &body(r#""model":"a","MODEL":"b""#)),
            400,
        ),
        (request("DELETE", "/api/delete", USER, &model), 403),
        (request("POST", "/api/chat", USER, &model), 200),
        (request("POST", "/api/chat", USER, &body(r#""model":"b""#)), 403),
        (
            request("POST", &format!("/api/chat?{canary}"), canary, &model),
            401,
        ),
    ];
    for (request, status) in exchanges {
        assert_eq!(proxy.exchange(request).status, status);
    }
    let lines = || -> Vec<Value> {
        let output = proxy.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.filter(|line: &Value| line["log"] == "audit").collect()
    };
    within(SOON, "eight lines", || lines().len() == 8);
    let fields = [
        "client", "means", "address", "method", "route", "models", "result", "reason", "status",
    ];
    let seen: Vec<String> = lines()
        .iter()
        .map(|line| fields.map(|field| line[field].to_string()).join(" "))
        .collect();
    assert_eq!(
        seen,
        [
            r#""admin" "apiKeys" "127.0.0.1" "DELETE" "/api/delete" ["a:latest"] "done" null 200"#,
            r#""admin" "apiKeys" "127.0.0.1" "POST" "/api/pull" ["a:latest"] "done" null 200"#,
            r#""admin" "apiKeys" "127.0.0.1" "POST" "/api/create" ["b:1","u/a:latest"] "done" null 200"#,
            r#""admin" "apiKeys" "127.0.0.1" "POST" "/api/copy" ["a:latest","c:latest"] "done" null 200"#,
            r#""admin" "apiKeys" "127.0.0.1" "POST" "/api/push" null "refused" "bad_json" 400"#,
            r#""user" "apiKeys" "127.0.0.1" "DELETE" "/api/delete" null "refused" "forbidden" 403"#,
            r#""user" "apiKeys" "127.0.0.1" "POST" "/api/chat" ["b:latest"] "refused" "model" 403"#,
            r#"null null "127.0.0.1" "POST" null null "refused" "unknown" 401"#,
        ]
    );
    assert!(!proxy.output().contains(canary));
}
