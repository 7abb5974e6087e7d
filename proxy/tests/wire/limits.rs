//! What a client may use is limited, for each client by itself.

use crate::backend::{Backend, Then};
use crate::client::Answer;
use crate::proxy::{ADMIN, Proxy, SOON, USER, get, request, within};

fn limited(limits: &str) -> String {
    format!("access: [{{clients: [user], allow: [Inference, Read], limits: {limits}}}]\n")
}

/// A client that asks and reads the whole answer.
fn ask(proxy: &Proxy, path: &str, key: &str) -> Answer {
    if path.starts_with("/v1/models") || path == "/api/version" {
        return proxy.exchange(request("GET", path, key, ""));
    }
    proxy.exchange(request("POST", path, key, r#"{"model":"a"}"#))
}

fn outcome_count(proxy: &Proxy, reason: &str) -> u64 {
    let prefix = format!("corral_proxy_outcomes_total{{outcome=\"refused\",reason=\"{reason}\"}} ");
    let metrics = proxy.admin("/metrics").body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn the_first_request_over_the_rate_is_refused_in_the_shape_of_its_api() {
    let message = r#"client \"user\" may make 1 requests a minute: try again in"#;
    let cases = [
        ("/api/chat", format!("{{\"error\":\"{message}")),
        (
            "/v1/chat/completions",
            format!("{{\"error\":{{\"code\":null,\"message\":\"{message}"),
        ),
        ("/v1/messages", format!("{{\"error\":{{\"message\":\"{message}")),
    ];
    for (path, beginning) in cases {
        let backend = Backend::start();
        let proxy = Proxy::configured(&backend, &limited("{requestsPerMinute: 1, burst: 3}"));
        for number in 0..3 {
            assert_eq!(ask(&proxy, path, USER).status, 200, "{path}: request {number}");
        }
        let refused = ask(&proxy, path, USER);
        assert_eq!(refused.status, 429, "{path}: {refused:?}");
        assert!(refused.body.starts_with(&beginning), "{path}: {}", refused.body);
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{path}: {wait}");
        assert_eq!(backend.lines().len(), 3, "{path}");
        assert_eq!(
            ask(&proxy, "/api/version", USER).status,
            200,
            "Health counts nowhere"
        );
        assert_eq!(ask(&proxy, path, ADMIN).status, 200, "another client");
        assert_eq!(outcome_count(&proxy, "requests_per_minute"), 1, "{path}");
    }
}

#[test]
fn clients_of_openai_are_told_how_they_stand() {
    let proxy = Proxy::configured(
        &Backend::start(),
        &limited("{requestsPerMinute: 60, burst: 2, concurrent: 9}"),
    );
    let standing = |answer: &Answer| {
        ["limit", "remaining", "reset"].map(|name| {
            let value = answer.header(&format!("x-ratelimit-{name}-requests"));
            value.map(ToOwned::to_owned)
        })
    };
    for path in ["/v1/models", "/v1/chat/completions"] {
        let [limit, remaining, reset] = standing(&ask(&proxy, path, USER));
        assert_eq!(limit.as_deref(), Some("60"), "{path}");
        assert!(remaining.unwrap().parse::<u64>().unwrap() < 2, "{path}");
        assert!(reset.unwrap().ends_with('s'), "{path}");
    }
    let refused = (0..100)
        .map(|_| ask(&proxy, "/v1/models", USER))
        .find(|answer| answer.status == 429)
        .unwrap();
    let [limit, remaining, _] = standing(&refused);
    assert_eq!((limit.as_deref(), remaining.as_deref()), (Some("60"), Some("0")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    for answer in [ask(&proxy, "/v1/models", ADMIN), ask(&proxy, "/api/chat", USER)] {
        assert_eq!(standing(&answer), [None, None, None], "{answer:?}");
    }
}

/// A backend whose chats go on until they are left.
fn endless() -> Backend {
    Backend::answering(|exchange| {
        if !exchange.is("POST /api/chat ") {
            return exchange.answer_at_once();
        }
        exchange.read_body()?;
        exchange.stream_until_left().map(|()| Then::Close)
    })
}

#[test]
fn a_stream_has_its_place_until_its_client_leaves() {
    let proxy = Proxy::configured(&endless(), &limited("{concurrent: 2}"));
    let stream = || {
        let mut client = proxy.client();
        client.send(request("POST", "/api/chat", USER, r#"{"model":"a"}"#));
        let head = client.head().unwrap();
        (client, head.status)
    };
    let others = || ask(&proxy, "/v1/models", USER);
    let (first, second) = (stream(), stream());
    assert_eq!((first.1, second.1), (200, 200));
    let refused = others();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert!(
        refused.body.contains("may have 2 requests on their way at once"),
        "{}",
        refused.body
    );
    assert_eq!(ask(&proxy, "/v1/models", ADMIN).status, 200, "another client");
    drop(first);
    within(SOON, "the place is free again", || others().status == 200);
    let (third, status) = stream();
    assert_eq!(status, 200, "a place that is used again");
    assert_eq!(others().status, 429);
    assert!(outcome_count(&proxy, "concurrent") >= 2);
    drop((second, third));
}

#[test]
fn a_body_on_its_way_has_a_place_too() {
    let proxy = Proxy::configured(&Backend::start(), &limited("{concurrent: 1}"));
    let mut slow = proxy.client();
    slow.send(format!(
        "POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nContent-Length: 2\r\n\r\n{{"
    ));
    within(SOON, "it is on its way", || {
        proxy
            .admin("/metrics")
            .body
            .contains("\nhttp_server_active_requests 1\n")
    });
    assert_eq!(ask(&proxy, "/v1/models", USER).status, 429);
    slow.send("}");
    assert_eq!(slow.answer().unwrap().status, 200);
    assert_eq!(ask(&proxy, "/v1/models", USER).status, 200);
}

const CHAT: &str = concat!(
    "{\"model\":\"a\",\"message\":{\"content\":\"Hi\"},\"done\":false}\n",
    "{\"model\":\"a\",\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":12,\"eval_count\":3}\n",
);

/// Tokens that a client of OpenAI's is told to have left.
fn tokens_left(proxy: &Proxy) -> u64 {
    let answer = ask(proxy, "/v1/models", USER);
    assert_eq!(answer.status, 200, "{answer:?}");
    let left = answer.header("x-ratelimit-remaining-tokens").unwrap();
    left.parse().unwrap()
}

#[test]
fn the_tokens_of_an_answer_are_charged_once_and_used_up_ones_are_refused() {
    let backend = Backend::answering(|exchange| {
        exchange.read_body()?;
        if exchange.is("POST /api/embeddings ") {
            return exchange.answer("200 OK", "{\"embedding\":[]}");
        }
        if exchange.is("GET ") {
            return exchange.answer("200 OK", "{}");
        }
        exchange.begin_stream()?;
        for line in CHAT.split_inclusive('\n') {
            exchange.chunk(line)?;
        }
        exchange.chunk("")?;
        Ok(Then::KeepAlive)
    });
    let proxy = Proxy::configured(&backend, &limited("{tokensPerMinute: 1000, tokensPerDay: 40}"));
    assert_eq!(tokens_left(&proxy), 40);
    for left in [25, 10, 0] {
        assert_eq!(ask(&proxy, "/api/chat", USER).status, 200, "{left}");
        assert_eq!(tokens_left(&proxy), left);
    }
    let refused = ask(&proxy, "/api/chat", USER);
    assert_eq!(refused.status, 429);
    assert!(refused.body.contains("40 a day (UTC)"), "{}", refused.body);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=24 * 3600).contains(&wait), "until midnight: {wait}");
    assert_eq!(
        ask(&proxy, "/api/embeddings", USER).status,
        429,
        "not counted, and not let in"
    );
    assert_eq!(ask(&proxy, "/api/chat", ADMIN).status, 200, "another client");
    assert_eq!(outcome_count(&proxy, "tokens_per_day"), 2);
}

#[test]
fn a_stream_that_is_left_is_charged_for_what_came() {
    let proxy = Proxy::configured(
        &Backend::answering(|exchange| {
            exchange.read_body()?;
            if exchange.is("GET ") {
                return exchange.answer("200 OK", "{}");
            }
            exchange.begin_stream()?;
            for line in CHAT.lines().take(1).cycle().take(7) {
                exchange.chunk(&format!("{line}\n"))?;
            }
            exchange.is_left();
            Ok(Then::Close)
        }),
        &limited("{tokensPerDay: 100}"),
    );
    let mut client = proxy.client();
    client.send(request("POST", "/api/chat", USER, r#"{"model":"a"}"#));
    assert_eq!(client.head().unwrap().status, 200);
    let mut lines = 0;
    while lines < 7 {
        lines += client.chunk().unwrap().lines().count();
    }
    assert_eq!(tokens_left(&proxy), 100, "not before it is over");
    drop(client);
    within(SOON, "it is charged", || tokens_left(&proxy) < 100);
    assert_eq!(tokens_left(&proxy), 93);
}

#[test]
fn a_restart_goes_on_with_the_day() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().to_str().unwrap();
    let backend = Backend::answering(|exchange| {
        exchange.read_body()?;
        let done = CHAT.lines().last().unwrap();
        exchange.answer("200 OK", if exchange.is("GET ") { "{}" } else { done })
    });
    let start = || {
        Proxy::with_arguments(
            &backend,
            &limited("{tokensPerDay: 40}"),
            &["--state-dir", directory],
        )
    };
    for left in [25, 10] {
        let mut proxy = start();
        assert_eq!(ask(&proxy, "/api/chat", USER).status, 200);
        assert_eq!(tokens_left(&proxy), left);
        proxy.signal("TERM");
        within(SOON, "it ends", || proxy.ended().is_some());
    }
    let saved = std::fs::read_dir(directory).unwrap().next().unwrap().unwrap();
    std::fs::write(saved.path(), "{").unwrap();
    let proxy = start();
    within(SOON, "it says so", || {
        proxy.output().contains("no tokens are left of this day")
    });
    assert_eq!(ask(&proxy, "/api/chat", USER).status, 429);
    assert_eq!(tokens_left(&proxy), 0);
    assert_eq!(
        ask(&proxy, "/api/chat", ADMIN).status,
        200,
        "a client without limits"
    );
}

#[test]
fn an_edit_changes_limits_and_not_what_was_used() {
    let proxy = Proxy::configured(&Backend::start(), &limited("{requestsPerMinute: 2}"));
    let digest = || proxy.status()["configuration"]["digest"].clone();
    let edit = |config: &str| {
        let before = digest();
        proxy.configure(config);
        within(SOON, "the edit is in force", || digest() != before);
    };
    assert_eq!(ask(&proxy, "/v1/models", USER).status, 200);
    edit(&format!(
        "{}limits: {{body: {{read: 9000}}}}\n",
        limited("{requestsPerMinute: 2}")
    ));
    assert_eq!(ask(&proxy, "/v1/models", USER).status, 200);
    edit(&limited("{requestsPerMinute: 2, concurrent: 7}"));
    assert_eq!(ask(&proxy, "/v1/models", USER).status, 429);
    let limits = proxy.status()["limits"].clone();
    let expected = serde_json::json!([
        {"clients": ["user"], "limits": {"requestsPerMinute": 2, "concurrent": 7}},
    ]);
    assert_eq!(limits, expected);
    edit("access: []\n");
    assert_eq!(proxy.exchange(get("/v1/models")).status, 200);
    assert!(proxy.status()["limits"].is_null());
}
