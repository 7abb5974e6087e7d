//! The models of the configuration are made true before `/readyz` says so.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::{Backend, Exchange, Then};
use crate::proxy::{Proxy, SOON, within};

/// What a fake Ollama has, and what it was asked to do.
#[derive(Default)]
struct Models {
    installed: BTreeSet<String>,
    loaded: BTreeSet<String>,
    asked: Vec<String>,
    /// Pulls wait until this is true.
    goes_on: bool,
}

type Shared = Arc<Mutex<Models>>;

fn ollama() -> (Backend, Shared) {
    let models = Shared::default();
    let shared = Arc::clone(&models);
    (
        Backend::answering(move |exchange| answer(exchange, &shared)),
        models,
    )
}

fn list(names: &BTreeSet<String>) -> String {
    let entry = |name: &String| json!({ "name": name, "digest": format!("digest-of-{name}"), "size": 7 });
    json!({ "models": names.iter().map(entry).collect::<Vec<_>>() }).to_string()
}

fn answer(exchange: &mut Exchange, models: &Mutex<Models>) -> std::io::Result<Then> {
    if exchange.is("GET /api/tags ") {
        let body = list(&models.lock().unwrap().installed);
        return exchange.answer("200 OK", &body);
    }
    if exchange.is("GET /api/ps ") {
        let body = list(&models.lock().unwrap().loaded);
        return exchange.answer("200 OK", &body);
    }
    let length = exchange.header("content-length").unwrap().parse().unwrap();
    let body: Value = serde_json::from_slice(&exchange.read_some(length)?).unwrap();
    let model = body["model"].as_str().unwrap().to_owned();
    models
        .lock()
        .unwrap()
        .asked
        .push(format!("{} {body}", exchange.head.split(' ').nth(1).unwrap()));
    if exchange.is("POST /api/pull ") {
        return pull(exchange, models, model);
    }
    if exchange.is("POST /api/generate ") && model.starts_with("embedder") {
        return exchange.answer(
            "400 Bad Request",
            r#"{"error":"\"embedder\" does not support generate"}"#,
        );
    }
    models.lock().unwrap().loaded.insert(model);
    exchange.answer("200 OK", "{}")
}

fn pull(exchange: &mut Exchange, models: &Mutex<Models>, model: String) -> std::io::Result<Then> {
    exchange.begin_stream()?;
    exchange.chunk("{\"status\":\"pulling manifest\"}\n")?;
    if model == "absent" {
        exchange.chunk("{\"error\":\"pull model manifest: file does not exist\"}\n")?;
        exchange.chunk("")?;
        return Ok(Then::KeepAlive);
    }
    exchange.chunk("{\"status\":\"pulling a\",\"digest\":\"sha256:a\",\"total\":200,\"completed\":84}\n")?;
    while !models.lock().unwrap().goes_on {
        std::thread::sleep(Duration::from_millis(5));
    }
    models.lock().unwrap().installed.insert(model);
    exchange.chunk("{\"status\":\"success\"}\n")?;
    exchange.chunk("")?;
    Ok(Then::KeepAlive)
}

fn field(proxy: &Proxy, model: usize, field: &str) -> Value {
    proxy.status()["models"][model][field].clone()
}

#[test]
fn a_missing_model_is_pulled_and_loaded_before_the_proxy_is_ready() {
    let (backend, models) = ollama();
    let proxy = Proxy::configured(
        &backend,
        "models: [{name: tiny, keepLoaded: true, insecure: true}]\n",
    );
    within(SOON, "progress", || field(&proxy, 0, "progress") == 42);
    assert_eq!(field(&proxy, 0, "state"), "Pulling");
    within(SOON, "the upstream is there, the model isn't", || {
        let answer = proxy.admin("/readyz");
        (answer.status, answer.body.as_str()) == (503, "not all models are there yet\n")
    });
    models.lock().unwrap().goes_on = true;
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let status = proxy.status();
    let expected = json!([{ "name": "tiny", "state": "Ready", "progress": null, "digest": "digest-of-tiny", "size": 7, "message": null }]);
    assert_eq!(status["models"], expected);
    let asked = models.lock().unwrap().asked.clone();
    assert_eq!(
        asked,
        [
            r#"/api/pull {"insecure":true,"model":"tiny","stream":true}"#,
            r#"/api/generate {"keep_alive":-1,"model":"tiny","stream":false}"#,
        ]
    );
}

#[test]
fn a_model_that_is_there_under_another_spelling_is_not_pulled() {
    let (backend, models) = ollama();
    models
        .lock()
        .unwrap()
        .installed
        .insert("registry.ollama.ai/library/Tiny:latest".into());
    let proxy = Proxy::configured(&backend, "models: [{name: tiny}]\n");
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    assert_eq!(models.lock().unwrap().asked, Vec::<String>::new());
}

#[test]
fn a_model_that_only_embeds_is_loaded_by_embedding_nothing() {
    let (backend, models) = ollama();
    models.lock().unwrap().installed.insert("embedder:latest".into());
    let proxy = Proxy::configured(&backend, "models: [{name: embedder, keepLoaded: true}]\n");
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let asked = models.lock().unwrap().asked.clone();
    assert_eq!(
        asked.last().unwrap(),
        r#"/api/embed {"input":"","keep_alive":-1,"model":"embedder"}"#
    );
}

#[test]
fn a_failed_pull_says_why_and_holds_up_nothing_else() {
    let (backend, models) = ollama();
    models.lock().unwrap().goes_on = true;
    let proxy = Proxy::configured(&backend, "models: [{name: absent}, {name: tiny}]\n");
    within(SOON, "the second is ready", || {
        field(&proxy, 1, "state") == "Ready"
    });
    within(SOON, "the first waits for another try", || {
        field(&proxy, 0, "state") == "Failed"
    });
    assert_eq!(
        field(&proxy, 0, "message"),
        "pull model manifest: file does not exist"
    );
    assert_eq!(proxy.admin("/readyz").status, 503);
    within(SOON, "another try", || {
        models
            .lock()
            .unwrap()
            .asked
            .iter()
            .filter(|asked| asked.contains("absent"))
            .count()
            > 1
    });
    proxy.configure("models: [{name: tiny}]\n");
    within(SOON, "ready without it", || proxy.admin("/readyz").status == 200);
}

#[test]
fn a_model_that_is_added_later_does_not_make_the_proxy_unready() {
    let (backend, models) = ollama();
    models.lock().unwrap().installed.insert("tiny:latest".into());
    let proxy = Proxy::configured(&backend, "models: [{name: tiny}]\n");
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    proxy.configure("models: [{name: tiny}, {name: other}]\n");
    within(SOON, "pulling", || field(&proxy, 1, "state") == "Pulling");
    assert_eq!(proxy.admin("/readyz").status, 200);
    models.lock().unwrap().goes_on = true;
    within(SOON, "there", || field(&proxy, 1, "state") == "Ready");
}
