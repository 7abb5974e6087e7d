//! The harness's own promises: a real Ollama answers with a real model, and what is done to its models stays there. And
//! what the proxy reads from its answers is what it says.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails, in its helpers too"
)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corral_proxy::accept::{Acceptor, Limits};
use corral_proxy::config::flags::Flags;
use corral_proxy::in_force::InForce;
use corral_proxy::proxy::Proxy;
use corral_tests::http_client::HttpClient;
use corral_tests::ollama::Ollama;
use corral_tests::{command, model};
use serde_json::{Value, json};
use tokio::net::TcpListener;

#[tokio::test]
async fn a_real_model_answers_in_a_stream() {
    let ollama = Ollama::start().await.unwrap();
    let client = HttpClient::new(&ollama.url());
    let body =
        json!({"model": model::NAME, "prompt": "Say hello.", "options": {"num_predict": 8, "seed": 1}});
    let mut lines = Vec::new();
    client
        .post_lines("/api/generate", &[], &body, |line| {
            lines.push(serde_json::from_str::<Value>(line).unwrap());
        })
        .await
        .unwrap();
    assert!(lines.len() > 2, "one line for each token: {lines:?}");
    assert_eq!(lines.last().unwrap()["done"], json!(true));
}

#[tokio::test]
async fn a_model_deleted_in_one_is_still_in_the_next() {
    let first = Ollama::start().await.unwrap();
    command::output(first.command().unwrap().args(["rm", model::NAME])).unwrap();
    let second = Ollama::start().await.unwrap();
    for (ollama, present) in [(&first, false), (&second, true)] {
        let list = command::output(ollama.command().unwrap().arg("list")).unwrap();
        assert_eq!(list.contains(model::NAME), present, "{list}");
    }
}

