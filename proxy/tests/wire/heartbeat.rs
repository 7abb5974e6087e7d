//! Streams that are silent are kept alive, and say in the end what they would have said.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use crate::backend::{Backend, Exchange, Then};
use crate::client::Client;
use crate::http2;
use crate::proxy::{Proxy, SOON, USER, request, within};

const CONFIG: &str = "log: {format: json}\nstreams: {heartbeatSeconds: 1}\n";
const STREAM: &str = r#"{"model":"m","stream":true}"#;
const COMMENT: &str = ": heartbeat\n\n";
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

type Act = fn(&mut Exchange) -> io::Result<Then>;

/// A stand-in for an Ollama that loads a model: silent until it is told what to do, and tells when it has done it.
struct Silent {
    backend: Backend,
    acts: Sender<Act>,
    done: Receiver<()>,
}

impl Silent {
    fn start() -> Self {
        let (acts, told) = mpsc::channel::<Act>();
        let (tell, done) = mpsc::channel();
        let shared = Mutex::new((told, tell));
        let backend = Backend::answering(move |exchange| {
            exchange.read_body()?;
            let shared = shared.lock().unwrap();
            while let Ok(act) = shared.0.recv_timeout(SOON) {
                let then = act(exchange)?;
                shared.1.send(()).map_err(io::Error::other)?;
                if matches!(then, Then::Close) {
                    return Ok(then);
                }
            }
            Ok(Then::Close)
        });
        Self { backend, acts, done }
    }

    fn act(&self, act: Act) {
        self.acts.send(act).unwrap();
        self.done.recv_timeout(SOON).unwrap();
    }
}

/// A client whose stream has begun though the backend is silent.
fn waiting(proxy: &Proxy, path: &str) -> Client {
    let mut client = proxy.client();
    client.send(request("POST", path, USER, STREAM));
    let head = client.head().unwrap();
    assert_eq!(head.status, 200, "{path}");
    assert_eq!(head.header("content-type"), Some("text/event-stream"), "{path}");
    assert_eq!(head.header("x-accel-buffering"), Some("no"), "{path}");
    client
}

/// What comes after all heartbeats, and how many of these there were: on a busy machine more than one would think.
fn after_beats(client: &mut Client) -> (String, usize) {
    let mut beats = 0;
    loop {
        match client.chunk().unwrap() {
            chunk if chunk == COMMENT || chunk == PING => beats += 1,
            chunk => return (chunk, beats),
        }
    }
}

fn waits(proxy: &Proxy, requests: usize) -> bool {
    let line = format!("\ncorral_proxy_requests_waiting {requests}\n");
    proxy.admin("/metrics").body.contains(&line)
}

/// All cases at the same time: each of them waits for seconds.
fn at_once<Case: Send>(cases: impl IntoIterator<Item = Case>, check: impl Fn(Case) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let check = &check;
            scope.spawn(move || check(case));
        }
    });
}

fn logged(proxy: &Proxy) -> Value {
    let line = || {
        let output = proxy.output();
        let mut lines = output.lines().filter_map(|line| serde_json::from_str(line).ok());
        lines.rfind(|line: &Value| line["method"].is_string())
    };
    within(SOON, "it is logged", || line().is_some());
    line().unwrap()
}

