//! How far each model is, for `/status`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::name::CanonicalName;
use crate::config::{Config, Model};
use crate::status::{LoadedModel, ModelState, ModelStatus};

/// What the configuration wants of models.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those that are to be there.
    pub models: Vec<Model>,
    /// How many are looked after at a time.
    pub at_a_time: usize,
    /// Whether the others are deleted.
    pub prune: bool,
}

impl Wanted {
    /// What a configuration says of them.
    pub fn of(config: &Config) -> Self {
        Self {
            models: config.models.clone(),
            at_a_time: usize::try_from(config.parallel_pulls).unwrap_or(1),
            prune: config.prune_models,
        }
    }
}

/// The models of the configuration in force, and how far they are.
#[derive(Debug, Default)]
pub struct Board {
    listed: Mutex<Listed>,
    loaded: Mutex<Vec<LoadedModel>>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Listed {
    wanted: Wanted,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    model: Model,
    status: ModelStatus,
    made: Option<Made>,
}

/// What came of making a model: as long as both digests are the same it needn't be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// The model's own.
    pub(super) digest: String,
    /// That of the model that it was made from.
    pub(super) base: String,
}

/// How much of a model is pulled, in bytes, out of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) completed: u64,
    pub(super) total: u64,
}

impl Progress {
    /// Never over 99 before all is there: the whole is known only in the end.
    fn percent(self) -> u8 {
        let percent = (u128::from(self.completed) * 100).checked_div(self.total.into());
        u8::try_from(percent.unwrap_or(0).min(99)).unwrap_or(99)
    }
}

impl Entry {
    fn pending(model: &Model) -> Self {
        let status = ModelStatus {
            name: model.name.clone(),
            state: ModelState::Pending,
            progress: None,
            completed: None,
            total: None,
            digest: None,
            size: None,
            message: None,
            displaced: 0,
        };
        Self {
            model: model.clone(),
            status,
            made: None,
        }
    }
}

impl Board {
    /// All pending.
    pub fn new(wanted: Wanted) -> Self {
        let board = Self::default();
        *board.lock() = Listed {
            entries: wanted.models.iter().map(Entry::pending).collect(),
            wanted,
        };
        board
    }

    /// What the configuration wants that comes into force; what is known of models that stay is kept.
    pub fn list(&self, wanted: Wanted) {
        let mut listed = self.lock();
        if listed.wanted == wanted {
            return;
        }
        let kept = |model: &Model| listed.entries.iter().find(|entry| entry.model == *model).cloned();
        let entries = wanted
            .models
            .iter()
            .map(|model| kept(model).unwrap_or_else(|| Entry::pending(model)))
            .collect();
        *listed = Listed { wanted, entries };
        self.changed.notify_one();
    }

    /// Waits until something else is wanted.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is wanted.
    pub fn wanted(&self) -> Wanted {
        self.lock().wanted.clone()
    }

    /// What `/status` says of them.
    pub fn statuses(&self) -> Vec<ModelStatus> {
        let listed = self.lock();
        listed.entries.iter().map(|entry| entry.status.clone()).collect()
    }

    /// What is in memory, whoever has it loaded.
    pub fn loaded(&self) -> Vec<LoadedModel> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn note_loaded(&self, loaded: Vec<LoadedModel>) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    /// Whether each is ready.
    pub fn all_ready(&self) -> bool {
        self.lock()
            .entries
            .iter()
            .all(|entry| entry.status.state == ModelState::Ready)
    }

    /// The listed model of that name, as it is listed, where it isn't ready.
    pub(super) fn unready(&self, name: &CanonicalName) -> Option<String> {
        let listed = self.lock();
        let entry = listed
            .entries
            .iter()
            .find(|entry| CanonicalName::parse(&entry.model.name).as_ref() == Some(name))?;
        (entry.status.state != ModelState::Ready).then(|| entry.model.name.clone())
    }

    /// What came of making a model the last time.
    pub(super) fn made(&self, name: &str) -> Option<Made> {
        let listed = self.lock();
        let entry = listed.entries.iter().find(|entry| entry.model.name == name)?;
        entry.made.clone()
    }

    pub(super) fn note_made(&self, name: &str, made: Made) {
        self.update(name, |entry| entry.made = Some(made));
    }

    /// A pull begins. One that is tried again stays failed until something comes.
    pub(super) fn begins(&self, name: &str) {
        self.update(name, |entry| {
            if entry.status.state != ModelState::Failed {
                pulled(&mut entry.status, Progress::default());
            }
        });
    }

    pub(super) fn pulling(&self, name: &str, progress: Progress) {
        self.update(name, |entry| {
            if entry.status.state != ModelState::Failed || progress.completed < progress.total {
                pulled(&mut entry.status, progress);
            }
        });
    }

    pub(super) fn making(&self, name: &str) {
        self.update(name, |entry| {
            if entry.status.state != ModelState::Failed {
                unpulled(&mut entry.status, ModelState::Making, None);
            }
        });
    }

    pub(super) fn waits_for(&self, name: &str, base: &str) {
        let message = format!("waits for {base}");
        self.update(name, |entry| {
            unpulled(&mut entry.status, ModelState::Pending, Some(message));
        });
    }

