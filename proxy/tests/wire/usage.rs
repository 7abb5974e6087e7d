//! The tokens of an answer are counted, and the answer is what it was.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, mpsc};

use serde_json::Value;

use crate::backend::{Backend, Exchange, Then};
use crate::proxy::{Proxy, SOON, USER, request, within};

const CHAT: &str = concat!(
    r#"{"model":"Gemma3:270M","message":{"content":"Hel"},"done":false}"#,
    "\n",
    r#"{"model":"Gemma3:270M","message":{"content":"lo"},"done":false}"#,
    "\n",
    r#"{"model":"Gemma3:270M","message":{"content":""},"done":true,"prompt_eval_count":12,"eval_count":3}"#,
    "\n",
);
const COMPLETION: &str = concat!(
    r#"data: {"model":"gemma3:270m","choices":[{"delta":{"content":"Hi"},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"model":"gemma3:270m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}"#,
    "\n\ndata: [DONE]\n\n",
);

fn begin(exchange: &mut Exchange, content_type: &str) -> io::Result<()> {
    exchange.read_body()?;
    exchange.begin(content_type)
}

/// Pieces of sizes that follow from `seed`.
fn pieces(body: &str, seed: usize) -> impl Iterator<Item = &str> {
    let (mut rest, mut state) = (body, seed);
    std::iter::from_fn(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = (state >> 33) % 40 + 1;
        let (piece, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

fn lines(proxy: &Proxy) -> Vec<Value> {
    let output = proxy.output();
    let lines = output.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["method"].is_string()).collect()
}

/// Model, tokens read and written, and whether they are estimated, of each line of the access log.
fn counted(proxy: &Proxy) -> Vec<[Value; 4]> {
    lines(proxy)
        .iter()
        .map(|line| {
            ["model", "inputTokens", "outputTokens", "tokensEstimated"].map(|field| line[field].clone())
        })
        .collect()
}

#[test]
fn the_client_sees_the_bytes_that_ollama_sends_however_they_are_cut() {
    let seeds = Mutex::new(0..);
    let backend = Backend::answering(move |exchange| {
        let seed = seeds.lock().unwrap().next().unwrap();
        let (content_type, body) = if exchange.is("POST /api/chat ") {
            ("application/x-ndjson", CHAT)
        } else {
            ("text/event-stream", COMPLETION)
        };
        begin(exchange, content_type)?;
        for piece in pieces(body, seed) {
            exchange.chunk(piece)?;
        }
        exchange.chunk("")?;
        Ok(Then::KeepAlive)
    });
    let proxy = Proxy::configured(&backend, "log: {format: json}\n");
    let mut client = proxy.client();
    for _ in 0..20 {
        for (path, body) in [("/api/chat", CHAT), ("/v1/chat/completions", COMPLETION)] {
            let answer = client.exchange(request("POST", path, USER, "{}"));
            assert_eq!((answer.body.as_str(), answer.complete), (body, true), "{path}");
        }
    }
    within(SOON, "all are logged", || lines(&proxy).len() == 40);
    for line in counted(&proxy).chunks(2) {
        assert_eq!(
            line[0].clone().map(|value| value.to_string()),
            ["\"gemma3:270m\"", "12", "3", "false"]
        );
        assert_eq!(
            line[1].clone().map(|value| value.to_string()),
            ["\"gemma3:270m\"", "5", "2", "false"]
        );
    }
    let expected = [
        r#"gen_ai_client_inference_usage_input_tokens_total{client="user",http_route="/api/chat",gen_ai_response_model="gemma3:270m"} 240"#,
        r#"gen_ai_client_inference_usage_output_tokens_total{client="user",http_route="/api/chat",gen_ai_response_model="gemma3:270m"} 60"#,
        r#"gen_ai_client_inference_usage_input_tokens_total{client="user",http_route="/v1/chat/completions",gen_ai_response_model="gemma3:270m"} 100"#,
        r#"gen_ai_client_operation_time_to_first_chunk_seconds_count{http_route="/api/chat",gen_ai_response_model="gemma3:270m"} 20"#,
    ];
    let metrics = proxy.admin("/metrics").body;
    for line in expected {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[test]
fn what_was_written_before_a_stream_is_cut_is_counted() {
    let backend = Backend::answering(|exchange| {
        begin(exchange, "application/x-ndjson")?;
        for line in CHAT.split_inclusive('\n').take(2) {
            exchange.chunk(line)?;
        }
        if exchange.is("POST /api/chat ") {
            return Ok(Then::Close);
        }
        assert!(exchange.is_left());
        Ok(Then::Close)
    });
    let proxy = Proxy::configured(&backend, "log: {format: json}\n");
    let answer = proxy.exchange(request("POST", "/api/chat", USER, "{}"));
    assert!(!answer.complete, "the upstream left");
    let mut client = proxy.client();
    client.send(request("POST", "/api/generate", USER, "{}"));
    client.head().unwrap();
    let mut seen = String::new();
    while seen.lines().count() < 2 {
        seen += &client.chunk().unwrap();
    }
    drop(client);
    within(SOON, "both are logged", || lines(&proxy).len() == 2);
    for (line, outcome) in lines(&proxy).iter().zip(["upstream_left", "client_left"]) {
        assert_eq!(line["outcome"], outcome);
    }
    for line in counted(&proxy) {
        assert_eq!(
            line.map(|value| value.to_string()),
            ["\"gemma3:270m\"", "0", "2", "true"]
        );
    }
}

#[test]
fn what_is_no_answer_of_a_model_has_no_tokens() {
    let backend = Backend::answering(|exchange| {
        exchange.read_body()?;
        let status = if exchange.is("POST /api/chat ") {
            "404 Not Found"
        } else {
            "200 OK"
        };
        exchange.answer(
            status,
            r#"{"model":"m","done":true,"prompt_eval_count":5,"eval_count":5}"#,
        )
    });
    let proxy = Proxy::configured(&backend, "log: {format: json}\n");
    for path in ["/api/chat", "/api/show"] {
        proxy.exchange(request("POST", path, USER, "{}"));
    }
    within(SOON, "both are logged", || lines(&proxy).len() == 2);
    for line in counted(&proxy) {
        assert_eq!(line, [Value::Null, Value::Null, Value::Null, Value::Null]);
    }
    assert!(!proxy.admin("/metrics").body.contains("_tokens_total{"));
}

const ASKED: &str = r#","stream_options":{"include_usage":true}}"#;
const ZEROS: &str = r#","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}"#;
const USAGE: &str = concat!(
    r#"data: {"choices":[],"model":"m","usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
    "\n\n"
);
const DONE: &str = "data: [DONE]\n\n";

/// Answers as Ollama does (ollama/middleware/openai.go), and remembers what it was asked.
fn completing(asked: mpsc::Sender<String>) -> Backend {
    let asked = Mutex::new(asked);
    Backend::answering(move |exchange| {
        let body = exchange.body()?;
        let with_usage = body.contains(r#""include_usage":true"#);
        asked.lock().unwrap().send(body).unwrap();
        exchange.begin("text/event-stream")?;
        let zeros = if with_usage && exchange.is("POST /v1/completions ") {
            ZEROS
        } else {
            ""
        };
        for word in ["Hi", " there"] {
            exchange.chunk(&event(word, zeros))?;
        }
        exchange.chunk(&[if with_usage { USAGE } else { "" }, DONE].concat())?;
        exchange.chunk("")?;
        Ok(Then::KeepAlive)
    })
}

fn event(word: &str, usage: &str) -> String {
    let choice = format!(r#"{{"text":"{word}","delta":{{"content":"{word}"}},"finish_reason":null}}"#);
    format!("data: {{\"choices\":[{choice}],\"model\":\"m\"{usage}}}\n\n")
}

#[test]
fn a_stream_is_asked_for_its_tokens_and_the_client_sees_nothing_of_it() {
    let plain = [&event("Hi", ""), &event(" there", ""), DONE].concat();
    let with_usage = [&event("Hi", ""), &event(" there", ""), USAGE, DONE].concat();
    let with_zeros = [&event("Hi", ZEROS), &event(" there", ZEROS), USAGE, DONE].concat();
    let stream = r#"{"model":"m","stream":true}"#;
    let with_options = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    let without_usage = r#"{"model":"m","stream":true,"stream_options":{"include_usage":false}}"#;
    let judged = "access: [{clients: [user], allow: [Inference], models: [m]}]\n";
    let exact = (5, 2, false);
    let estimated = (0, 2, true);
    // The configuration, the route, the question, whether it is asked for tokens, what the client sees, and what is
    // counted.
    let cases = [
        ("", "/v1/chat/completions", stream, true, &plain, exact),
        ("", "/v1/completions", stream, true, &plain, exact),
        (judged, "/v1/chat/completions", stream, true, &plain, exact),
        (judged, "/v1/completions", stream, true, &plain, exact),
        (
            "",
            "/v1/chat/completions",
            with_options,
            false,
            &with_usage,
            exact,
        ),
        ("", "/v1/completions", with_options, false, &with_zeros, exact),
        (
            "",
            "/v1/chat/completions",
            without_usage,
            false,
            &plain,
            estimated,
        ),
        (
            "",
            "/v1/chat/completions",
            r#"{"model":"m"}"#,
            false,
            &plain,
            estimated,
        ),
        (
            "streams: {askForUsage: false}\n",
            "/v1/chat/completions",
            stream,
            false,
            &plain,
            estimated,
        ),
        (
            "streams: {heartbeatSeconds: 60}\n",
            "/v1/completions",
            stream,
            true,
            &plain,
            exact,
        ),
    ];
    for (config, path, question, is_asked, seen, (input, output, is_estimated)) in cases {
        let (ask, asked) = mpsc::channel();
        let backend = completing(ask);
        let proxy = Proxy::configured(&backend, &format!("log: {{format: json}}\n{config}"));
        let length = question.len();
        let chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &question[..5],
            length - 5,
            &question[5..]
        );
        for (number, request) in [request("POST", path, USER, question), chunked]
            .iter()
            .enumerate()
        {
            let name = format!("{config:?} {path} {question}, request {number}");
            let answer = proxy.exchange(request);
            assert_eq!((&answer.body, answer.complete), (seen, true), "{name}");
            let forwarded = if is_asked {
                format!("{}{ASKED}", question.trim_end_matches('}'))
            } else {
                question.to_owned()
            };
            assert_eq!(asked.recv().unwrap(), forwarded, "{name}");
            within(SOON, "it is logged", || lines(&proxy).len() == number + 1);
            let line = lines(&proxy).pop().unwrap();
            assert_eq!(line["bytesReceived"], length, "{name}");
            assert_eq!(line["bytesSent"], seen.len(), "{name}");
            let counted = counted(&proxy).pop().unwrap();
            let expected: [Value; 4] = [
                "m:latest".into(),
                input.into(),
                output.into(),
                is_estimated.into(),
            ];
            assert_eq!(counted, expected, "{name}");
        }
    }
}

/// Name and type of each metric: a family shows once it has been used.
fn listed(metrics: &str) -> BTreeSet<(&str, &str)> {
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).collect()
}

#[test]
fn the_documentation_lists_the_metrics_that_there_are() {
    let (of_the_proxy, _of_the_operator) = include_str!("../../../docs/metrics.md")
        .split_once("## The operator's")
        .unwrap();
    let rows = of_the_proxy
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let documented: BTreeSet<_> = rows
        .filter_map(|(name, rest)| Some((name, rest.split_once(" |")?.0)))
        .collect();
    let backend = Backend::answering(|exchange| {
        begin(exchange, "application/x-ndjson")?;
        for line in CHAT.split_inclusive('\n') {
            exchange.chunk(line)?;
        }
        exchange.chunk("")?;
        Ok(Then::KeepAlive)
    });
    let nowhere = "  kubernetes: {audiences: [ollama], server: \"http://127.0.0.1:1\"}\n";
    let proxy = Proxy::configured(&backend, nowhere);
    proxy.exchange(request("POST", "/api/chat", USER, "{}"));
    let mut metrics = String::new();
    within(SOON, "each metric has been used", || {
        metrics = proxy.admin("/metrics").body;
        listed(&metrics).len() >= documented.len()
    });
    assert_eq!(listed(&metrics), documented);
}
