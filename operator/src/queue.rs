//! Which OllamaServices wait to be reconciled, and who is next.
//!
//! The controller takes what waits in any order. So it is given only as many as it can begin with, and the rest waits here in
//! the order in which it came. What concerns many at once, such as a Secret that they share or a list that was read anew,
//! waits for what concerns one: else a change of one would wait for a thousand others.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures::Stream;
use kube::runtime::controller::ReconcileRequest;
use kube::runtime::reflector::ObjectRef;

use crate::memory::Key;
use crate::metrics::Metrics;
use crate::watch::Guarded;

/// How many OllamaServices of one watched namespace are reconciled at a time. A reconcile mostly waits for answers.
pub const AT_A_TIME: u16 = 16;

/// When something is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something concerns many of them.
    Later,
    /// Something concerns it.
    Soon,
}

/// OllamaServices that wait. Copies are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    state: Arc<Mutex<State>>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct State {
    soon: VecDeque<Key>,
    later: VecDeque<Key>,
    waiting: HashMap<Key, Waiting>,
    /// Those of the waiting that the controller has been given.
    given: HashSet<Key>,
    /// Those that are being reconciled.
    running: HashSet<Key>,
    /// Those of the running that something has concerned since.
    again: HashMap<Key, Urgency>,
    controller: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Instant,
    urgency: Urgency,
}

impl Queue {
    /// An empty one.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            state: Arc::default(),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what waits, counts it and tells the controller.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let before = state.waiting.len();
        let answer = change(&mut state);
        let difference = i64::try_from(state.waiting.len()).unwrap_or(i64::MAX)
            - i64::try_from(before).unwrap_or(i64::MAX);
        self.metrics.waiting(difference);
        if let Some(controller) = state.controller.take() {
            controller.wake();
        }
        answer
    }

    /// Notes that something concerns an OllamaService.
    pub fn add(&self, key: Key, urgency: Urgency) {
        self.change(|state| state.add(key, urgency));
    }

    /// Forgets all that waits.
    pub fn clear(&self) {
        self.change(|state| {
            *state = State {
                running: std::mem::take(&mut state.running),
                controller: state.controller.take(),
                ..State::default()
            };
        });
    }

    /// Notes that one is being reconciled; what concerned it until now is taken care of.
    pub fn started(&self, key: &Key) {
        let waited = self.change(|state| {
            state.running.insert(key.clone());
            state.leaves(key)
        });
        if let Some(waited) = waited {
            self.metrics.waited(waited.since.elapsed());
        }
    }

    /// Notes that a reconcile has ended.
    pub fn ended(&self, key: &Key) {
        self.change(|state| {
            state.running.remove(key);
            if let Some(urgency) = state.again.remove(key) {
                state.add(key.clone(), urgency);
            }
        });
    }

    /// Notes that one that waited is gone.
    pub fn gone(&self, key: &Key) {
        self.change(|state| state.leaves(key));
    }
}

impl State {
    fn add(&mut self, key: Key, urgency: Urgency) {
        if self.running.contains(&key) {
            let again = self.again.entry(key).or_insert(urgency);
            *again = urgency.max(*again);
            return;
        }
        let since = match self.waiting.get(&key) {
            Some(waiting) if waiting.urgency >= urgency => return,
            Some(waiting) => waiting.since,
            None => Instant::now(),
        };
        self.waiting.insert(key.clone(), Waiting { since, urgency });
        match urgency {
            Urgency::Soon => self.soon.push_back(key),
            Urgency::Later => self.later.push_back(key),
        }
    }

    fn leaves(&mut self, key: &Key) -> Option<Waiting> {
        self.given.remove(key);
        self.waiting.remove(key)
    }

    /// One for the controller. A place in a queue counts only while it is the one that it waits in.
    fn next(&mut self) -> Option<Key> {
        if self.given.len() >= usize::from(AT_A_TIME) {
            return None;
        }
        loop {
            let (key, queue) = match self.soon.pop_front() {
                Some(key) => (key, Urgency::Soon),
                None => (self.later.pop_front()?, Urgency::Later),
            };
            let waits = self
                .waiting
                .get(&key)
                .is_some_and(|waiting| waiting.urgency == queue);
            if waits && self.given.insert(key.clone()) {
                return Some(key);
            }
        }
    }
}

/// What the controller is to begin with; never ends.
impl Stream for Queue {
    type Item = Result<ReconcileRequest<Guarded>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.lock();
        match state.next() {
            Some((namespace, name)) => {
                let service = ObjectRef::<Guarded>::new(&name).within(&namespace);
                Poll::Ready(Some(Ok(service.into())))
            }
            None => {
                state.controller = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    fn key(name: &str) -> Key {
        ("ml".to_owned(), name.to_owned())
    }

    fn queue(added: &[(&str, Urgency)]) -> Queue {
        let queue = Queue::new(Arc::default());
        for (name, urgency) in added {
            queue.add(key(name), *urgency);
        }
        queue
    }

    /// All that the controller can be given now.
    fn given(queue: &mut Queue) -> Vec<String> {
        let mut given = Vec::new();
        while let Some(Some(Ok(request))) = queue.next().now_or_never() {
            given.push(request.obj_ref.name);
        }
        given
    }

    #[test]
    fn what_concerns_one_comes_before_what_concerns_many() {
        use Urgency::{Later, Soon};
        type Case<'a> = (&'a str, &'a [(&'a str, Urgency)], &'a [&'a str]);
        let cases: [Case<'_>; 5] = [
            ("in order", &[("b", Soon), ("a", Soon)], &["b", "a"]),
            ("once each", &[("a", Soon), ("b", Soon), ("a", Soon)], &["a", "b"]),
            (
                "many last",
                &[("a", Later), ("b", Later), ("c", Soon)],
                &["c", "a", "b"],
            ),
            (
                "one of many",
                &[("a", Later), ("b", Later), ("b", Soon)],
                &["b", "a"],
            ),
            (
                "soon already",
                &[("a", Soon), ("b", Soon), ("a", Later)],
                &["a", "b"],
            ),
        ];
        for (what, added, expected) in cases {
            assert_eq!(given(&mut queue(added)), expected, "{what}");
        }
    }

    #[test]
    fn the_controller_is_given_no_more_than_it_can_begin_with() {
        let names: Vec<_> = (0..40).map(|number| format!("{number:02}")).collect();
        let mut queue = queue(&[]);
        for name in &names {
            queue.add(key(name), Urgency::Soon);
        }
        let limit = usize::from(AT_A_TIME);
        assert_eq!(given(&mut queue), names[..limit]);
        queue.started(&key("00"));
        queue.gone(&key("01"));
        assert_eq!(given(&mut queue), names[limit..limit + 2], "as many as have left");
    }

    #[test]
    fn what_happens_during_a_reconcile_leads_to_another() {
        let mut queue = queue(&[("a", Urgency::Soon)]);
        assert_eq!(given(&mut queue), ["a"]);
        queue.started(&key("a"));
        queue.add(key("a"), Urgency::Later);
        queue.add(key("a"), Urgency::Soon);
        assert!(given(&mut queue).is_empty(), "not while it runs");
        queue.ended(&key("a"));
        assert_eq!(given(&mut queue), ["a"]);
        queue.started(&key("a"));
        queue.ended(&key("a"));
        assert!(given(&mut queue).is_empty(), "nothing has happened since");
    }

    #[test]
    fn a_reconcile_for_another_reason_takes_care_of_what_waits() {
        let mut queue = queue(&[("a", Urgency::Later)]);
        queue.started(&key("a"));
        queue.ended(&key("a"));
        assert!(given(&mut queue).is_empty());
    }
}
