//! Which OllamaServices wait to be reconciled, and who is next.
//!
//! Thousands may wait at once, so their order decides what users see. What concerns one that is ready comes first, then one
//! that is new or has been edited, then the steps of those that start, and last what concerns many at once, such as a Secret
//! that they share or a list that was read anew. So that nobody waits for ever, every fourth turn is that of whoever has
//! waited longest.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::memory::Key;
use crate::metrics::Metrics;

/// How often it is the turn of whoever has waited longest.
const TURN_OF_THE_LONGEST: u32 = 4;
/// After a reconcile of one that starts, how long its next steps are gathered: its children and Pods come one by one.
const GATHERED: Duration = Duration::from_millis(100);

/// When something is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something concerns many of them, or it is time to look again.
    Later,
    /// Something concerns one that isn't ready yet.
    Starting,
    /// It is new or has been edited.
    Asked,
    /// Something concerns one that is ready.
    Soon,
}

impl Urgency {
    const ALL: [Self; 4] = [Self::Later, Self::Starting, Self::Asked, Self::Soon];
}

/// OllamaServices that wait. Copies are the same queue.
#[derive(Clone, Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By urgency, in the order in which they came. A place counts only while it is the one that its OllamaService waits in.
    places: [VecDeque<Key>; Urgency::ALL.len()],
    waiting: HashMap<Key, Waiting>,
    /// Those that are being reconciled.
    running: HashSet<Key>,
    /// Those of the running that something has concerned since.
    again: HashMap<Key, Urgency>,
    /// When others are to be looked at, in order.
    timers: BTreeSet<(Instant, Key)>,
    due: HashMap<Key, Due>,
    turns: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Instant,
    urgency: Urgency,
}

/// A time at which one is to be looked at.
#[derive(Clone, Copy, Debug)]
struct Due {
    at: Instant,
    urgency: Urgency,
}

impl Queue {
    /// An empty one.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            shared: Arc::default(),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what waits and counts it.
    fn change<T>(&self, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.lock();
        let before = state.waiting.len();
        let answer = change(&mut state, Instant::now());
        let difference = i64::try_from(state.waiting.len()).unwrap_or(i64::MAX)
            - i64::try_from(before).unwrap_or(i64::MAX);
        self.metrics.waiting(difference);
        answer
    }

    /// Notes that something concerns an OllamaService.
    pub fn add(&self, key: Key, urgency: Urgency) {
        self.change(|state, now| state.add(key, urgency, now));
        self.shared.changed.notify_one();
    }

    /// Forgets all that waits.
    pub fn clear(&self) {
        self.change(|state, _| *state = State::default());
    }

    /// Waits for the next one. It counts as being reconciled until [`Self::ended`]; what concerned it until now is taken care of.
    pub async fn next(&self) -> Key {
        loop {
            let (taken, timer) = self.change(|state, now| (state.take(now), state.timer()));
            match (taken, timer) {
                (Some((key, since)), _) => {
                    self.metrics.waited(since.elapsed());
                    return key;
                }
                // Either is a reason to look again.
                (None, Some(at)) => drop(timeout_at(at, self.shared.changed.notified()).await),
                (None, None) => self.shared.changed.notified().await,
            }
        }
    }

    /// Notes that a reconcile has ended, and after what time to look again.
    pub fn ended(&self, key: &Key, look_after: Option<Duration>) {
        self.change(|state, now| state.ended(key, look_after, now));
        self.shared.changed.notify_one();
    }
}

impl State {
    fn add(&mut self, key: Key, urgency: Urgency, now: Instant) {
        if self.running.contains(&key) {
            let again = self.again.entry(key).or_insert(urgency);
            *again = urgency.max(*again);
            return;
        }
        // Its steps are being gathered.
        let gathered = self.due.get(&key).map(|due| due.urgency);
        if gathered.is_some_and(|gathered| gathered > Urgency::Later && gathered >= urgency) {
            return;
        }
        self.wait(key, urgency, now);
    }

    fn wait(&mut self, key: Key, urgency: Urgency, now: Instant) {
        let since = match self.waiting.get(&key) {
            Some(waiting) if waiting.urgency >= urgency => return,
            Some(waiting) => waiting.since,
            None => now,
        };
        self.waiting.insert(key.clone(), Waiting { since, urgency });
        self.places[urgency as usize].push_back(key);
    }

