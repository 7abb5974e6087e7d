//! What was read, by what it depends on.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A map that several reconciles share.
#[derive(Debug)]
pub(super) struct Remembered<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    /// What was read, if anything was.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.lock().get(key).cloned()
    }

    /// What was read, if anything was; it is not kept.
    pub(super) fn take(&self, key: &K) -> Option<V> {
        self.lock().remove(key)
    }

    /// Keeps what was read in place of what was read before.
    pub(super) fn insert(&self, key: K, value: V) {
        self.lock().insert(key, value);
    }

    /// Forgets what was read.
    pub(super) fn forget(&self, gone: impl Fn(&K) -> bool) {
        self.lock().retain(|key, _| !gone(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
