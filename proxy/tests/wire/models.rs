//! The models of the configuration are made true before `/readyz` says so.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Pulls under way, and how many there have been at a time.
    pulls: usize,
    most_pulls: usize,
    /// How often each has changed.
    versions: BTreeMap<String, u32>,
}

impl Models {
    fn list(&self, names: &BTreeSet<String>) -> String {
        let entry = |name: &String| {
            let version = self.versions.get(name).copied().unwrap_or_default();
            let version = if version == 0 {
                String::new()
            } else {
                format!("-{version}")
            };
            json!({ "name": name, "digest": format!("digest-of-{name}{version}"), "size": 7 })
        };
        json!({ "models": names.iter().map(entry).collect::<Vec<_>>() }).to_string()
    }

    fn begin_pull(&mut self) {
        self.pulls += 1;
        self.most_pulls = self.most_pulls.max(self.pulls);
    }

    fn asked_for(&self, path: &str) -> Vec<&str> {
        let asked = self.asked.iter().filter_map(|asked| asked.strip_prefix(path));
        asked.map(str::trim_start).collect()
    }
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

fn answer(exchange: &mut Exchange, models: &Mutex<Models>) -> std::io::Result<Then> {
    if exchange.is("GET /api/tags ") {
        let body = {
            let models = models.lock().unwrap();
            models.list(&models.installed)
        };
        return exchange.answer("200 OK", &body);
    }
    if exchange.is("GET /api/ps ") {
        let body = {
            let models = models.lock().unwrap();
            models.list(&models.loaded)
        };
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
        models.lock().unwrap().begin_pull();
        let end = pull(exchange, models, model);
        models.lock().unwrap().pulls -= 1;
        return end;
    }
    if exchange.is("POST /api/create ") {
        let mut models = models.lock().unwrap();
        *models.versions.entry(model.clone()).or_default() += 1;
        models.installed.insert(model);
        return exchange.answer(
            "200 OK",
            "{\"status\":\"writing manifest\"}\n{\"status\":\"success\"}\n",
        );
    }
    if exchange.is("DELETE /api/delete ") {
        models.lock().unwrap().installed.remove(&model);
        return exchange.answer("200 OK", "");
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
    assert_eq!(field(&proxy, 0, "completed"), 84);
    assert_eq!(field(&proxy, 0, "total"), 200);
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

#[test]
fn several_are_pulled_at_a_time_and_no_more() {
    let (backend, models) = ollama();
    let proxy = Proxy::configured(
        &backend,
        "parallelPulls: 3\nmodels: [{name: a}, {name: b}, {name: c}, {name: d}, {name: e}]\n",
    );
    within(SOON, "three are pulled", || models.lock().unwrap().pulls == 3);
    let states: Vec<_> = (0..5).map(|model| field(&proxy, model, "state")).collect();
    assert_eq!(states[3..], ["Pending", "Pending"], "{states:?}");
    models.lock().unwrap().goes_on = true;
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    assert_eq!(models.lock().unwrap().most_pulls, 3);
}

#[test]
fn a_model_is_made_from_a_modelfile_after_the_one_that_it_begins_with() {
    let (backend, models) = ollama();
    let config = |system: &str| {
        format!(
            "models:\n- {{name: made, insecure: true, modelfile: \"FROM other/base\\nSYSTEM {system}\"}}\n\
             - {{name: again, modelfile: FROM made}}\n"
        )
    };
    let proxy = Proxy::configured(&backend, &config("Be kind."));
    within(SOON, "the base is pulled", || {
        field(&proxy, 0, "state") == "Pulling"
    });
    within(SOON, "the second waits", || {
        field(&proxy, 1, "message") == "waits for made"
    });
    assert_eq!(field(&proxy, 1, "state"), "Pending");
    models.lock().unwrap().goes_on = true;
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let asked = models.lock().unwrap().asked.clone();
    assert_eq!(
        asked,
        [
            r#"/api/pull {"insecure":true,"model":"other/base","stream":true}"#,
            r#"/api/create {"from":"other/base","model":"made","stream":true,"system":"Be kind."}"#,
            r#"/api/create {"from":"made","model":"again","stream":true}"#,
        ]
    );
    assert_eq!(field(&proxy, 0, "digest"), "digest-of-made-1");

    proxy.configure(&config("Be brief."));
    within(SOON, "it is made again, and what is made from it", || {
        (field(&proxy, 0, "digest"), field(&proxy, 1, "digest"))
            == ("digest-of-made-2".into(), "digest-of-again-2".into())
    });
    assert_eq!(proxy.admin("/readyz").status, 200);
    assert!(models.lock().unwrap().asked_for("/api/create")[2].contains("Be brief."));
}

#[test]
fn a_model_whose_modelfile_nobody_knows_is_left_as_it_is() {
    let (backend, models) = ollama();
    models.lock().unwrap().installed.insert("made:latest".into());
    let proxy = Proxy::configured(
        &backend,
        "models: [{name: made, problem: ConfigMap x is missing}]\n",
    );
    within(SOON, "it failed", || field(&proxy, 0, "state") == "Failed");
    assert_eq!(field(&proxy, 0, "message"), "ConfigMap x is missing");
    assert_eq!(models.lock().unwrap().asked, Vec::<String>::new());
}

#[test]
fn a_model_with_another_digest_than_it_must_have_is_not_ready() {
    let (backend, models) = ollama();
    models.lock().unwrap().goes_on = true;
    let pinned = "0a".repeat(32);
    let proxy = Proxy::configured(
        &backend,
        &format!("models: [{{name: tiny, digest: \"sha256:{pinned}\"}}]\n"),
    );
    within(SOON, "it failed", || field(&proxy, 0, "state") == "Failed");
    let message = field(&proxy, 0, "message");
    let words = format!("its digest is digest-of-tiny, not sha256:{pinned} as it must be");
    assert!(message.as_str().unwrap().starts_with(&words), "{message}");
    assert_eq!(field(&proxy, 0, "digest"), "digest-of-tiny");
    assert_eq!(proxy.admin("/readyz").status, 503);
}

#[test]
fn only_what_nobody_lists_is_deleted_and_only_where_that_is_asked_for() {
    let (backend, models) = ollama();
    models.lock().unwrap().goes_on = true;
    for name in ["base:latest", "tiny:latest", "old:latest", "hf.co/a/b:q4"] {
        models.lock().unwrap().installed.insert(name.into());
    }
    let listed = "models: [{name: Tiny}, {name: made, modelfile: FROM base}, {name: other}]\n";
    let proxy = Proxy::configured(&backend, listed);
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    proxy.configure(&format!("pruneModels: true\n{listed}"));
    // A list is in force for some time before anything goes.
    within(2 * SOON + SOON, "the others go", || {
        models.lock().unwrap().asked_for("/api/delete").len() == 2
    });
    let models = models.lock().unwrap();
    assert_eq!(
        models.asked_for("/api/delete"),
        [r#"{"model":"hf.co/a/b:q4"}"#, r#"{"model":"old:latest"}"#]
    );
    let left: Vec<_> = models.installed.iter().map(String::as_str).collect();
    assert_eq!(left, ["base:latest", "made", "other", "tiny:latest"]);
}
