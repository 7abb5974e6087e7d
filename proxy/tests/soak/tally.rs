//! What has happened, and what must not have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Shared by all that run.
#[derive(Clone, Default)]
pub(crate) struct Tally(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    events: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn count(&self, event: &'static str) {
        *self.lock().events.entry(event).or_default() += 1;
    }

    /// Notes what must not happen.
    pub(crate) fn wrong(&self, what: String) {
        self.lock().wrong.push(what);
    }

    pub(crate) fn of(&self, event: &'static str) -> u64 {
        self.lock().events.get(event).copied().unwrap_or_default()
    }

    /// Prints all counts and says what was wrong, the first of it.
    pub(crate) fn report(&self) -> Vec<String> {
        let counts = self.lock();
        for (event, count) in &counts.events {
            println!("{count:>9}  {event}");
        }
        println!("{:>9}  wrong", counts.wrong.len());
        counts.wrong.iter().take(20).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no thread panics")
    }
}
