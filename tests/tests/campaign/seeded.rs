//! Chance that follows from a seed (SplitMix64).

use std::sync::{Mutex, PoisonError};

pub(crate) struct Seeded(Mutex<u64>);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }

    /// A number below that bound.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
        usize::try_from(mixed % bound).unwrap_or_default()
    }

    /// Some of them, in a random order.
    pub(crate) fn draw<T>(&self, mut from: Vec<T>, most: usize) -> Vec<T> {
        let mut drawn = Vec::new();
        while drawn.len() < most && !from.is_empty() {
            drawn.push(from.swap_remove(self.below(from.len())));
        }
        drawn
    }
}
