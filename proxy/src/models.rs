//! Makes the configuration's models true: pulled, and loaded where that is asked for.

pub mod board;
pub mod modelfile;
pub mod name;
mod ollama;
pub mod pattern;
mod turns;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::config::Model;
use crate::readiness::Readiness;
use crate::status::LoadedModel;
use crate::upstream::Upstream;
use board::{Board, Made, Wanted};
use modelfile::Modelfile;
use name::CanonicalName;
use ollama::{Installed, Ollama, OllamaError};
use turns::{LOOK, Turns};

/// How often Ollama is asked whether it is there.
const PROBE: Duration = Duration::from_secs(2);
/// How often it is asked until it first answers: a start should not wait for this.
const FIRST_PROBE: Duration = Duration::from_millis(200);
/// How long a list is in force before models go that aren't on it: replicas that share a volume get it one after the other.
const FIRST_PRUNE: Duration = Duration::from_secs(20);
/// How often they go from then on.
const PRUNE: Duration = Duration::from_secs(300);

/// Keeps the models of `board` ready and tells `readiness` how that goes, for ever.
pub async fn keep_ready(upstream: Arc<Upstream>, board: &Board, readiness: &Readiness) -> Infallible {
    let ollama = Ollama::new(upstream);
    tokio::select! {
        never = probe(readiness, &ollama) => never,
        never = keep_models(board, readiness, &ollama) => never,
        never = watch_memory(board, &ollama) => never,
    }
}

