//! What a request may ask of a model has an end.

use std::sync::{Arc, Mutex};

use crate::backend::Backend;
use crate::proxy::{ADMIN, Proxy, USER, request};

/// A proxy whose user has ceilings, and the bodies that arrive behind it.
fn ceilings(on_excess: &str) -> (Proxy, Arc<Mutex<Vec<String>>>) {
    let bodies = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&bodies);
    let backend = Backend::answering(move |exchange| {
        let mut body = Vec::new();
        let length = exchange
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while body.len() < length {
            body.extend(exchange.read_some(length - body.len())?);
        }
        kept.lock().unwrap().push(String::from_utf8(body).unwrap());
        exchange.answer("200 OK", "{}")
    });
    let config = format!(
        "access:\n\
         - {{clients: [admin], allow: [Inference, Read, Manage]}}\n\
         - clients: [user]\n  \
           allow: [Inference, Read, Manage]\n  \
           ceilings: {{numCtx: 8192, numPredict: 100, keepAlive: 30m, onExcess: {on_excess}}}\n"
    );
    (Proxy::configured(&backend, &config), bodies)
}

const OVER: [(&str, &str, &str, &str); 4] = [
    (
        "/api/chat",
        r#"{"model":"a","options":{"num_ctx":131072,"num_predict":5},"messages":[{"content":"\u00e9 \/"}]}"#,
        r#"{"model":"a","options":{"num_ctx":8192,"num_predict":5},"messages":[{"content":"\u00e9 \/"}]}"#,
        "num_ctx",
    ),
    (
        "/api/generate",
        r#"{"keep_alive":-1,"model":"a"}"#,
        r#"{"options":{"num_predict":100},"keep_alive":"30m","model":"a"}"#,
        "keep_alive",
    ),
    (
        "/v1/chat/completions",
        r#"{"model":"a","max_tokens":4096}"#,
        r#"{"model":"a","max_tokens":100}"#,
        "max_tokens",
    ),
    (
        "/v1/responses",
        r#"{"model":"a","max_output_tokens":4096}"#,
        r#"{"model":"a","max_output_tokens":100}"#,
        "max_output_tokens",
    ),
];

#[test]
fn what_is_over_is_forwarded_as_it_may_be() {
    let (proxy, bodies) = ceilings("Clamp");
    for (path, body, clamped, _) in OVER {
        assert_eq!(
            proxy.exchange(request("POST", path, USER, body)).status,
            200,
            "{path}"
        );
        assert_eq!(bodies.lock().unwrap().pop().as_deref(), Some(clamped), "{path}");
    }
    let (path, body, ..) = OVER[0];
    assert_eq!(proxy.exchange(request("POST", path, ADMIN, body)).status, 200);
    assert_eq!(
        bodies.lock().unwrap().pop().as_deref(),
        Some(body),
        "another client"
    );
}

#[test]
fn what_is_over_is_refused_by_name() {
    let (proxy, bodies) = ceilings("Refuse");
    for (path, body, _, field) in OVER {
        let answer = proxy.exchange(request("POST", path, USER, body));
        assert_eq!(answer.status, 403, "{path}");
        assert!(
            answer.body.contains(&format!("may not have `{field}` over")),
            "{}",
            answer.body
        );
        assert!(bodies.lock().unwrap().is_empty(), "{path}");
    }
    let cases = [
        (
            "/api/chat",
            r#"{"options":{"num_ctx":1},"OPTIONS":{"num_ctx":1000000}}"#,
            400,
        ),
        ("/api/chat", r#"{"options":{"num_ctx":1,"num_ctx":1000000}}"#, 400),
        ("/v1/completions", r#"{"max_tokens":1,"max_tokens":1000000}"#, 400),
        ("/api/chat", r#"{"options":{"num_ctx":1,"num_predict":1}}"#, 200),
        ("/v1/embeddings", r#"{"model":"a"}"#, 200),
    ];
    for (path, body, status) in cases {
        assert_eq!(
            proxy.exchange(request("POST", path, USER, body)).status,
            status,
            "{body}"
        );
    }
    let metrics = proxy.admin("/metrics").body;
    assert!(metrics.contains("reason=\"ceiling\"} 4\n"), "{metrics}");
}
