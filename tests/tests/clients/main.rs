//! The client libraries that people use (scenario S13), as they are: each comes in by its usual setting, reads a stream
//! with heartbeats in it to its end, and takes an error for one that comes after them. And the tokens of a library that
//! makes them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails, in its helpers too"
)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, thread};

use corral_proxy::accept::{Acceptor, Limits};
use corral_proxy::config::flags::Flags;
use corral_proxy::in_force::InForce;
use corral_proxy::proxy::Proxy;
use corral_tests::http_client::HttpClient;
use corral_tests::{javascript, python};
use http::Method;
use serde_json::{Value, json};

const KEY: &str = "sk-clients-0123456789abcdef";
/// Longer than the proxy's interval between heartbeats.
const SILENCE: Duration = Duration::from_millis(1500);

/// A stand-in for an Ollama whose models are slow to load and to think, or can't be loaded. Runs until the test ends.
fn slow_ollama() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || answer(stream));
        }
    });
    url
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let (path, body) = request(&stream)?;
    let question: Value = serde_json::from_slice(&body)?;
    thread::sleep(SILENCE);
    if question["model"] == "broken" {
        let error = error(&path).to_string();
        let length = error.len();
        return write!(
            stream,
            "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{error}"
        );
    }
    let content_type = if path.starts_with("/v1/") {
        "text/event-stream"
    } else {
        "application/x-ndjson"
    };
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {content_type}\r\n\r\n"
    )?;
    for piece in pieces(&path) {
        stream.write_all(piece.as_bytes())?;
        thread::sleep(SILENCE);
    }
    Ok(())
}

/// The path and body of a request.
fn request(stream: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = Vec::new();
    if let Some(length) = length.and_then(|length| length.parse().ok()) {
        reader.take(length).read_to_end(&mut body)?;
        return Ok((path, body));
    }
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        reader.by_ref().take(size).read_to_end(&mut body)?;
        reader.read_line(&mut String::new())?;
        if size == 0 {
            return Ok((path, body));
        }
    }
}

/// As Ollama says it on this route.
fn error(path: &str) -> Value {
    let message = "no memory";
    match path {
        "/v1/messages" => json!({"type": "error", "error": {"type": "api_error", "message": message}}),
        _ if path.starts_with("/v1/") => {
            json!({"error": {"message": message, "type": "api_error", "param": null, "code": null}})
        }
        _ => json!({"error": message}),
    }
}

/// "Hello there" as Ollama says it on this route, in two pieces.
fn pieces(path: &str) -> [String; 2] {
    let event = |value: Value| format!("data: {value}\n\n");
    let named = |value: Value| format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap());
    match path {
        "/v1/chat/completions" => {
            let chunk = |content: &str, reason: Option<&str>| {
                event(json!({
                    "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "slow",
                    "system_fingerprint": "fp_ollama", "choices": [
                        {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": reason}
                    ]
                }))
            };
            let end = chunk("", Some("stop"));
            [
                chunk("Hello", None),
                format!("{}{end}data: [DONE]\n\n", chunk(" there", None)),
            ]
        }
        "/v1/completions" => {
            let chunk = |text: &str, reason: Option<&str>| {
                event(json!({
                    "id": "cmpl-1", "object": "text_completion", "created": 1, "model": "slow",
                    "choices": [{"index": 0, "text": text, "finish_reason": reason}]
                }))
            };
            let end = chunk("", Some("stop"));
            [
                chunk("Hello", None),
                format!("{}{end}data: [DONE]\n\n", chunk(" there", None)),
            ]
        }
        "/v1/responses" => {
            let delta = |number: u64, text: &str| {
                named(json!({
                    "type": "response.output_text.delta", "sequence_number": number, "item_id": "msg_1",
                    "output_index": 0, "content_index": 0, "delta": text, "logprobs": []
                }))
            };
            let response = json!({
                "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "slow",
                "output": [], "usage": null, "tools": [], "tool_choice": "auto", "parallel_tool_calls": true
            });
            let end =
                named(json!({"type": "response.completed", "sequence_number": 2, "response": response}));
            [delta(0, "Hello"), format!("{}{end}", delta(1, " there"))]
        }
        "/v1/messages" => {
            let delta = |text: &str| {
                named(json!({
                    "type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}
                }))
            };
            let start = named(json!({"type": "message_start", "message": {
                "id": "msg_1", "type": "message", "role": "assistant", "model": "slow", "content": [],
                "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 3, "output_tokens": 0}
            }}));
            let block = named(json!({
                "type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}
            }));
            let end = [
                named(json!({"type": "content_block_stop", "index": 0})),
                named(json!({
                    "type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                    "usage": {"output_tokens": 2}
                })),
                named(json!({"type": "message_stop"})),
            ];
            [
                format!("{start}{block}{}", delta("Hello")),
                format!("{}{}", delta(" there"), end.concat()),
            ]
        }
        _ => {
            let line = |content: &str, done: bool| {
                let message = json!({"role": "assistant", "content": content});
                format!("{}\n", json!({"model": "slow", "message": message, "done": done}))
            };
            [
                line("Hello", false),
                format!("{}{}", line(" there", false), line("", true)),
            ]
        }
    }
}