/// Ollama computes in a process of its own, which outlives a server that is killed.
#[tokio::test]
async fn one_that_is_dropped_leaves_no_runner_behind() {
    let ollama = Ollama::start().await.unwrap();
    let client = HttpClient::new(&ollama.url());
    let body = json!({"model": model::NAME, "prompt": "Hi", "stream": false, "options": {"num_predict": 1}});
    client.post("/api/generate", &[], &body).await.unwrap();
    let folder = ollama.log().ancestors().nth(2).unwrap().to_owned();
    let processes = || {
        let listing = std::process::Command::new("pgrep")
            .arg("-f")
            .arg(folder.join("models"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&listing.stdout).lines().count()
    };
    assert_eq!(processes(), 1, "the runner");
    drop(ollama);
    assert_eq!(processes(), 0, "the runner is still there");
    assert!(!folder.exists());
}

/// The access log of a proxy inside this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The line that comes next, as soon as it is there.
    async fn next(&self) -> Value {
        loop {
            {
                let mut bytes = self.0.lock().unwrap();
                if let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
                    let line: Vec<u8> = bytes.drain(..=end).collect();
                    return serde_json::from_slice(&line).unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

const KEY: &str = "sk-usage-0123456789abcdef";

/// Where a proxy before that Ollama listens, with this at the end of its configuration file, and its log.
async fn proxy_before(ollama: &Ollama, config: &str) -> (String, Log) {
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("keys"), KEY).unwrap();
    let file = files.path().join("proxy.yaml");
    std::fs::write(&file, format!("log: {{format: json}}\n{config}")).unwrap();
    let flags = Flags {
        config: Some(file),
        api_keys: Some(files.path().join("keys")),
        upstream: Some(ollama.url().parse().unwrap()),
        ..Flags::default()
    };
    serve(&flags).await
}

/// Where a proxy with these flags listens, and its log.
async fn serve(flags: &Flags) -> (String, Log) {
    let log = Log::default();
    let proxy = Proxy::new(InForce::first(flags.load().unwrap()), log.clone()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let acceptor = Acceptor::new(Arc::new(proxy), Limits::default());
    tokio::spawn(async move { acceptor.accept(listener).await });
    (url, log)
}

/// The last document of an answer that has this in it.
fn last_with(answer: &str, pointer: &str) -> Option<Value> {
    let documents = answer
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ").unwrap_or(line)).ok());
    documents
        .filter_map(|document| {
            document
                .pointer(pointer)
                .filter(|found| !found.is_null())
                .cloned()
        })
        .next_back()
}

#[tokio::test]
async fn the_proxy_counts_what_ollama_counts() {
    let ollama = Ollama::start().await.unwrap();
    let (url, log) = proxy_before(&ollama, "").await;
    let client = HttpClient::new(&url);
    let messages = json!([{"role": "user", "content": "Say hello to the whole world."}]);
    let options = json!({"num_predict": 8, "seed": 1});
    // The route, the question, and where the answer has what was read and what was written.
    let cases: [(&str, Value, &str, &str); 6] = [
        (
            "/api/generate",
            json!({"prompt": "Say hello.", "options": options}),
            "/prompt_eval_count",
            "/eval_count",
        ),
        (
            "/api/chat",
            json!({"messages": messages, "options": options}),
            "/prompt_eval_count",
            "/eval_count",
        ),
        (
            "/v1/chat/completions",
            json!({"messages": messages, "max_tokens": 8, "stream_options": {"include_usage": true}}),
            "/usage/prompt_tokens",
            "/usage/completion_tokens",
        ),
        (
            "/v1/completions",
            json!({"prompt": "Say hello.", "max_tokens": 8, "stream_options": {"include_usage": true}}),
            "/usage/prompt_tokens",
            "/usage/completion_tokens",
        ),
        (
            "/v1/responses",
            json!({"input": "Say hello.", "max_output_tokens": 8}),
            "/usage/input_tokens",
            "/usage/output_tokens",
        ),
        (
            "/v1/messages",
            json!({"messages": messages, "max_tokens": 8}),
            "/usage/input_tokens",
            "/usage/output_tokens",
        ),
    ];
    for (path, question, input, output) in cases {
        for stream in [true, false] {
            let mut question = question.clone();
            question["model"] = model::NAME.into();
            question["stream"] = stream.into();
            let answer = client.post(path, &[("x-api-key", KEY)], &question).await.unwrap();
            let said = |pointer: &str| {
                last_with(&answer, &format!("/response{pointer}")).or_else(|| last_with(&answer, pointer))
            };
            let line = log.next().await;
            let name = format!("{path}, stream {stream}: {line} for {answer}");
            assert_eq!(line["model"], model::NAME, "{name}");
            assert_eq!(line["tokensEstimated"], false, "{name}");
            assert_eq!(Some(line["inputTokens"].clone()), said(input), "{name}");
            assert_eq!(Some(line["outputTokens"].clone()), said(output), "{name}");
            assert!(line["inputTokens"].as_u64().unwrap() > 0, "{name}");
        }
    }
}

/// An answer without what differs from one time to the next: the number that Ollama draws for it, and the time.
fn without_id_and_time(answer: &str) -> String {
    let mut rest = answer;
    let mut same = String::new();
    while let Some(at) = ["\"id\":\"", "\"created\":"]
        .iter()
        .filter_map(|key| Some(rest.find(key)? + key.len()))
        .min()
    {
        let (before, after) = rest.split_at(at);
        same += before;
        rest = after.trim_start_matches(|letter| !",}".contains(letter));
    }
    same + rest
}

#[tokio::test]
async fn a_stream_that_is_asked_for_its_tokens_is_what_ollama_says_without() {
    let ollama = Ollama::start().await.unwrap();
    let (url, log) = proxy_before(&ollama, "").await;
    let messages = json!([{"role": "user", "content": "Write \"choices\":[] and \"usage\":{} in JSON."}]);
    let cases = [
        ("/v1/chat/completions", json!({"messages": messages})),
        (
            "/v1/completions",
            json!({"prompt": "Say hello to the whole world."}),
        ),
    ];
    for (path, mut question) in cases {
        question["model"] = model::NAME.into();
        question["stream"] = true.into();
        question["max_tokens"] = 6.into();
        question["temperature"] = 0.into();
        question["seed"] = 1.into();
        let key = [("x-api-key", KEY)];
        let ask = async |url: &str| HttpClient::new(url).post(path, &key, &question).await.unwrap();
        // The first answer may come from another state of the cache than those that follow.
        ask(&ollama.url()).await;
        let expected = without_id_and_time(&ask(&ollama.url()).await);
        assert!(!expected.contains("\"usage\""), "{expected}");
        assert_eq!(without_id_and_time(&ask(&url).await), expected, "{path}");
        let line = log.next().await;
        assert_eq!(line["tokensEstimated"], false, "{path}: {line}");
        let [input, output] = ["inputTokens", "outputTokens"].map(|field| line[field].as_u64().unwrap());
        assert!(input > output && output <= 6, "{path}: {line}");
    }
}

/// Where Ollama isn't asked for usage it gives none, and the proxy counts chunks.
#[tokio::test]
async fn an_estimate_is_near_what_ollama_counts() {
    let ollama = Ollama::start().await.unwrap();
    let (url, log) = proxy_before(&ollama, "streams: {askForUsage: false}\n").await;
    let client = HttpClient::new(&url);
    let mut question = json!({
        "model": model::NAME, "stream": true, "max_tokens": 8, "seed": 1,
        "messages": [{"role": "user", "content": "Count from one to fifty."}],
    });
    let estimated = {
        client
            .post("/v1/chat/completions", &[("x-api-key", KEY)], &question)
            .await
            .unwrap();
        log.next().await
    };
    assert_eq!(estimated["tokensEstimated"], true, "{estimated}");
    question["stream_options"] = json!({"include_usage": true});
    client
        .post("/v1/chat/completions", &[("x-api-key", KEY)], &question)
        .await
        .unwrap();
    let exact = log.next().await;
    let [estimated, exact] = [&estimated, &exact].map(|line| line["outputTokens"].as_u64().unwrap());
    assert!(estimated.abs_diff(exact) <= 2, "{estimated} instead of {exact}");
}

/// The stock CLI before the proxy (scenario S14), with the key that Ollama has made for it.
#[tokio::test(flavor = "multi_thread")]
async fn s14_the_stock_cli_comes_in_by_its_key_and_not_without() {
    let ollama = Ollama::start().await.unwrap();
    let keys = ollama.home().join("authorized_keys");
    let public_key = std::fs::read_to_string(ollama.home().join(".ollama/id_ed25519.pub")).unwrap();
    std::fs::write(&keys, format!("{} alice\n", public_key.trim())).unwrap();
    let flags = Flags {
        upstream: Some(ollama.url().parse().unwrap()),
        ollama_keys: Some(keys),
        ..Flags::default()
    };
    let (url, _) = serve(&flags).await;
    let run = |authenticated: &str, arguments: &[&str]| {
        let mut cli = ollama.command().unwrap();
        cli.env("OLLAMA_HOST", &url)
            .env("OLLAMA_AUTH", authenticated)
            .args(arguments);
        tokio::task::block_in_place(|| command::output(&mut cli))
    };
    // An empty prompt loads the model and says nothing: the CLI can't be told how much the model may say.
    let cases: [(&[&str], &str); 4] = [
        (&["list"], model::NAME),
        (&["show", model::NAME], "gemma3"),
        (&["run", model::NAME, ""], ""),
        (&["ps"], model::NAME),
    ];
    for (arguments, expected) in cases {
        let said = run("1", arguments).unwrap();
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(run("0", arguments).is_err(), "{arguments:?} without a signature");
    }
    let error = format!("{:#}", run("1", &["pull", model::NAME]).unwrap_err());
    assert!(error.contains("needs Manage"), "{error}");
}