async fn probe(readiness: &Readiness, ollama: &Ollama) -> Infallible {
    let mut pause = FIRST_PROBE;
    loop {
        let answers = ollama.version().await.is_ok();
        readiness.note_upstream(answers);
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
async fn keep_models(board: &Board, readiness: &Readiness, ollama: &Ollama) -> Infallible {
    loop {
        let wanted = board.wanted();
        if wanted.models.is_empty() {
            readiness.note_models_ready();
        }
        tokio::select! {
            () = board.changed() => {}
            never = look_after(&wanted, board, readiness, ollama) => match never {},
        }
    }
}

/// Looks after the models, several at a time, each when it is its turn.
async fn look_after(wanted: &Wanted, board: &Board, readiness: &Readiness, ollama: &Ollama) -> Infallible {
    let mut turns = Turns::new(wanted.models.len(), Instant::now());
    let mut under_way = FuturesUnordered::new();
    let mut prune_at = Instant::now() + FIRST_PRUNE;
    let at_a_time = wanted.at_a_time.max(1);
    loop {
        while under_way.len() < at_a_time
            && let Some(index) = turns.begin(Instant::now())
        {
            under_way.push(one_turn(index, &wanted.models[index], board, ollama));
        }
        tokio::select! {
            Some((index, end)) = under_way.next() => {
                end_turn(&mut turns, index, &end);
                if board.all_ready() {
                    readiness.note_models_ready();
                }
            }
            () = tokio::time::sleep(turns.until_next(Instant::now())), if under_way.len() < at_a_time => {}
        }
        if wanted.prune && prune_at <= Instant::now() && board.all_ready() {
            prune(wanted, ollama).await;
            prune_at = Instant::now() + PRUNE;
        }
    }
}

/// How a turn ended.
enum End {
    Ready,
    /// It is made from another that isn't there yet.
    Waits,
    Failed(OllamaError),
}

async fn one_turn(index: usize, model: &Model, board: &Board, ollama: &Ollama) -> (usize, End) {
    let unready_base = modelfile::base(model).and_then(|base| board.unready(&base));
    if let Some(base) = unready_base {
        board.waits_for(&model.name, &base);
        return (index, End::Waits);
    }
    let end = match make_ready(model, board, ollama).await {
        Ok(()) => End::Ready,
        Err(error) => {
            let message = error.to_string();
            if board.failed(&model.name, &message) {
                tracing::warn!(model = model.name, message, "a model isn't ready");
            }
            End::Failed(error)
        }
    };
    (index, end)
}

fn end_turn(turns: &mut Turns, index: usize, end: &End) {
    let now = Instant::now();
    match end {
        End::Ready => turns.succeeded(index, now),
        End::Waits => turns.waits(index, now),
        // While Ollama is away its models aren't to blame: they are tried again soon after it is back.
        End::Failed(OllamaError::Upstream(_)) => turns.was_hindered(index, now),
        End::Failed(_) => turns.failed(index, now),
    }
}

/// Pull it or make it if it isn't there as it should be → load it if it should be loaded.
async fn make_ready(model: &Model, board: &Board, ollama: &Ollama) -> Result<(), OllamaError> {
    if let Some(problem) = &model.problem {
        return Err(OllamaError::Undefined(problem.clone()));
    }
    let installed = match &model.modelfile {
        None => pulled(model, board, ollama).await?,
        Some(text) => {
            let modelfile =
                Modelfile::parse(text).map_err(|error| OllamaError::Undefined(error.to_string()))?;
            made(model, &modelfile, board, ollama).await?
        }
    };
    if model.keep_loaded {
        keep_loaded(model, &installed, board, ollama).await?;
    }
    board.ready(&model.name, &installed.digest, installed.size);
    Ok(())
}

async fn keep_loaded(
    model: &Model,
    installed: &Installed,
    board: &Board,
    ollama: &Ollama,
) -> Result<(), OllamaError> {
    let mut stays = is_loaded(model, ollama).await?;
    if !stays {
        board.loading(&model.name, &installed.digest, installed.size);
        ollama.load(&model.name).await?;
        // Another of the same weights answers for it, under its own name (schedulerModelKey in Ollama's server/sched.go).
        stays = !is_loaded(model, ollama).await?;
    }
    if stays {
        board.stays_loaded(&model.name);
    }
    Ok(())
}

/// One that has another digest than it must have is pulled too: the registry may have the right one by now.
async fn pulled(model: &Model, board: &Board, ollama: &Ollama) -> Result<Installed, OllamaError> {
    let installed = find(&model.name, &ollama.installed().await?);
    if let Some(installed) = installed.filter(|installed| model.is_pinned_to(&installed.digest)) {
        return Ok(installed);
    }
    let installed = pull(&model.name, model, board, ollama).await?;
    if model.is_pinned_to(&installed.digest) {
        return Ok(installed);
    }
    board.has_digest(&model.name, &installed.digest, installed.size);
    Err(OllamaError::OtherDigest {
        digest: installed.digest,
        pinned: model.digest.clone().unwrap_or_default(),
    })
}

/// Pulls a model and tells of it as of the one that it is for.
async fn pull(name: &str, of: &Model, board: &Board, ollama: &Ollama) -> Result<Installed, OllamaError> {
    board.begins(&of.name);
    let tell = |progress| board.pulling(&of.name, progress);
    ollama.pull(name, of.insecure, tell).await?;
    find(name, &ollama.installed().await?).ok_or(OllamaError::NotThere)
}

/// Makes a model, unless that has been done and nobody has changed it or what it is made from since.
async fn made(
    model: &Model,
    modelfile: &Modelfile,
    board: &Board,
    ollama: &Ollama,
) -> Result<Installed, OllamaError> {
    let all = ollama.installed().await?;
    let base = find(&modelfile.from, &all);
    let earlier = board.made(&model.name);
    if let (Some(installed), Some(earlier)) = (find(&model.name, &all), earlier)
        && installed.digest == earlier.digest
        && base.as_ref().is_none_or(|base| base.digest == earlier.base)
    {
        return Ok(installed);
    }
    let base = match base {
        Some(base) => base,
        None => pull(&modelfile.from, model, board, ollama).await?,
    };
    board.making(&model.name);
    ollama.create(&modelfile.request(&model.name)).await?;
    let installed = find(&model.name, &ollama.installed().await?).ok_or(OllamaError::NotThere)?;
    let made = Made {
        digest: installed.digest.clone(),
        base: base.digest,
    };
    board.note_made(&model.name, made);
    Ok(installed)
}

/// Deletes what nobody lists and nothing listed is made from.
async fn prune(wanted: &Wanted, ollama: &Ollama) {
    let listed = wanted
        .models
        .iter()
        .filter_map(|model| CanonicalName::parse(&model.name));
    let bases = wanted.models.iter().filter_map(modelfile::base);
    let kept: BTreeSet<_> = listed.chain(bases).collect();
    // What can't be asked for or deleted now is looked at again.
    for Installed { name, .. } in ollama.installed().await.unwrap_or_default() {
        let is_kept = CanonicalName::parse(&name).is_none_or(|name| kept.contains(&name));
        if is_kept {
            continue;
        }
        match ollama.delete(&name).await {
            Ok(()) => tracing::info!(model = name, "deleted a model that isn't listed"),
            Err(error) => tracing::warn!(model = name, %error, "a model that isn't listed can't be deleted"),
        }
    }
}

fn find(name: &str, all: &[Installed]) -> Option<Installed> {
    let wanted = CanonicalName::parse(name);
    all.iter()
        .find(|found| CanonicalName::parse(&found.name) == wanted)
        .cloned()
}

async fn is_loaded(model: &Model, ollama: &Ollama) -> Result<bool, OllamaError> {
    Ok(find(&model.name, &ollama.loaded().await?).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

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
