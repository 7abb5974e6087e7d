//! The harness's own promises: a real Ollama answers with a real model, and what is done to its models stays there.

use corral_tests::http_client::HttpClient;
use corral_tests::ollama::Ollama;
use corral_tests::{command, model};
use serde_json::{Value, json};

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
