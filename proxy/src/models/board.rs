//! How far each model is, for `/status`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::Model;
use crate::status::{LoadedModel, ModelState, ModelStatus};

/// The models of the configuration in force, and how far they are.
#[derive(Debug, Default)]
pub struct Board {
    entries: Mutex<Vec<Entry>>,
    loaded: Mutex<Vec<LoadedModel>>,
    changed: Notify,
}

#[derive(Clone, Debug)]
struct Entry {
    model: Model,
    status: ModelStatus,
}

impl Entry {
    fn pending(model: &Model) -> Self {
        let status = ModelStatus {
            name: model.name.clone(),
            state: ModelState::Pending,
            progress: None,
            digest: None,
            size: None,
            message: None,
        };
        Self {
            model: model.clone(),
            status,
        }
    }
}

impl Board {
    /// All pending.
    pub fn new(models: &[Model]) -> Self {
        let board = Self::default();
        *board.lock() = models.iter().map(Entry::pending).collect();
        board
    }

    /// The models of the configuration that comes into force; what is known of those that stay is kept.
    pub fn list(&self, models: &[Model]) {
        let mut entries = self.lock();
        if entries.iter().map(|entry| &entry.model).eq(models) {
            return;
        }
        let kept = |model: &Model| entries.iter().find(|entry| entry.model == *model).cloned();
        *entries = models
            .iter()
            .map(|model| kept(model).unwrap_or_else(|| Entry::pending(model)))
            .collect();
        self.changed.notify_one();
    }

    /// Waits until the list is another.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The models.
    pub fn models(&self) -> Vec<Model> {
        self.lock().iter().map(|entry| entry.model.clone()).collect()
    }

    /// What `/status` says of them.
    pub fn statuses(&self) -> Vec<ModelStatus> {
        self.lock().iter().map(|entry| entry.status.clone()).collect()
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
            .iter()
            .all(|entry| entry.status.state == ModelState::Ready)
    }

    pub(super) fn pulling(&self, name: &str, percent: u8) {
        self.update(name, |status| {
            status.state = ModelState::Pulling;
            status.progress = Some(percent);
            status.message = None;
            status.digest = None;
            status.size = None;
        });
    }

    pub(super) fn loading(&self, name: &str, digest: &str, size: u64) {
        self.there(name, ModelState::Loading, digest, size);
    }

    pub(super) fn ready(&self, name: &str, digest: &str, size: u64) {
        self.there(name, ModelState::Ready, digest, size);
    }

    fn there(&self, name: &str, state: ModelState, digest: &str, size: u64) {
        self.update(name, |status| {
            status.state = state;
            status.progress = None;
            status.message = None;
            status.digest = Some(digest.to_owned());
            status.size = Some(size);
        });
    }

    /// Says whether that is news.
    pub(super) fn failed(&self, name: &str, message: &str) -> bool {
        let mut is_news = false;
        self.update(name, |status| {
            status.state = ModelState::Failed;
            status.progress = None;
            is_news = status.message.as_deref() != Some(message);
            status.message = Some(message.to_owned());
        });
        is_news
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut ModelStatus)) {
        if let Some(entry) = self.lock().iter_mut().find(|entry| entry.model.name == name) {
            change(&mut entry.status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str) -> Model {
        Model {
            name: name.into(),
            keep_loaded: false,
            insecure: false,
        }
    }

    #[test]
    fn what_is_known_outlives_a_change_of_the_list() {
        let board = Board::new(&[model("a"), model("b")]);
        board.ready("a", "sha256:1", 7);
        assert!(board.failed("b", "no space left"));
        assert!(!board.failed("b", "no space left"), "the same again");
        board.list(&[model("c"), model("a")]);
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
        board.ready("c", "sha256:2", 7);
        assert!(board.all_ready());
    }
}
