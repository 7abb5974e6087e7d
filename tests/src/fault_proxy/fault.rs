//! Which requests meet which fault.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::watch;

use super::exchange::Target;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with that status and reason and not passed on.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The reason, in the API server's words.
        reason: &'static str,
        /// The header Retry-After, in seconds.
        retry_after: Option<u32>,
    },
    /// Its connection is cut, and it is not passed on.
    Cut,
    /// It is passed on, and its connection is cut when the API server has answered.
    CutAfter,
    /// It waits before it is passed on, and is dropped when the fault is over.
    Hold,
    /// Its answer waits, and is dropped when the fault is over.
    HoldAfter,
    /// It is passed on after a while.
    Delay(Duration),
}

/// Which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pattern {
    /// Their verbs, any without one; `write` is every verb that asks for a change.
    pub verbs: Vec<&'static str>,
    /// Their resource, any without it.
    pub resource: Option<String>,
    /// Their object's name, any without it.
    pub name: Option<String>,
}

impl Pattern {
    /// Whether a request is one of them.
    pub fn matches(&self, target: &Target) -> bool {
        let Self {
            verbs,
            resource,
            name,
        } = self;
        let verb = |verb: &&'static str| *verb == target.verb || *verb == "write" && target.is_write();
        (verbs.is_empty() || verbs.iter().any(verb))
            && resource
                .as_ref()
                .is_none_or(|resource| *resource == target.resource)
            && name.as_ref().is_none_or(|name| *name == target.name)
    }
}

/// A fault for some of the requests of a pattern.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which requests.
    pub pattern: Pattern,
    /// How many of them pass first.
    pub skip: usize,
    /// How many of them then meet the fault.
    pub times: usize,
    /// What happens to these.
    pub fault: Fault,
}

/// A fault that may happen, until this is dropped.
#[derive(Debug)]
pub struct Armed {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    rule: Rule,
    seen: Mutex<usize>,
    met: watch::Sender<usize>,
}

impl Armed {
    /// Waits until the fault has begun to happen to so many requests.
    ///
    /// # Errors
    /// When it hasn't within that time.
    pub async fn met(&self, times: usize, within: Duration) -> Result<()> {
        let mut met = self.state.met.subscribe();
        let wait = met.wait_for(|met| *met >= times);
        tokio::time::timeout(within, wait)
            .await
            .with_context(|| format!("no request for {:?}", self.state.rule))?
            .map(drop)
            .context("the fault is over")
    }

    /// How many requests have met it.
    pub fn count(&self) -> usize {
        *self.state.met.borrow()
    }
}

/// The armed faults.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Weak<State>>>);

impl Faults {
    pub(super) fn arm(&self, rule: Rule) -> Armed {
        let state = Arc::new(State {
            rule,
            seen: Mutex::new(0),
            met: watch::Sender::new(0),
        });
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&state));
        Armed { state }
    }

    /// The fault that a request meets: the first that is armed for it.
    pub(super) fn of(&self, target: &Target) -> Option<Met> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).find_map(|state| {
            let Rule {
                pattern,
                skip,
                times,
                fault,
            } = &state.rule;
            if !pattern.matches(target) {
                return None;
            }
            let mut seen = state.seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen += 1;
            (*seen > *skip && *seen - *skip <= *times).then(|| Met {
                fault: *fault,
                over: Over(state.met.subscribe()),
                state: Arc::downgrade(&state),
            })
        })
    }
}

/// A fault that a request has met.
pub(super) struct Met {
    pub(super) fault: Fault,
    over: Over,
    state: Weak<State>,
}

struct Over(watch::Receiver<usize>);

impl Met {
    /// Says that it has begun to happen.
    pub(super) fn begin(&self) {
        if let Some(state) = self.state.upgrade() {
            state.met.send_modify(|met| *met += 1);
        }
    }

    /// Returns when it is over.
    pub(super) async fn over(mut self) {
        while self.over.0.changed().await.is_ok() {}
    }
}
