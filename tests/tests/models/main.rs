//! What the proxy has a real Ollama do with the configuration's models: pull them, from a registry that breaks off too, make
//! them from Modelfiles, delete the others.

#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on fails, in its helpers too"
)]

mod blobs;
mod private;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use corral_proxy::config::Model;
use corral_proxy::models::board::{Board, Wanted};
use corral_proxy::models::keep_ready;
use corral_proxy::readiness::Readiness;
use corral_proxy::status::{ModelState, ModelStatus};
use corral_proxy::upstream::Upstream;
use corral_tests::http_client::HttpClient;
use corral_tests::model;
use corral_tests::ollama::Ollama;
use corral_tests::registry::Registry;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use blobs::Blobs;

/// How long Ollama may take to answer a connection.
const CONNECTING: Duration = Duration::from_secs(10);

/// What a proxy does for models, without its doors.
struct Keeper {
    board: Arc<Board>,
    readiness: Arc<Readiness>,
    task: JoinHandle<Infallible>,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Keeper {
    fn start(ollama: &Ollama, wanted: Wanted) -> Self {
        let upstream = Arc::new(Upstream::new(&ollama.url().parse().unwrap(), CONNECTING));
        let (board, readiness) = (Arc::new(Board::new(wanted)), Arc::<Readiness>::default());
        let task = tokio::spawn({
            let (board, readiness) = (Arc::clone(&board), Arc::clone(&readiness));
            async move { keep_ready(upstream, &board, &readiness).await }
        });
        Self {
            board,
            readiness,
            task,
        }
    }

    fn want(&self, wanted: Wanted) {
        self.board.list(wanted);
    }

    fn first(&self) -> ModelStatus {
        self.board.statuses().remove(0)
    }

    /// Waits until the first model is like that, and sees all that it has been before.
    async fn until(&self, what: &str, mut is_so: impl FnMut(&ModelStatus) -> bool) -> ModelStatus {
        let start = Instant::now();
        loop {
            let status = self.first();
            if is_so(&status) {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(180), "{what}: {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn ready(&self) -> ModelStatus {
        self.until("ready", |status| status.state == ModelState::Ready)
            .await
    }
}

fn wanted(models: &[Model]) -> Wanted {
    Wanted {
        models: models.to_vec(),
        at_a_time: 2,
        prune: false,
    }
}

fn made(modelfile: &str) -> Model {
    Model {
        name: "team/kind".to_owned(),
        modelfile: Some(modelfile.to_owned()),
        ..Model::default()
    }
}

async fn names(ollama: &Ollama) -> Vec<String> {
    let tags = HttpClient::new(&ollama.url())
        .get("/api/tags", &[])
        .await
        .unwrap();
    let tags: Value = serde_json::from_str(&tags).unwrap();
    let models = tags["models"].as_array().unwrap().iter();
    let mut names: Vec<_> = models
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

async fn show(ollama: &Ollama, name: &str) -> Value {
    let client = HttpClient::new(&ollama.url());
    let shown = client
        .post("/api/show", &[], &json!({"model": name}))
        .await
        .unwrap();
    serde_json::from_str(&shown).unwrap()
}

#[tokio::test]
async fn a_model_is_what_its_modelfile_says() {
    let ollama = Ollama::start().await.unwrap();
    let first = made(
        "# Whoever asks\nFROM gemma3:270m\nSYSTEM \"\"\"You are kind.\nAlways.\"\"\"\nPARAMETER temperature 0.25\n\
         PARAMETER num_ctx 2048\nPARAMETER stop \"<end>\"\nPARAMETER stop The end\nMESSAGE user Hello\nMESSAGE assistant Hi\n\
         LICENSE Free of charge\nTEMPLATE {{ .System }} {{ .Prompt }}\n",
    );
    let keeper = Keeper::start(&ollama, wanted(std::slice::from_ref(&first)));
    let before = keeper.ready().await;
    let shown = show(&ollama, "team/kind").await;
    assert_eq!(shown["system"], "You are kind.\nAlways.");
    assert_eq!(shown["template"], "{{ .System }} {{ .Prompt }}");
    assert_eq!(shown["license"], "Free of charge");
    assert_eq!(
        shown["messages"],
        json!([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}])
    );
    let mut parameters: Vec<_> = shown["parameters"]
        .as_str()
        .unwrap()
        .lines()
        .map(str::split_whitespace)
        .collect();
    let parameters: Vec<_> = parameters
        .iter_mut()
        .map(|words| words.collect::<Vec<_>>().join(" "))
        .collect();
    for expected in [
        "num_ctx 2048",
        "temperature 0.25",
        "stop \"<end>\"",
        "stop \"The end\"",
    ] {
        assert!(
            parameters.iter().any(|one| one == expected),
            "{expected}: {parameters:?}"
        );
    }
    drop(keeper);

    // A proxy that starts anew makes it again, and it is the same.
    let keeper = Keeper::start(&ollama, wanted(&[first]));
    assert_eq!(keeper.ready().await.digest, before.digest);

    keeper.want(wanted(&[made("FROM gemma3:270m\nSYSTEM You are brief.")]));
    keeper
        .until("made again", |status| {
            status.state == ModelState::Ready && status.digest != before.digest
        })
        .await;
    let shown = show(&ollama, "team/kind").await;
    assert_eq!(shown["system"], "You are brief.");
    assert!(keeper.readiness.check().is_ok(), "it was ready and stays so");
    let question =
        json!({"model": "team/kind", "prompt": "Hi", "stream": false, "options": {"num_predict": 2}});
    let client = HttpClient::new(&ollama.url());
    let answer = client.post("/api/generate", &[], &question).await.unwrap();
    assert!(answer.contains("\"done\":true"), "{answer}");
}

#[tokio::test]
async fn what_nobody_lists_goes_and_what_is_needed_stays() {
    let ollama = Ollama::start().await.unwrap();
    let client = HttpClient::new(&ollama.url());
    let copy = json!({"source": model::NAME, "destination": "old/copy:1"});
    client.post("/api/copy", &[], &copy).await.unwrap();
    let mut wanted = wanted(&[made("FROM gemma3:270m\nSYSTEM You are kind.")]);
    let keeper = Keeper::start(&ollama, wanted.clone());
    keeper.ready().await;
    assert_eq!(
        names(&ollama).await,
        ["gemma3:270m", "old/copy:1", "team/kind:latest"]
    );
    wanted.prune = true;
    keeper.want(wanted);
    let start = Instant::now();
    while names(&ollama).await.len() == 3 {
        assert!(start.elapsed() < Duration::from_secs(120), "it is still there");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(names(&ollama).await, ["gemma3:270m", "team/kind:latest"]);
    let question =
        json!({"model": "team/kind", "prompt": "Hi", "stream": false, "options": {"num_predict": 2}});
    client.post("/api/generate", &[], &question).await.unwrap();
}

/// What a Modelfile sets for the runner itself makes another of it, and there is room for one; what it sets for answers doesn't.
#[tokio::test]
async fn models_that_do_not_stay_in_memory_are_counted() {
    let kept = |model: Model| Model {
        keep_loaded: true,
        ..model
    };
    let plain = Model {
        name: model::NAME.to_owned(),
        ..Model::default()
    };
    let both = |modelfile: &str| wanted(&[kept(plain.clone()), kept(made(modelfile))]);
    let one_at_a_time = [("OLLAMA_MAX_LOADED_MODELS", "1")];
    let (crowded, shared) = (
        Ollama::start_with(&one_at_a_time).await.unwrap(),
        Ollama::start_with(&one_at_a_time).await.unwrap(),
    );
    let shares = Keeper::start(&shared, both("FROM gemma3:270m\nSYSTEM You are kind."));
    shares.ready().await;
    let displaces = Keeper::start(&crowded, both("FROM gemma3:270m\nPARAMETER num_ctx 2048"));
    displaces
        .until("it is displaced again and again", |status| status.displaced >= 2)
        .await;
    for status in shares.board.statuses() {
        assert_eq!(
            (status.state, status.displaced),
            (ModelState::Ready, 0),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn a_pull_that_breaks_off_goes_on_where_it_was() {
    let blobs = Blobs::start(4).await;
    let registry = Registry::filled(&blobs.url).await.unwrap();
    let ollama = Ollama::without_models().await.unwrap();
    let model = Model {
        name: format!("{}/library/{}", registry.address(), model::NAME),
        insecure: true,
        ..Model::default()
    };
    let keeper = Keeper::start(&ollama, wanted(std::slice::from_ref(&model)));
    let mut most = 0;
    let part = keeper
        .until("a quarter of it is there", |status| {
            let completed = status.completed.unwrap_or(0);
            assert!(completed >= most, "it starts anew: {status:?}");
            most = completed;
            status.progress.is_some_and(|percent| percent >= 25)
        })
        .await;
    assert!(part.total.unwrap() > 200 << 20, "{part:?}");
    assert!(keeper.readiness.check().is_err(), "not ready without it");
    // What stops a pull, beside the registry: the configuration.
    keeper.want(Wanted::default());
    tokio::time::sleep(Duration::from_millis(500)).await;
    keeper.want(wanted(&[model]));
    let ready = keeper.ready().await;
    assert!(
        blobs.broken.load(Ordering::SeqCst) < 3,
        "not broken off as planned"
    );
    let (sent, size) = (blobs.sent.load(Ordering::SeqCst), ready.size.unwrap());
    println!("{sent} bytes for a model of {size}");
    assert!(sent >= size, "{sent} of {size} bytes");
    assert!(
        sent < size + (64 << 20),
        "{sent} bytes for {size}: much of it has been fetched again"
    );
}

#[tokio::test]
async fn a_failure_says_why_and_a_digest_is_held_to() {
    let blobs = Blobs::start(0).await;
    let registry = Registry::filled(&blobs.url).await.unwrap();
    let ollama = Ollama::without_models().await.unwrap();
    let model = Model {
        name: format!("{}/library/{}", registry.address(), model::NAME),
        ..Model::default()
    };
    let keeper = Keeper::start(&ollama, wanted(std::slice::from_ref(&model)));
    let failed = keeper
        .until("it fails", |status| status.state == ModelState::Failed)
        .await;
    let cause = failed.message.unwrap();
    assert!(cause.contains("HTTP response to HTTPS client"), "{cause}");

    let other = Model {
        insecure: true,
        digest: Some("0a".repeat(32)),
        ..model
    };
    keeper.want(wanted(std::slice::from_ref(&other)));
    let failed = keeper
        .until("it has another digest", |status| {
            status.state == ModelState::Failed && status.digest.is_some()
        })
        .await;
    let digest = failed.digest.unwrap();
    assert!(failed.message.unwrap().contains(&digest));
    let pinned = Model {
        digest: Some(format!("sha256:{digest}")),
        ..other
    };
    keeper.want(wanted(&[pinned]));
    assert_eq!(keeper.ready().await.digest, Some(digest));
}
