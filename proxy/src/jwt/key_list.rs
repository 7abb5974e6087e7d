//! Keys that were read, before they are looked at together.

use super::key::Key;
use super::problem::KeyProblem;

/// The keys, and those that don't count.
#[derive(Default)]
pub(crate) struct KeyList {
    pub(super) keys: Vec<Key>,
    pub(super) refused: Vec<Refused>,
}

/// A key that doesn't count, for what is wrong with it.
pub(super) struct Refused {
    /// What tokens would call it.
    pub(super) name: Option<String>,
    pub(super) problem: KeyProblem,
}
