//! What the rules say of a request's model, address, time and body.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::backend::{Backend, Exchange, Then};
use crate::client::Client;
use crate::proxy::{ADMIN, Proxy, SOON, USER, get, request, within};

const LIMITED: &str = "access:\n\
    - {clients: [admin], allow: [Inference, Read, Manage]}\n\
    - {clients: [user], allow: [Inference, Read, Manage], models: [\"gemma3:*\", \"user/*\"]}\n";

/// A backend that keeps the bodies that arrive.
fn keeping() -> (Backend, Arc<Mutex<Vec<Vec<u8>>>>) {
    let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let kept = Arc::clone(&bodies);
    let backend = Backend::answering(move |exchange| {
        let body = whole_body(exchange)?;
        kept.lock().unwrap().push(body);
        exchange.answer("200 OK", "{}")
    });
    (backend, bodies)
}

fn whole_body(exchange: &mut Exchange) -> io::Result<Vec<u8>> {
    let length = exchange
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = Vec::new();
    while body.len() < length {
        let piece = exchange.read_some(length - body.len())?;
        assert!(!piece.is_empty());
        body.extend(piece);
    }
    Ok(body)
}

/// Waits until the access log tells of a refusal for this reason.
fn log_has(proxy: &Proxy, reason: &str) {
    within(SOON, reason, || {
        proxy.output().contains(&format!("outcome=refused:{reason} "))
    });
}

