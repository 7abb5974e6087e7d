use super::*;
use http::HeaderValue;

const NDJSON: &str = "application/x-ndjson";
const SSE: &str = "text/event-stream";
const JSON: &str = "application/json; charset=utf-8";

/// A name, the route, the media type, the body, and its tokens: read, written, whether estimated.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, (u64, u64, bool));

/// Answers as Ollama 0.17.4 gives them, and what they took.
const WHOLE: &[Case<'_>] = &[
    (
        "generate",
        "/api/generate",
        NDJSON,
        concat!(
            r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.6Z","response":"Hel","done":false}"#,
            "\n",
            r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.7Z","response":"lo","done":false}"#,
            "\n",
            r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.8Z","response":"","done":true,"done_reason":"stop","context":[105,2364,107],"total_duration":5,"load_duration":1,"prompt_eval_count":12,"prompt_eval_duration":2,"eval_count":3,"eval_duration":2}"#,
            "\n",
        ),
        (12, 3, false),
    ),
    (
        "chat",
        "/api/chat",
        NDJSON,
        concat!(
            r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.6Z","message":{"role":"assistant","content":"Hi"},"done":false}"#,
            "\n",
            r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.8Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":5,"prompt_eval_count":10,"eval_count":2}"#,
            "\n",
        ),
        (10, 2, false),
    ),
    (
        "chat at once",
        "/api/chat",
        JSON,
        r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.6Z","message":{"role":"assistant","content":"Hi {\"eval_count\":7}"},"done":true,"done_reason":"stop","prompt_eval_count":10,"eval_count":2}"#,
        (10, 2, false),
    ),
    (
        "a model loaded",
        "/api/generate",
        JSON,
        r#"{"model":"gemma3:270m","created_at":"2026-01-02T03:04:05.6Z","response":"","done":true,"done_reason":"load"}"#,
        (0, 0, false),
    ),
    (
        "a stream whose end has no number of what was written",
        "/api/chat",
        NDJSON,
        concat!(
            r#"{"model":"gemma3:270m","message":{"content":"a"},"done":false}"#,
            "\n",
            r#"{"model":"gemma3:270m","message":{"content":""},"done":true,"prompt_eval_count":10}"#,
            "\n",
        ),
        (10, 1, true),
    ),
    (
        "an error in mid-stream",
        "/api/chat",
        NDJSON,
        concat!(
            r#"{"model":"gemma3:270m","message":{"content":"a"},"done":false}"#,
            "\n",
            r#"{"error":"the runner has stopped","prompt_eval_count":9}"#,
            "\n",
        ),
        (0, 1, true),
    ),
    (
        "an embedding",
        "/api/embed",
        JSON,
        r#"{"model":"gemma3:270m","embeddings":[[0.1,-2e-3],[1,2]],"total_duration":5,"load_duration":1,"prompt_eval_count":8}"#,
        (8, 0, false),
    ),
    (
        "an embedding in OpenAI's shape",
        "/v1/embeddings",
        JSON,
        r#"{"object":"list","data":[{"object":"embedding","embedding":[0.1,-2e-3],"index":0}],"model":"gemma3:270m","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        (8, 0, false),
    ),
    (
        "chat completions with usage",
        "/v1/chat/completions",
        SSE,
        concat!(
            r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gemma3:270m","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gemma3:270m","system_fingerprint":"fp_ollama","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}"#,
            "\n\n",
            r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gemma3:270m","system_fingerprint":"fp_ollama","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13}}"#,
            "\n\ndata: [DONE]\n\n",
        ),
        (11, 2, false),
    ),
    (
        "chat completions without usage",
        "/v1/chat/completions",
        SSE,
        concat!(
            r#"data: {"model":"gemma3:270m","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"model":"gemma3:270m","choices":[{"index":0,"delta":{"content":"b"},"finish_reason":null}]}"#,
            "\n\n",
            r#"data: {"model":"gemma3:270m","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}"#,
            "\n\ndata: [DONE]\n\n",
        ),
        (0, 2, true),
    ),
    (
        "chat completions at once",
        "/v1/chat/completions",
        JSON,
        r#"{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gemma3:270m","system_fingerprint":"fp_ollama","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":2,"total_tokens":13}}"#,
        (11, 2, false),
    ),
    (
        "completions with a usage of zero in each chunk",
        "/v1/completions",
        SSE,
        concat!(
            r#"data: {"id":"cmpl-1","object":"text_completion","created":1,"choices":[{"text":"a","index":0,"finish_reason":null}],"model":"gemma3:270m","usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#,
            "\n\n",
            r#"data: {"id":"cmpl-1","object":"text_completion","created":1,"choices":[],"model":"gemma3:270m","usage":{"prompt_tokens":4,"completion_tokens":2,"total_tokens":6}}"#,
            "\n\ndata: [DONE]\n\n",
        ),
        (4, 2, false),
    ),
    (
        "responses",
        "/v1/responses",
        SSE,
        concat!(
            "event: response.created\n",
            r#"data: {"response":{"model":"gemma3:270m","tools":[{"usage":{"input_tokens":99}}],"usage":null},"sequence_number":0,"type":"response.created"}"#,
            "\n\nevent: response.output_text.delta\n",
            r#"data: {"content_index":0,"delta":"Hi","item_id":"msg_1","logprobs":[],"output_index":0,"sequence_number":4,"type":"response.output_text.delta"}"#,
            "\n\nevent: response.completed\n",
            r#"data: {"response":{"model":"gemma3:270m","output":[],"usage":{"input_tokens":13,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":15}},"sequence_number":8,"type":"response.completed"}"#,
            "\n\n",
        ),
        (13, 2, false),
    ),
    (
        "responses at once",
        "/v1/responses",
        JSON,
        r#"{"id":"resp_1","object":"response","model":"gemma3:270m","output":[{"type":"message","content":[{"type":"output_text","text":"Hi"}]}],"usage":{"input_tokens":13,"output_tokens":2,"total_tokens":15}}"#,
        (13, 2, false),
    ),
    (
        "messages",
        "/v1/messages",
        SSE,
        concat!(
            "event: message_start\n",
            r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"gemma3:270m","content":[],"usage":{"input_tokens":7,"output_tokens":0}}}"#,
            "\n\nevent: content_block_delta\n",
            r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
            "\n\nevent: message_delta\n",
            r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":10,"output_tokens":2}}"#,
            "\n\nevent: message_stop\n",
            r#"data: {"type":"message_stop"}"#,
            "\n\n",
        ),
        (10, 2, false),
    ),
    (
        "messages at once",
        "/v1/messages",
        JSON,
        r#"{"id":"msg_1","type":"message","role":"assistant","model":"gemma3:270m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":2}}"#,
        (10, 2, false),
    ),
];

