//! Numbers by what they are of, found once: labels are compared a single time instead of once for each number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use foldhash::fast::RandomState;

/// The numbers of all that has been counted.
#[derive(Debug)]
pub(super) struct Found<Of, Numbers>(RwLock<HashMap<Of, Numbers, RandomState>>);

impl<Of, Numbers> Default for Found<Of, Numbers> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<Of: Eq + Hash, Numbers> Found<Of, Numbers> {
    /// Notes something in the numbers of one thing, which `find` finds the first time.
    pub(super) fn note(&self, of: Of, find: impl FnOnce(&Of) -> Numbers, note: impl FnOnce(&Numbers)) {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(numbers) = known.get(&of) {
            return note(numbers);
        }
        drop(known);
        // Held while they are found: what is given back meanwhile would be noted where nobody looks.
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        note(known.entry(of).or_insert_with_key(find));
    }

    /// A part of each thing that has numbers.
    pub(super) fn parts<Part>(&self, part: impl Fn(&Of) -> Option<Part>) -> Vec<Part> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.keys().filter_map(part).collect()
    }

    /// Forgets the numbers of what is gone, and has each given back.
    pub(super) fn forget(&self, is_gone: impl Fn(&Of) -> bool, mut give_back: impl FnMut(&Of)) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|of, _| {
            let gone = is_gone(of);
            if gone {
                give_back(of);
            }
            !gone
        });
    }
}