    fn ended(&mut self, key: &Key, look_after: Option<Duration>, now: Instant) {
        self.running.remove(key);
        let look = look_after.map(|after| Due {
            at: now + after,
            urgency: Urgency::Later,
        });
        let gathered = match self.again.remove(key) {
            Some(urgency) if urgency > Urgency::Starting => {
                self.wait(key.clone(), urgency, now);
                None
            }
            again => again.map(|urgency| Due {
                at: now + GATHERED,
                urgency,
            }),
        };
        let due = match (look, gathered) {
            (Some(look), Some(gathered)) => Some(Due {
                at: look.at.min(gathered.at),
                urgency: gathered.urgency,
            }),
            (look, gathered) => look.or(gathered),
        };
        if let Some(due) = due {
            self.timers.insert((due.at, key.clone()));
            self.due.insert(key.clone(), due);
        }
    }

    /// When the next timer is due.
    fn timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next one, if one waits, and since when it does.
    fn take(&mut self, now: Instant) -> Option<(Key, Instant)> {
        while self.timer().is_some_and(|at| at <= now)
            && let Some((_, key)) = self.timers.pop_first()
        {
            let urgency = self.due.remove(&key).map_or(Urgency::Later, |due| due.urgency);
            self.wait(key, urgency, now);
        }
        let key = self.choose()?;
        let since = self.waiting.remove(&key)?.since;
        if let Some(due) = self.due.remove(&key) {
            self.timers.remove(&(due.at, key.clone()));
        }
        self.running.insert(key.clone());
        Some((key, since))
    }

    fn choose(&mut self) -> Option<Key> {
        let Self { places, waiting, .. } = self;
        for (place, urgency) in places.iter_mut().zip(Urgency::ALL) {
            let waits = |key: &Key| waiting.get(key).is_some_and(|one| one.urgency == urgency);
            while place.front().is_some_and(|key| !waits(key)) {
                place.pop_front();
            }
        }
        self.turns = self.turns.wrapping_add(1);
        let mut urgencies = Urgency::ALL.into_iter().rev();
        let chosen = if self.turns.is_multiple_of(TURN_OF_THE_LONGEST) {
            let since = |urgency: Urgency| Some(waiting.get(places[urgency as usize].front()?)?.since);
            urgencies
                .filter_map(|urgency| Some((since(urgency)?, urgency)))
                .min_by_key(|(since, _)| *since)
                .map(|(_, urgency)| urgency)
        } else {
            urgencies.find(|urgency| !places[*urgency as usize].is_empty())
        };
        places[chosen? as usize].pop_front()
    }
}

#[cfg(test)]
mod tests {
    use Urgency::{Asked, Later, Soon, Starting};

    use super::*;

    fn key(name: &str) -> Key {
        ("ml".to_owned(), name.to_owned())
    }

    fn state(added: &[(&str, Urgency)]) -> State {
        let mut state = State::default();
        for (name, urgency) in added {
            state.add(key(name), *urgency, Instant::now());
        }
        state
    }

