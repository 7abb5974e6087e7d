//! Names that others choose, as labels: only so many of them are told apart.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use crate::credentials::OTHERS;

/// The names that have come, up to a limit.
#[derive(Debug)]
pub(super) struct Names {
    most: usize,
    known: RwLock<HashSet<Arc<str>>>,
}

impl Names {
    /// None yet, and never more than `most`.
    pub(super) fn up_to(most: usize) -> Self {
        Self {
            most,
            known: RwLock::default(),
        }
    }

    /// The name itself if it is among those that are told apart, or can still become one of them.
    pub(super) fn label(&self, name: &Arc<str>) -> Arc<str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(name) {
            return Arc::clone(name);
        }
        drop(known);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < self.most || known.contains(name) {
            known.insert(Arc::clone(name));
            return Arc::clone(name);
        }
        OTHERS.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_are_one() {
        let names = Names::up_to(20);
        let name = |number: usize| Arc::from(format!("name {number}"));
        for number in 0..20 {
            assert_eq!(names.label(&name(number)), name(number));
        }
        let cases = [
            ("one too many", name(20), "other"),
            ("another", name(21), "other"),
            ("a known one", name(7), "name 7"),
        ];
        for (case, name, label) in cases {
            assert_eq!(&*names.label(&name), label, "{case}");
        }
    }
}