#[test]
fn a_client_uses_the_models_of_its_rule_only() {
    // The path, the body, and the status.
    let cases = [
        ("/api/chat", r#"{"model":"gemma3:270m"}"#, 200),
        ("/api/chat", r#"{"model":"GEMMA3"}"#, 200),
        (
            "/api/chat",
            r#"{"model":"registry.ollama.ai/library/gemma3:1b"}"#,
            200,
        ),
        ("/api/chat", r#"{"\u006dodel":"user/own"}"#, 200),
        ("/api/chat", r#"{"model":"llama3"}"#, 403),
        ("/api/chat", r#"{"model":"hf.co/library/gemma3:1b"}"#, 403),
        ("/api/chat", "{}", 403),
        ("/api/chat", r#"{"model":"gemma3:1b","model":"llama3"}"#, 400),
        ("/api/chat", r#"{"model":"gemma3:1b","MODEL":"llama3"}"#, 400),
        ("/api/chat", r#"{"model":"gemma3:1b"}{"model":"llama3"}"#, 400),
        ("/api/chat", r#"[{"model":"gemma3:1b"}]"#, 400),
        ("/api/generate", r#"{"model":"llama3"}"#, 403),
        ("/api/embed", r#"{"model":"llama3"}"#, 403),
        ("/api/embeddings", r#"{"model":"llama3"}"#, 403),
        ("/api/show", r#"{"model":"llama3"}"#, 403),
        ("/api/show", r#"{"name":"llama3"}"#, 403),
        ("/api/show", r#"{"name":"gemma3:1b"}"#, 200),
        ("/api/pull", r#"{"model":"gemma3:1b","name":"llama3"}"#, 400),
        ("/api/pull", r#"{"model":"llama3"}"#, 403),
        ("/api/push", r#"{"name":"llama3"}"#, 403),
        ("/api/create", r#"{"model":"user/own","from":"gemma3:1b"}"#, 200),
        ("/api/create", r#"{"model":"user/own","from":"llama3"}"#, 403),
        (
            "/api/copy",
            r#"{"source":"llama3","destination":"user/own"}"#,
            403,
        ),
        ("/api/copy", r#"{"source":"gemma3:1b","destination":"own"}"#, 403),
        (
            "/api/copy",
            r#"{"source":"gemma3:1b","destination":"user/own"}"#,
            200,
        ),
        ("/v1/chat/completions", r#"{"model":"gemma3:1b"}"#, 200),
        ("/v1/chat/completions", r#"{"model":"llama3"}"#, 403),
        ("/v1/completions", r#"{"model":"llama3"}"#, 403),
        ("/v1/embeddings", r#"{"model":"llama3"}"#, 403),
        ("/v1/responses", r#"{"model":"llama3"}"#, 403),
        ("/v1/messages", r#"{"model":"llama3"}"#, 403),
        ("/v1/images/generations", r#"{"model":"llama3"}"#, 403),
        ("/v1/audio/transcriptions", "--a", 403),
    ];
    let (backend, bodies) = keeping();
    let proxy = Proxy::configured(&backend, LIMITED);
    for (path, body, status) in cases {
        let before = bodies.lock().unwrap().len();
        let answer = proxy.exchange(request("POST", path, USER, body));
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        let arrived = bodies.lock().unwrap()[before..].to_vec();
        let expected: &[&[u8]] = if status == 200 { &[body.as_bytes()] } else { &[] };
        assert_eq!(arrived, expected, "{path} {body}");
    }
    for (path, status) in [
        ("/v1/models/gemma3:1b", 200),
        ("/v1/models/llama3", 403),
        ("/v1/models", 200),
        ("/api/tags", 200),
        ("/api/ps", 200),
    ] {
        assert_eq!(proxy.exchange(get(path)).status, status, "{path}");
    }
    assert_eq!(
        proxy
            .exchange(request("DELETE", "/api/delete", USER, r#"{"name":"llama3"}"#))
            .status,
        403
    );
    assert_eq!(
        proxy
            .exchange(request("POST", "/api/chat", ADMIN, r#"{"model":"llama3"}"#))
            .status,
        200
    );
    log_has(&proxy, "model");
    log_has(&proxy, "bad_json");
}

#[test]
fn errors_have_the_shape_of_the_api_that_was_called() {
    let proxy = Proxy::configured(&Backend::start(), LIMITED);
    let message = r#"client \"user\" may not use the model llama3:latest"#;
    let cases = [
        ("/api/chat", format!("{{\"error\":\"{message}\"}}\n")),
        (
            "/v1/chat/completions",
            format!(
                "{{\"error\":{{\"code\":null,\"message\":\"{message}\",\"param\":null,\"type\":\"permission_error\"}}}}\n"
            ),
        ),
        (
            "/v1/messages",
            format!(
                "{{\"error\":{{\"message\":\"{message}\",\"type\":\"permission_error\"}},\"type\":\"error\"}}\n"
            ),
        ),
    ];
    for (path, body) in cases {
        let answer = proxy.exchange(request("POST", path, USER, r#"{"model":"llama3"}"#));
        assert_eq!((answer.status, answer.body), (403, body), "{path}");
    }
}

#[test]
fn bodies_arrive_byte_for_byte() {
    let (backend, bodies) = keeping();
    let proxy = Proxy::configured(&backend, LIMITED);
    let long = "x".repeat(300_000);
    let odd =
        format!(" {{ \"prompt\" : \"\\u00e9\\/{long}\", \"model\":\"gemma3:1b\" ,\"n\": 1.50e+1 }}\r\n\t");
    let mut client = proxy.client();
    assert_eq!(
        client
            .exchange(request("POST", "/api/generate", USER, &odd))
            .status,
        200
    );
    let chunked = format!(
        "POST /api/generate HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    client.send(chunked);
    for piece in odd.as_bytes().chunks(70_000) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().unwrap().status, 200);
    let bodies = bodies.lock().unwrap();
    assert!(bodies.len() == 2 && bodies.iter().all(|body| body == odd.as_bytes()));
}

#[test]
fn bodies_that_are_compressed_are_not_judged() {
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, LIMITED);
    for (path, key, encoding, status) in [
        ("/api/generate", USER, "gzip", 415),
        ("/v1/responses", USER, "zstd", 415),
        ("/v1/responses", ADMIN, "zstd", 200),
    ] {
        let answer = proxy.exchange(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n{{}}"
        ));
        assert_eq!(answer.status, status, "{path} {encoding}");
    }
    assert_eq!(backend.lines().len(), 1);
}

#[test]
fn a_body_over_its_limit_is_refused_unread() {
    let config = format!("{LIMITED}limits: {{body: {{inference: 100, manage: 50, read: 10}}}}\n");
    let backend = Backend::start();
    let proxy = Proxy::configured(&backend, &config);
    let blob = format!("/api/blobs/sha256:{}", "a".repeat(64));
    for (path, length) in [
        ("/api/generate", 101),
        ("/v1/chat/completions", 101),
        ("/v1/messages", 101),
        ("/v1/audio/transcriptions", 101),
        ("/api/create", 51),
        ("/api/show", 11),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nx-api-key: {ADMIN}\r\n");
        let mut client = proxy.client();
        let answer = client.exchange(format!("{head}Content-Length: {length}\r\n\r\n"));
        assert_eq!(answer.status, 413, "{path}: by its length, before a byte of it");
        assert!(
            answer.body.contains(&format!("at most {} bytes", length - 1)),
            "{}",
            answer.body
        );
        assert_eq!(backend.lines().len(), 0, "{path}");
        for key in [USER, ADMIN] {
            let mut client = proxy.client();
            client.send(format!(
                "{}Transfer-Encoding: chunked\r\n\r\n",
                head.replace(ADMIN, key)
            ));
            let _ = client.try_send(format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length)).as_bytes());
            let status = client.answer().unwrap().status;
            let expected = if path.ends_with("transcriptions") && key == USER {
                403
            } else {
                413
            };
            assert_eq!(status, expected, "{path}: in chunks");
        }
    }
    let large = "x".repeat(10_000);
    assert_eq!(proxy.exchange(request("POST", &blob, ADMIN, &large)).status, 200);
    log_has(&proxy, "too_large");
}

#[test]
fn unloading_is_a_change() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let cases = [
        ("/api/generate", r#"{"model":"a","keep_alive":0}"#, 403),
        (
            "/api/generate",
            r#"{"model":"a","prompt":"","keep_alive":"0s"}"#,
            403,
        ),
        (
            "/api/chat",
            r#"{"model":"a","messages":[],"keep_alive":"0m"}"#,
            403,
        ),
        ("/api/embed", r#"{"model":"a","input":"","keep_alive":0}"#, 403),
        ("/api/embeddings", r#"{"model":"a","keep_alive":0}"#, 403),
        ("/api/generate", r#"{"model":"a","Keep_alive":0}"#, 400),
        (
            "/api/generate",
            r#"{"model":"a","keep_alive":1,"keep_alive":0}"#,
            400,
        ),
        ("/api/generate", r#"{"model":"a","keep_alive":"5m"}"#, 200),
        (
            "/api/generate",
            r#"{"model":"a","prompt":"x","keep_alive":0}"#,
            200,
        ),
        ("/api/chat", r#"{"model":"a","messages":[{"role":"user"}]}"#, 200),
    ];
    for (path, body, status) in cases {
        let before = backend.lines().len();
        assert_eq!(
            proxy.exchange(request("POST", path, USER, body)).status,
            status,
            "{path} {body}"
        );
        assert_eq!(
            backend.lines().len() - before,
            usize::from(status == 200),
            "{path} {body}"
        );
        assert_eq!(
            proxy.exchange(request("POST", path, ADMIN, body)).status,
            200,
            "{path} {body}"
        );
    }
    log_has(&proxy, "unload");
}

#[test]
fn a_rule_has_addresses_of_its_own() {
    let proxy = Proxy::configured(
        &Backend::start(),
        "access: [{clients: [user], allow: [Read], allowedCIDRs: [127.0.0.2/32]}]\n",
    );
    for (source, path, key, status) in [
        ("127.0.0.2", "/api/tags", USER, 200),
        ("127.0.0.3", "/api/tags", USER, 403),
        ("127.0.0.3", "/api/version", USER, 403),
        ("127.0.0.3", "/api/tags", ADMIN, 200),
        ("127.0.0.3", "/api/tags", "wrong-key-0123456789", 401),
    ] {
        let mut client = Client::connect_from(source.parse().unwrap(), proxy.address);
        let answer = client.exchange(request("GET", path, key, ""));
        assert_eq!(answer.status, status, "{source} {path}");
    }
    log_has(&proxy, "address");
}

/// A stream of the user's that goes on until it is cut.
fn streaming(body: &str, path: &str) -> (Backend, impl Fn(&Proxy) -> Client) {
    let backend = Backend::answering(|exchange| {
        exchange.read_body()?;
        exchange.stream_until_left().map(|()| Then::Close)
    });
    let request = request("POST", path, USER, body);
    (backend, move |proxy| {
        let mut client = proxy.client();
        client.send(&request);
        assert_eq!(client.head().unwrap().status, 200);
        client
    })
}

fn is_cut(client: &mut Client) -> bool {
    while let Some(chunk) = client.chunk() {
        if chunk.is_empty() {
            return false;
        }
    }
    true
}

#[test]
fn access_that_ends_ends_streams_too() {
    let (backend, stream) = streaming(r#"{"model":"gemma3:1b"}"#, "/api/generate");
    let proxy = Proxy::configured(&backend, "access: []\n");
    let mut client = stream(&proxy);
    let end = jiff::Timestamp::now() + Duration::from_secs(2);
    proxy.configure(&format!(
        "access: [{{clients: [user], allow: [Inference], notAfter: {end}}}]\n"
    ));
    assert!(is_cut(&mut client));
    assert!(jiff::Timestamp::now() >= end);
    let answer = proxy.exchange(get("/api/version"));
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("its access ended at"), "{}", answer.body);
    log_has(&proxy, "expired");
}

#[test]
fn a_stream_is_judged_again_by_its_model() {
    let rule =
        |models: &str| format!("access: [{{clients: [user], allow: [Inference], models: [{models}]}}]\n");
    let cases = [
        ("its model stays", "/api/generate", "\"gemma3:*\", other", false),
        ("its model goes", "/api/generate", "other", true),
        (
            "nobody has read its model",
            "/v1/completions",
            "\"gemma3:*\"",
            true,
        ),
    ];
    for (name, path, models, cut) in cases {
        let (backend, stream) = streaming(r#"{"model":"gemma3:1b"}"#, path);
        let proxy = Proxy::configured(&backend, "access: []\n");
        let mut client = stream(&proxy);
        let digest = || proxy.status()["configuration"]["digest"].clone();
        let before = digest();
        proxy.configure(&rule(models));
        within(SOON, name, || digest() != before);
        if cut {
            assert!(is_cut(&mut client), "{name}");
        } else {
            for _ in 0..20 {
                assert!(client.chunk().is_some_and(|chunk| !chunk.is_empty()), "{name}");
            }
        }
    }
}