fn head(content_type: &'static str) -> HeaderMap {
    [(CONTENT_TYPE, HeaderValue::from_static(content_type))]
        .into_iter()
        .collect()
}

fn meter(route: &str, content_type: &'static str) -> Meter {
    Meter::of(route, StatusCode::OK, &head(content_type)).unwrap()
}

fn usage((input, output, estimated): (u64, u64, bool)) -> Usage {
    Usage {
        input,
        output,
        estimated,
    }
}

#[test]
fn every_format_is_counted_wherever_it_is_cut() {
    for (name, route, content_type, body, expected) in WHOLE {
        for cut in 0..=body.len() {
            let mut meter = meter(route, content_type);
            let (first, second) = body.as_bytes().split_at(cut);
            meter.read(first);
            meter.read(second);
            assert_eq!(meter.usage(), usage(*expected), "{name}, cut at {cut}");
            assert_eq!(meter.model(), Some("gemma3:270m"), "{name}, cut at {cut}");
        }
        let mut meter = meter(route, content_type);
        for byte in body.as_bytes() {
            meter.read(&[*byte]);
        }
        assert_eq!(meter.usage(), usage(*expected), "{name}, byte by byte");
    }
}

#[test]
fn a_stream_that_ends_early_is_estimated_by_its_chunks() {
    // The route, the media type, what comes before the stream is cut, and its tokens.
    let cases = [
        (
            "/api/chat",
            NDJSON,
            "{\"model\":\"m\",\"done\":false}\n{\"done\":fal",
            (0, 1),
        ),
        ("/api/chat", NDJSON, "", (0, 0)),
        (
            "/v1/completions",
            SSE,
            concat!(
                r#"data: {"choices":[{"text":"a","finish_reason":null}],"usage":{"prompt_tokens":0,"completion_tokens":0}}"#,
                "\n\n"
            ),
            (0, 1),
        ),
        (
            "/v1/responses",
            SSE,
            concat!(
                r#"data: {"delta":"a","type":"response.reasoning_summary_text.delta"}"#,
                "\n\n",
                r#"data: {"delta":"a","type":"response.output_text.delta"}"#,
                "\n\n"
            ),
            (0, 2),
        ),
        (
            "/v1/messages",
            SSE,
            concat!(
                r#"data: {"type":"message_start","message":{"model":"m","usage":{"input_tokens":7,"output_tokens":0}}}"#,
                "\r\n\r\n: a comment\r\n\r\n",
                r#"data:{"type":"content_block_delta","delta":{"type":"text_delta"}}"#,
                "\r\n"
            ),
            (7, 1),
        ),
        (
            "/api/chat",
            JSON,
            r#"{"model":"m","message":{"content":"long"#,
            (0, 0),
        ),
    ];
    for (route, content_type, body, (input, output)) in cases {
        let mut meter = meter(route, content_type);
        meter.read(body.as_bytes());
        assert_eq!(meter.usage(), usage((input, output, true)), "{route}: {body}");
        assert_eq!(meter.chunks(), output, "{route}: {body}");
    }
}

#[test]
fn what_has_no_numbers_or_hides_them_is_not_counted() {
    let encoded = {
        let mut headers = head(NDJSON);
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers
    };
    let cases = [
        ("an answer", "/api/chat", 200, head(NDJSON), true),
        ("an error", "/api/chat", 404, head(JSON), false),
        ("an encoded answer", "/api/chat", 200, encoded, false),
        ("another media type", "/api/chat", 200, head("text/html"), false),
        ("no media type", "/api/chat", 200, HeaderMap::new(), false),
        (
            "a transcription",
            "/v1/audio/transcriptions",
            200,
            head(JSON),
            false,
        ),
        ("no inference", "/api/pull", 200, head(NDJSON), false),
    ];
    for (name, route, status, headers, counted) in cases {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(Meter::of(route, status, &headers).is_some(), counted, "{name}");
    }
}

#[test]
fn a_long_line_is_read_and_not_kept() {
    let context = "262144,".repeat(200_000);
    let mut meter = meter("/api/generate", NDJSON);
    meter.read(br#"{"model":"m","response":""#);
    meter.read("word ".repeat(100_000).as_bytes());
    meter.read(br#"","done":true,"context":["#);
    meter.read(context.as_bytes());
    meter.read(b"1],\"prompt_eval_count\":131072,\"eval_count\":5}\n");
    assert_eq!(meter.usage(), usage((131_072, 5, false)));
    assert!(meter.reader.kept() <= 512, "{}", meter.reader.kept());
}