    /// All that can be taken so long after the start.
    fn taken(state: &mut State, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| state.take(now).map(|((_, name), _)| name)).collect()
    }

    #[test]
    fn what_is_more_urgent_comes_first() {
        type Case<'a> = (&'a str, &'a [(&'a str, Urgency)], &'a [&'a str]);
        let cases: [Case<'_>; 6] = [
            ("in order", &[("b", Soon), ("a", Soon)], &["b", "a"]),
            ("once each", &[("a", Soon), ("b", Soon), ("a", Soon)], &["a", "b"]),
            (
                "a ready one, a new one, one that starts, one of many",
                &[("d", Later), ("c", Starting), ("b", Asked), ("a", Soon)],
                &["a", "b", "c", "d"],
            ),
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
            assert_eq!(taken(&mut state(added), Instant::now()), expected, "{what}");
        }
    }

    #[test]
    fn who_has_waited_longest_has_a_turn_now_and_then() {
        let mut state = state(&[("old", Later)]);
        let names: Vec<_> = (0..9).map(|number| format!("{number}")).collect();
        for name in &names {
            state.add(key(name), Soon, Instant::now());
        }
        let order = taken(&mut state, Instant::now());
        assert_eq!(order.iter().position(|name| name == "old"), Some(3), "{order:?}");
        assert_eq!(order.len(), names.len() + 1);
    }

    #[test]
    fn what_happens_during_a_reconcile_leads_to_another() {
        // Until when nothing leads to another, and when it has come.
        let cases = [
            ("a step of one that starts", Starting, None, Some(GATHERED)),
            ("an edit", Asked, None, Some(Duration::ZERO)),
            ("time", Later, None, Some(GATHERED)),
            (
                "a look is due before",
                Starting,
                Some(Duration::from_millis(50)),
                Some(Duration::from_millis(50)),
            ),
        ];
        for (what, urgency, look_after, expected) in cases {
            let now = Instant::now();
            let mut state = state(&[("a", Soon)]);
            assert_eq!(taken(&mut state, now), ["a"], "{what}");
            state.add(key("a"), Later, now);
            state.add(key("a"), urgency, now);
            assert!(taken(&mut state, now).is_empty(), "{what}: not while it runs");
            state.ended(&key("a"), look_after, now);
            let after = if state.waiting.is_empty() {
                state.timer().map(|at| at - now)
            } else {
                Some(Duration::ZERO)
            };
            assert_eq!(after, expected, "{what}");
            assert_eq!(taken(&mut state, now + after.unwrap()), ["a"], "{what}");
            state.ended(&key("a"), None, now);
            assert!(taken(&mut state, now + GATHERED).is_empty(), "{what}: once");
        }
    }

    #[test]
    fn steps_are_gathered_but_nothing_urgent_is() {
        for (urgency, at_once) in [(Later, false), (Starting, false), (Asked, true), (Soon, true)] {
            let now = Instant::now();
            let mut state = state(&[("a", Asked)]);
            assert_eq!(taken(&mut state, now), ["a"]);
            state.add(key("a"), Starting, now);
            state.ended(&key("a"), None, now);
            state.add(key("a"), urgency, now);
            assert_eq!(!taken(&mut state, now).is_empty(), at_once, "{urgency:?}");
        }
    }

    #[test]
    fn what_follows_from_a_nudge_waits_behind_those_who_are_to_be_told() {
        let cases = [
            ("the next look", None, ["b", "c", "a"]),
            ("what its Pods show of it", Some(Later), ["b", "c", "a"]),
            ("something else with it", Some(Soon), ["a", "b", "c"]),
        ];
        for (what, seen, expected) in cases {
            let now = Instant::now();
            let mut state = state(&[("a", Later), ("b", Later), ("c", Later)]);
            let (told, _) = state.take(now).unwrap();
            state.ended(&told, Some(Duration::ZERO), now);
            seen.into_iter()
                .for_each(|urgency| state.add(told.clone(), urgency, now));
            assert_eq!(taken(&mut state, now), expected, "{what}");
        }
    }

    #[test]
    fn one_is_looked_at_when_it_is_time_or_before() {
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        let mut state = state(&[("a", Soon), ("b", Soon)]);
        assert_eq!(taken(&mut state, now), ["a", "b"]);
        state.ended(&key("a"), Some(minute), now);
        state.ended(&key("b"), Some(2 * minute), now);
        state.add(key("b"), Soon, now);
        assert_eq!(taken(&mut state, now), ["b"], "something concerns it");
        state.ended(&key("b"), None, now);
        assert_eq!(state.timer(), Some(now + minute));
        assert_eq!(taken(&mut state, now + minute), ["a"]);
        assert_eq!(state.timer(), None, "its own look is over with what concerned it");
    }

    #[tokio::test]
    async fn whoever_waits_for_the_next_one_is_told() {
        let queue = Queue::new(Arc::default());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { queue.next().await }
        });
        tokio::task::yield_now().await;
        queue.add(key("a"), Soon);
        assert_eq!(waiting.await.unwrap(), key("a"));
        queue.ended(&key("a"), Some(Duration::from_millis(1)));
        assert_eq!(queue.next().await, key("a"), "its time has come");
    }
}