#[test]
fn a_silent_stream_beats_before_and_between_its_events() {
    let cases = [
        ("/v1/chat/completions", COMMENT),
        ("/v1/completions", COMMENT),
        ("/v1/responses", COMMENT),
        ("/v1/messages", PING),
    ];
    at_once(cases, |(path, beat)| {
        let silent = Silent::start();
        let proxy = Proxy::configured(&silent.backend, CONFIG);
        let mut client = waiting(&proxy, path);
        for _ in 0..2 {
            assert_eq!(client.chunk().as_deref(), Some(beat), "{path}: before the answer");
        }
        assert!(waits(&proxy, 1), "{path}");
        silent.act(|exchange| {
            exchange.begin("text/event-stream")?;
            exchange.chunk("data: {\"a\":1}\n\n").map(|()| Then::KeepAlive)
        });
        let (chunk, beats_before) = after_beats(&mut client);
        assert_eq!(chunk, "data: {\"a\":1}\n\n", "{path}");
        assert!(waits(&proxy, 0), "{path}");
        assert_eq!(client.chunk().as_deref(), Some(beat), "{path}: between events");
        silent.act(|exchange| {
            exchange.chunk("data: [DONE]\n\n")?;
            exchange.chunk("").map(|()| Then::Close)
        });
        let (chunk, beats_between) = after_beats(&mut client);
        assert_eq!(chunk, "data: [DONE]\n\n", "{path}");
        assert_eq!(client.chunk().as_deref(), Some(""), "{path}: the end");
        let line = logged(&proxy);
        assert_eq!(
            (&line["status"], &line["outcome"]),
            (&200.into(), &"complete".into())
        );
        let beats = 3 + beats_before + beats_between;
        let sent = beats * beat.len() + "data: {\"a\":1}\n\ndata: [DONE]\n\n".len();
        assert_eq!(line["bytesSent"], sent, "{path}");
        let waited = line["firstByteSeconds"].as_f64().unwrap();
        assert!(waited > 1.0, "{path}: a heartbeat is no answer, {waited} s");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_of_http_2_beats_as_well() {
    let silent = Silent::start();
    let proxy = Proxy::configured(&silent.backend, CONFIG);
    let mut client = http2::client::Client::connect(proxy.address).await;
    let question = http2::client::request("POST", "/v1/messages", USER);
    let mut stream = client.begin(question).await;
    stream
        .upload
        .send_data(Bytes::from_static(STREAM.as_bytes()), true)
        .unwrap();
    let mut answer = stream.answer().await;
    assert_eq!(
        (answer.status, &answer.headers["x-accel-buffering"]),
        (200, &"no".parse().unwrap())
    );
    for _ in 0..2 {
        assert_eq!(
            answer.chunk().await,
            Some(Ok(PING.to_owned())),
            "before the answer"
        );
        let (status, _) = client.exchange(http2::client::get("/nowhere"), "").await;
        assert_eq!(status, 404, "others on the connection don't wait");
    }
    silent.act(|exchange| {
        exchange.begin("text/event-stream")?;
        exchange.chunk("data: 1\n\n").map(|()| Then::KeepAlive)
    });
    let mut seen = String::new();
    while !seen.ends_with(&format!("data: 1\n\n{PING}")) {
        seen += &answer.chunk().await.unwrap().unwrap();
    }
    silent.act(|exchange| {
        exchange.chunk("data: 2\n\n")?;
        exchange.chunk("").map(|()| Then::KeepAlive)
    });
    seen += &answer.rest().await.unwrap();
    assert_eq!(seen.replace(PING, ""), "data: 1\n\ndata: 2\n\n");
}

#[test]
fn there_is_no_heartbeat_within_an_event() {
    let silent = Silent::start();
    let proxy = Proxy::configured(&silent.backend, CONFIG);
    let mut client = proxy.client();
    client.send(request("POST", "/v1/responses", USER, STREAM));
    silent.act(|exchange| {
        exchange.begin("text/event-stream")?;
        exchange.chunk("event: a\n").map(|()| Then::KeepAlive)
    });
    assert_eq!(client.head().unwrap().status, 200);
    assert_eq!(after_beats(&mut client).0, "event: a\n");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(client.is_quiet());
    silent.act(|exchange| exchange.chunk("data: a\n\n").map(|()| Then::KeepAlive));
    assert_eq!(client.chunk().as_deref(), Some("data: a\n\n"));
    assert_eq!(client.chunk().as_deref(), Some(COMMENT));
}

#[test]
fn an_answer_that_may_be_no_stream_of_events_is_waited_for() {
    let cases = [
        ("/v1/chat/completions", r#"{"model":"m","stream":false}"#),
        ("/v1/chat/completions", r#"{"model":"m"}"#),
        ("/v1/messages", r#"{"model":"m","stream":true,"stream":true}"#),
        ("/v1/embeddings", STREAM),
        ("/api/chat", STREAM),
        ("/api/generate", STREAM),
    ];
    at_once(cases, |(path, body)| {
        let backend = Backend::answering(|exchange| {
            exchange.read_body()?;
            std::thread::sleep(Duration::from_millis(1500));
            exchange.answer("503 Service Unavailable", r#"{"error":"busy"}"#)
        });
        let proxy = Proxy::configured(&backend, CONFIG);
        let answer = proxy.exchange(request("POST", path, USER, body));
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (503, r#"{"error":"busy"}"#),
            "{path} {body}"
        );
    });
}

#[test]
fn an_error_that_comes_late_is_an_event_and_has_its_status_in_the_log() {
    let failed: Act = |exchange| {
        let body = r#"{"error":{"message":"no memory","type":"api_error","param":null,"code":null}}"#;
        exchange
            .answer("500 Internal Server Error", body)
            .map(|_| Then::Close)
    };
    let failed_in_words: Act = |exchange| exchange.answer("404 Not Found", "not here").map(|_| Then::Close);
    let no_stream: Act = |exchange| exchange.answer("200 OK", "{}").map(|_| Then::Close);
    let gone: Act = |_| Ok(Then::Close);
    let openai = |message: &str, kind: &str| {
        format!(
            "data: {{\"error\":{{\"code\":null,\"message\":\"{message}\",\"param\":null,\"type\":\"{kind}\"}}}}\n\n"
        )
    };
    let anthropic = |message: &str, kind: &str| {
        format!(
            "event: error\ndata: {{\"error\":{{\"message\":\"{message}\",\"type\":\"{kind}\"}},\"type\":\"error\"}}\n\n"
        )
    };
    let no_response = "the upstream gave no valid response";
    // What comes late, on which route, what the client sees, the status, and why if the upstream gave no answer.
    let cases = [
        (
            "/v1/chat/completions",
            failed,
            openai("no memory", "api_error"),
            500,
            None,
        ),
        (
            "/v1/responses",
            failed,
            openai("no memory", "api_error"),
            500,
            None,
        ),
        (
            "/v1/messages",
            failed,
            anthropic("no memory", "api_error"),
            500,
            None,
        ),
        (
            "/v1/messages",
            failed_in_words,
            anthropic("the upstream answered 404 Not Found", "not_found_error"),
            404,
            None,
        ),
        (
            "/v1/completions",
            no_stream,
            openai(no_response, "api_error"),
            502,
            Some("upstream_no_response"),
        ),
        (
            "/v1/chat/completions",
            gone,
            openai(no_response, "api_error"),
            502,
            Some("upstream_no_response"),
        ),
    ];
    at_once(cases, |(path, act, event, status, reason)| {
        let silent = Silent::start();
        let proxy = Proxy::configured(&silent.backend, CONFIG);
        let mut client = waiting(&proxy, path);
        client.chunk().unwrap();
        silent.act(act);
        assert_eq!(after_beats(&mut client).0, event, "{path}");
        assert_eq!(client.chunk().as_deref(), Some(""), "{path}: the end");
        let line = logged(&proxy);
        assert_eq!(
            (&line["status"], line["reason"].as_str()),
            (&status.into(), reason),
            "{path}"
        );
        assert_eq!(line["inputTokens"], Value::Null, "{path}");
    });
}

#[test]
fn a_client_that_leaves_while_the_model_loads_cancels_the_generation() {
    let silent = Silent::start();
    let proxy = Proxy::configured(&silent.backend, CONFIG);
    let mut client = waiting(&proxy, "/v1/chat/completions");
    client.chunk().unwrap();
    drop(client);
    silent.act(|exchange| {
        assert!(exchange.is_left());
        Ok(Then::Close)
    });
    assert_eq!(logged(&proxy)["outcome"], "client_left");
}

#[test]
fn a_client_that_may_no_longer_is_cut_while_the_model_loads() {
    let silent = Silent::start();
    let proxy = Proxy::configured(&silent.backend, CONFIG);
    let mut client = waiting(&proxy, "/v1/chat/completions");
    client.chunk().unwrap();
    proxy.configure(&format!("{CONFIG}access: [{{clients: [user], allow: []}}]\n"));
    while let Some(chunk) = client.chunk() {
        assert_eq!(chunk, COMMENT);
    }
    silent.act(|exchange| {
        assert!(exchange.is_left());
        Ok(Then::Close)
    });
    assert_eq!(logged(&proxy)["outcome"], "cut");
}