/// Where a proxy before that Ollama listens, with a heartbeat each second.
async fn serve(upstream: &str) -> String {
    let files = tempfile::tempdir().unwrap();
    let keys = files.path().join("keys");
    fs::write(&keys, KEY).unwrap();
    let config = format!(
        "{{streams: {{heartbeatSeconds: 1}}, credentials: {{apiKeys: {{path: {}}}}}}}",
        keys.display()
    );
    serve_with(upstream, files.path(), &config).await
}

/// Where one with this configuration listens, whose files are in this folder.
async fn serve_with(upstream: &str, files: &Path, config: &str) -> String {
    let path = files.join("proxy.yaml");
    fs::write(&path, config).unwrap();
    let flags = Flags {
        config: Some(path),
        upstream: Some(upstream.parse().unwrap()),
        ..Flags::default()
    };
    let proxy = Proxy::new(InForce::first(flags.load().unwrap()), io::sink()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let acceptor = Acceptor::new(Arc::new(proxy), Limits::default());
    tokio::spawn(async move { acceptor.accept(listener).await });
    url
}

#[tokio::test]
async fn the_streams_of_these_tests_have_heartbeats_in_them() {
    let url = serve(&slow_ollama()).await;
    let cases = [
        ("/v1/chat/completions", ": heartbeat\n\n", 2),
        ("/v1/completions", ": heartbeat\n\n", 2),
        ("/v1/responses", ": heartbeat\n\n", 2),
        ("/v1/messages", "event: ping\n", 2),
        ("/api/chat", "heartbeat", 0),
    ];
    let question = json!({"model": "slow", "stream": true});
    let client = HttpClient::new(&url);
    let answers = cases.map(|(path, beat, least)| {
        let (client, question) = (&client, &question);
        async move {
            let answer = client.post(path, &[("x-api-key", KEY)], question).await.unwrap();
            let beats = answer.matches(beat).count();
            assert!(beats >= least && (least > 0 || beats == 0), "{path}: {answer}");
        }
    });
    futures::future::join_all(answers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_python_libraries_read_silent_streams_to_their_end() {
    let url = serve(&slow_ollama()).await;
    let script = include_str!("python.py");
    tokio::task::block_in_place(|| python::run(script, &[("URL", &url), ("KEY", KEY)])).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_javascript_libraries_read_silent_streams_to_their_end() {
    let url = serve(&slow_ollama()).await;
    let module = include_str!("node.mjs");
    tokio::task::block_in_place(|| javascript::run(module, &[("URL", &url), ("KEY", KEY)])).unwrap();
}

/// An Ollama that has an answer at once.
fn quick_ollama() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                request(&stream)?;
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn s5_tokens_that_a_library_makes_are_taken_or_refused() {
    let files = tempfile::tempdir().unwrap();
    let folder = files.path().display().to_string();
    let script = include_str!("pyjwt.py");
    let printed = tokio::task::block_in_place(|| python::run(script, &[("FOLDER", &folder)])).unwrap();
    let cases: Vec<(String, String, u16)> = serde_json::from_str(&printed).unwrap();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let config = format!(
        "credentials:\n  jwt:\n  - {{issuer: pairs, audiences: [ollama], keys: {{path: {folder}/jwks.json}}}}\n  \
         - {{issuer: secret, audiences: [ollama], algorithms: [HS256], keys: {{path: {folder}/secret}}}}\n"
    );
    let url = serve_with(&quick_ollama(), files.path(), &config).await;
    let client = HttpClient::new(&url);
    for (name, token, expected) in cases {
        let headers = [("authorization", &*format!("Bearer {token}"))];
        let answer = client.send(Method::POST, "/api/show", &headers, "{}".into());
        assert_eq!(answer.await.unwrap().status().as_u16(), expected, "{name}");
    }
}