    /// It isn't in memory and is being loaded. One that was ready has been displaced.
    pub(super) fn loading(&self, name: &str, digest: &str, size: u64) {
        self.update(name, |entry| {
            if entry.status.state == ModelState::Ready {
                entry.status.displaced = entry.status.displaced.saturating_add(1);
            }
        });
        self.there(name, ModelState::Loading, digest, size);
    }

    /// It was not displaced since the last look.
    pub(super) fn stays_loaded(&self, name: &str) {
        self.update(name, |entry| entry.status.displaced = 0);
    }

    pub(super) fn ready(&self, name: &str, digest: &str, size: u64) {
        self.there(name, ModelState::Ready, digest, size);
    }

    fn there(&self, name: &str, state: ModelState, digest: &str, size: u64) {
        self.update(name, |entry| {
            unpulled(&mut entry.status, state, None);
            entry.status.digest = Some(digest.to_owned());
            entry.status.size = Some(size);
        });
    }

    /// Says whether that is news.
    pub(super) fn failed(&self, name: &str, message: &str) -> bool {
        let mut is_news = false;
        self.update(name, |entry| {
            is_news = entry.status.message.as_deref() != Some(message);
            unpulled(&mut entry.status, ModelState::Failed, Some(message.to_owned()));
        });
        is_news
    }

    /// What is there has another digest than it must have.
    pub(super) fn has_digest(&self, name: &str, digest: &str, size: u64) {
        self.update(name, |entry| {
            entry.status.digest = Some(digest.to_owned());
            entry.status.size = Some(size);
        });
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        let mut listed = self.lock();
        if let Some(entry) = listed.entries.iter_mut().find(|entry| entry.model.name == name) {
            change(entry);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listed> {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pulled(status: &mut ModelStatus, progress: Progress) {
    status.state = ModelState::Pulling;
    status.progress = Some(progress.percent());
    status.completed = Some(progress.completed);
    status.total = Some(progress.total);
    status.message = None;
    status.digest = None;
    status.size = None;
}

fn unpulled(status: &mut ModelStatus, state: ModelState, message: Option<String>) {
    status.state = state;
    status.progress = None;
    status.completed = None;
    status.total = None;
    status.message = message;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        let model = |name: &&str| Model {
            name: (*name).into(),
            ..Model::default()
        };
        Wanted {
            models: names.iter().map(model).collect(),
            ..Wanted::default()
        }
    }

    #[test]
    fn what_is_known_outlives_a_change_of_the_list() {
        let board = Board::new(wanted(&["a", "b"]));
        board.ready("a", "sha256:1", 7);
        assert!(board.failed("b", "no space left"));
        assert!(!board.failed("b", "no space left"), "the same again");
        board.list(wanted(&["c", "a"]));
        let states: Vec<_> = board
            .statuses()
            .into_iter()
            .map(|status| (status.name, status.state))
            .collect();
        assert_eq!(
            states,
            [("c".into(), ModelState::Pending), ("a".into(), ModelState::Ready)]
        );
        assert!(!board.all_ready());
        let name = CanonicalName::parse("C:latest").unwrap();
        assert_eq!(board.unready(&name).as_deref(), Some("c"));
        board.ready("c", "sha256:2", 7);
        assert!(board.all_ready());
        assert_eq!(board.unready(&name), None);
    }

    #[test]
    fn a_model_stays_failed_until_more_of_it_comes() {
        let board = Board::new(wanted(&["a"]));
        let progress = |completed| Progress {
            completed,
            total: 300,
        };
        let state = || {
            let status = board.statuses().remove(0);
            (status.state, status.progress, status.completed, status.total)
        };
        board.begins("a");
        assert_eq!(state(), (ModelState::Pulling, Some(0), Some(0), Some(0)));
        board.pulling("a", progress(100));
        assert_eq!(state(), (ModelState::Pulling, Some(33), Some(100), Some(300)));
        board.failed("a", "connection reset");
        board.begins("a");
        assert_eq!(state(), (ModelState::Failed, None, None, None), "tried again");
        board.pulling("a", progress(101));
        assert_eq!(state(), (ModelState::Pulling, Some(33), Some(101), Some(300)));
        board.failed("a", "another digest than it must have");
        board.pulling("a", progress(300));
        assert_eq!(
            state(),
            (ModelState::Failed, None, None, None),
            "all of it was there before"
        );
    }

    #[test]
    fn looks_that_find_a_model_displaced_are_counted_in_a_row() {
        let board = Board::new(wanted(&["a"]));
        let displaced = || board.statuses().remove(0).displaced;
        let look = |expected, what: &str| {
            board.loading("a", "1", 7);
            board.ready("a", "1", 7);
            assert_eq!(displaced(), expected, "{what}");
        };
        look(0, "the first time it has to be loaded");
        look(1, "once");
        look(2, "and again");
        board.stays_loaded("a");
        board.ready("a", "1", 7);
        assert_eq!(displaced(), 0, "it stayed");
        board.failed("a", "Ollama has ended");
        look(0, "Ollama was away");
        look(1, "from the beginning");
    }

    #[test]
    fn percent_are_below_a_hundred_before_the_end() {
        for (completed, total, percent) in [
            (0, 0, 0),
            (1, 200, 0),
            (150, 200, 75),
            (200, 200, 99),
            (u64::MAX, 1, 99),
        ] {
            assert_eq!(
                Progress { completed, total }.percent(),
                percent,
                "{completed} of {total}"
            );
        }
    }
}
