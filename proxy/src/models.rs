//! Makes the configuration's models true: pulled, and loaded where that is asked for.

pub mod board;
pub mod name;
mod ollama;
pub mod pattern;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Model;
use crate::proxy::Proxy;
use crate::status::LoadedModel;
use board::Board;
use name::CanonicalName;
use ollama::{Installed, Ollama, OllamaError};

/// How often Ollama is asked whether it is there.
const PROBE: Duration = Duration::from_secs(2);
/// How often it is asked until it first answers: a start should not wait for this.
const FIRST_PROBE: Duration = Duration::from_millis(200);
/// How often models are looked after once all are ready.
const LOOK: Duration = Duration::from_secs(30);
/// The wait after the first failure; it doubles with each further one.
const SHORTEST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// Keeps `/readyz` and the models of `/status` true, for ever.
pub async fn keep_ready(proxy: Arc<Proxy>) -> Infallible {
    let ollama = Ollama::new(Arc::clone(proxy.upstream()));
    tokio::select! {
        never = probe(&proxy, &ollama) => never,
        never = keep_models(&proxy, &ollama) => never,
        never = watch_memory(proxy.models(), &ollama) => never,
    }
}

async fn probe(proxy: &Proxy, ollama: &Ollama) -> Infallible {
    let mut pause = FIRST_PROBE;
    loop {
        let answers = ollama.version().await.is_ok();
        proxy.readiness().note_upstream(answers);
        if answers {
            pause = PROBE;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Keeps `/status` true of what is in memory and of whether it is a GPU's.
async fn watch_memory(board: &Board, ollama: &Ollama) -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        // An Ollama that doesn't answer has nothing in memory that anybody could use.
        let loaded = ollama.loaded().await.unwrap_or_default();
        board.note_loaded(loaded.into_iter().map(LoadedModel::from).collect());
    }
}

impl From<Installed> for LoadedModel {
    fn from(loaded: Installed) -> Self {
        Self {
            name: loaded.name,
            size: loaded.size,
            size_vram: loaded.size_vram,
        }
    }
}

/// A change of the configuration stops a pull; Ollama goes on from there when it is asked again.
async fn keep_models(proxy: &Proxy, ollama: &Ollama) -> Infallible {
    let board = proxy.models();
    let mut retries = Retries::default();
    loop {
        let models = board.models();
        if models.is_empty() {
            proxy.readiness().note_models_ready();
            board.changed().await;
            continue;
        }
        tokio::select! {
            () = board.changed() => retries = Retries::default(),
            () = look_after(&models, board, ollama, &mut retries) => {
                if board.all_ready() {
                    proxy.readiness().note_models_ready();
                }
                tokio::select! {
                    () = board.changed() => retries = Retries::default(),
                    () = tokio::time::sleep(retries.pause(Instant::now())) => {}
                }
            }
        }
    }
}

/// One look at each model that isn't waiting for its next try.
async fn look_after(models: &[Model], board: &Board, ollama: &Ollama, retries: &mut Retries) {
    for model in models {
        if !retries.is_due(&model.name, Instant::now()) {
            continue;
        }
        match make_ready(model, board, ollama).await {
            Ok(()) => retries.forget(&model.name),
            Err(error) => {
                let message = error.to_string();
                if board.failed(&model.name, &message) {
                    tracing::warn!(model = model.name, message, "a model isn't ready");
                }
                // While Ollama is away its models aren't to blame: they are tried again soon after it is back.
                if matches!(error, OllamaError::Upstream(_)) {
                    retries.forget(&model.name);
                }
                retries.note_failure(&model.name, Instant::now());
            }
        }
    }
}

/// List → pull if it is missing → load if it should be loaded.
async fn make_ready(model: &Model, board: &Board, ollama: &Ollama) -> Result<(), OllamaError> {
    let installed = match find(model, ollama).await? {
        Some(installed) => installed,
        None => {
            board.pulling(&model.name, 0);
            ollama
                .pull(model, |percent| board.pulling(&model.name, percent))
                .await?;
            find(model, ollama).await?.ok_or(OllamaError::NotThere)?
        }
    };
    if model.keep_loaded && !is_loaded(model, ollama).await? {
        board.loading(&model.name, &installed.digest, installed.size);
        ollama.load(&model.name).await?;
    }
    board.ready(&model.name, &installed.digest, installed.size);
    Ok(())
}

async fn find(model: &Model, ollama: &Ollama) -> Result<Option<Installed>, OllamaError> {
    let wanted = CanonicalName::parse(&model.name);
    let installed = ollama.installed().await?;
    Ok(installed
        .into_iter()
        .find(|found| CanonicalName::parse(&found.name) == wanted))
}

async fn is_loaded(model: &Model, ollama: &Ollama) -> Result<bool, OllamaError> {
    let wanted = CanonicalName::parse(&model.name);
    let loaded = ollama.loaded().await?;
    Ok(loaded
        .iter()
        .any(|found| CanonicalName::parse(&found.name) == wanted))
}

/// When each failed model may be tried again.
#[derive(Default)]
struct Retries(BTreeMap<String, Retry>);

struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retries {
    fn is_due(&self, model: &str, now: Instant) -> bool {
        self.0.get(model).is_none_or(|retry| retry.at <= now)
    }

    fn forget(&mut self, model: &str) {
        self.0.remove(model);
    }

    fn note_failure(&mut self, model: &str, now: Instant) {
        let pause = self
            .0
            .get(model)
            .map_or(SHORTEST_RETRY, |retry| (retry.pause * 2).min(LONGEST_RETRY));
        self.0.insert(
            model.to_owned(),
            Retry {
                at: now + pause,
                pause,
            },
        );
    }

    /// Until the next try, or the next look.
    fn pause(&self, now: Instant) -> Duration {
        self.0
            .values()
            .map(|retry| retry.at.saturating_duration_since(now))
            .min()
            .unwrap_or(LOOK)
            .min(LOOK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait() {
        let mut now = Instant::now();
        let mut retries = Retries::default();
        assert!(retries.is_due("a", now));
        assert_eq!(retries.pause(now), LOOK, "nothing has failed");
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            retries.note_failure("a", now);
            assert!(!retries.is_due("a", now), "{seconds} s");
            assert!(retries.is_due("b", now), "{seconds} s: another model");
            assert_eq!(
                retries.pause(now),
                LOOK.min(Duration::from_secs(seconds)),
                "{seconds} s"
            );
            now += Duration::from_secs(seconds);
            assert!(retries.is_due("a", now), "{seconds} s later");
        }
        retries.forget("a");
        retries.note_failure("a", now);
        assert_eq!(retries.pause(now), SHORTEST_RETRY, "after a success");
    }

    #[test]
    fn what_is_in_memory_says_how_much_of_it_is_a_gpus() {
        let cases = [
            (
                r#"{"name": "m", "size": 100, "size_vram": 40, "context_length": 4096}"#,
                40,
            ),
            (r#"{"name": "m", "size": 100, "digest": "x"}"#, 0),
        ];
        for (answer, size_vram) in cases {
            let loaded: Installed = serde_json::from_str(answer).unwrap();
            let expected = LoadedModel {
                name: "m".to_owned(),
                size: 100,
                size_vram,
            };
            assert_eq!(LoadedModel::from(loaded), expected, "{answer}");
        }
    }
}
