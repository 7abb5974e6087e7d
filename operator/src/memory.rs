//! What is remembered of each OllamaService between reconciles. All of it can be lost: it only saves work.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::core::ObjectMeta;
use kube::runtime::reflector::Lookup;

use crate::backoff::{Backoff, Pause};
use crate::crd::{OllamaService, OllamaServiceStatus};

/// First and longest time between two looks at replicas that lag.
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// How long replicas may lag before the kubelets are told once more; after that as long again, then twice as long, and so on to a
/// limit.
const FIRST_NUDGE: Duration = Duration::from_millis(600);
const RAREST_NUDGE: Duration = Duration::from_secs(3600);
/// How long a status that was written may take to come back by the watch.
const ON_ITS_WAY: Duration = Duration::from_secs(5);
/// For how long what a watch sees of Pods whose kubelets were told something is mostly that: where a thousand are told, some of it
/// comes back only seconds later.
const TOLD: Duration = Duration::from_secs(5);

/// Namespace and name of an OllamaService.
pub type Key = (String, String);

/// The key of an OllamaService, or the namespace and name of anything else.
pub fn key_of(object: &impl Lookup) -> Key {
    let owned = |text: Option<Cow<'_, str>>| text.unwrap_or_default().into_owned();
    (owned(object.namespace()), owned(object.name()))
}

#[derive(Debug, Default)]
struct Remembered {
    backoff: Backoff,
    lagging: Option<Lagging>,
    /// Large, and there only until the watch shows it.
    status: Option<Box<Written>>,
    /// When its kubelets were last told something.
    told: Option<Instant>,
    /// Since when there is a status that is kept back.
    kept_back: Option<Instant>,
    /// The uid of one that goes with its namespace.
    leaves: Option<String>,
}

/// A status that the store may not have yet.
#[derive(Debug)]
struct Written {
    /// Whose it is, as it was then.
    of: ObjectMeta,
    status: OllamaServiceStatus,
    at: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Lagging {
    since: Instant,
    nudges: u32,
    /// When the kubelets are to be told once more.
    nudge_at: Instant,
}

impl Lagging {
    fn new(since: Instant) -> Self {
        Self {
            since,
            nudges: 0,
            nudge_at: since + FIRST_NUDGE,
        }
    }

    /// Whether the kubelets are to be told once more by now, and for which time. Every telling comes back as an event of a Pod, and
    /// then this is asked again: so there is always a pause before the next, however long the replicas lag.
    fn nudge(&mut self, now: Instant) -> Option<u32> {
        if now < self.nudge_at {
            return None;
        }
        let pause = FIRST_NUDGE.saturating_mul(1 << self.nudges.min(16));
        self.nudge_at = now + pause.min(RAREST_NUDGE);
        self.nudges = self.nudges.saturating_add(1);
        Some(self.nudges)
    }
}

/// What is remembered of each OllamaService.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<Key, Remembered>>);

impl Memory {
    fn with<T>(&self, key: &Key, act: impl FnOnce(&mut Remembered) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry(key.clone()).or_default())
    }

    /// Forgets one that is gone.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Notes a failure; says how long to wait before the next try.
    pub fn failed(&self, key: &Key) -> Pause {
        self.with(key, |remembered| remembered.backoff.failed())
    }

    /// Notes a success.
    pub fn succeeded(&self, key: &Key) {
        self.with(key, |remembered| remembered.backoff = Backoff::default());
    }

    /// Notes whether replicas lag; says when to look again at ones that do, soon at first, then ever more rarely.
    pub fn lagging(&self, key: &Key, lagging: bool) -> Lag {
        self.with(key, |remembered| {
            if !lagging {
                return remembered
                    .lagging
                    .take()
                    .map_or(Lag::None, |lagging| Lag::Over(lagging.since.elapsed()));
            }
            let now = Instant::now();
            let state = remembered.lagging.get_or_insert_with(|| Lagging::new(now));
            Lag::Still {
                look_after: (now.duration_since(state.since) / 4).clamp(FIRST_LOOK, LONGEST_LOOK),
                nudges: state.nudge(now),
            }
        })
    }

    /// Notes that its kubelets are being told something.
    pub fn tells(&self, key: &Key) {
        self.with(key, |remembered| remembered.told = Some(Instant::now()));
    }

    /// Whether its kubelets were told something just now.
    pub fn has_just_told(&self, key: &Key) -> bool {
        self.with(key, |remembered| {
            remembered.told.is_some_and(|told| told.elapsed() < TOLD)
        })
    }

    /// Whether the one of that uid goes with its namespace.
    pub fn leaves(&self, key: &Key, uid: &str) -> bool {
        self.with(key, |remembered| remembered.leaves.as_deref() == Some(uid))
    }

    /// Notes that the one of that uid goes with its namespace; a namespace that is being deleted never comes back.
    pub fn left(&self, key: &Key, uid: &str) {
        self.with(key, |remembered| remembered.leaves = Some(uid.to_owned()));
    }

    /// The status last written for that uid: a store may not have it yet.
    pub fn status(&self, key: &Key, uid: &str) -> Option<OllamaServiceStatus> {
        self.with(key, |remembered| {
            let written = remembered
                .status
                .as_ref()
                .filter(|written| written.of.uid.as_deref() == Some(uid));
            written.map(|written| written.status.clone())
        })
    }

    /// Notes that there is a status that may be kept back for so long; says for how long still, if at all.
    pub fn keeps_back(&self, key: &Key, patience: Duration) -> Option<Duration> {
        self.with(key, |remembered| {
            let since = remembered.kept_back.get_or_insert_with(Instant::now);
            patience
                .checked_sub(since.elapsed())
                .filter(|left| !left.is_zero())
        })
    }

    /// For how long the status that was written last may still be on its way to the store.
    pub fn is_on_its_way(&self, key: &Key) -> Option<Duration> {
        self.with(key, |remembered| {
            let written = remembered.status.as_ref()?;
            ON_ITS_WAY.checked_sub(written.at.elapsed())
        })
    }

    /// Notes that there is nothing new to say; and where the store has the status that was written last, that it need not be
    /// remembered.
    pub fn has_said_all(&self, key: &Key, in_store: bool) {
        self.with(key, |remembered| {
            remembered.kept_back = None;
            if in_store {
                remembered.status = None;
            }
        });
    }

    /// Notes the status that is being written for the one that looks like that.
    pub fn writes_status(&self, key: &Key, of: &ObjectMeta, status: OllamaServiceStatus) {
        self.with(key, |remembered| {
            remembered.status = Some(Box::new(Written {
                of: without_version(of),
                status,
                at: Instant::now(),
            }));
            remembered.kept_back = None;
        });
    }

    /// Notes that the status could not be written.
    pub fn has_not_written(&self, key: &Key) {
        self.with(key, |remembered| remembered.status = None);
    }

    /// Whether what a watch has seen is nothing but the status that was written last. Then it need not be remembered.
    pub fn is_echo(&self, key: &Key, service: &OllamaService) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(remembered) = all.get_mut(key) else {
            return false;
        };
        let echo = remembered.status.as_ref().is_some_and(|written| {
            service.status.as_ref() == Some(&written.status)
                && without_version(&service.metadata) == written.of
        });
        if echo {
            remembered.status = None;
        }
        echo
    }
}

/// The version is another after every write.
fn without_version(metadata: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        resource_version: None,
        ..metadata.clone()
    }
}

/// How replicas lag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// They don't, and didn't.
    None,
    /// They do.
    Still {
        /// When to look again.
        look_after: Duration,
        /// It is time to tell the kubelets once more, for the n-th time.
        nudges: Option<u32>,
    },
    /// They did for this long, and don't any more.
    Over(Duration),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> Key {
        ("ml".to_owned(), name.to_owned())
    }

    #[test]
    fn each_has_pauses_of_its_own_until_it_succeeds() {
        let memory = Memory::default();
        let first = memory.failed(&key("a"));
        assert!(matches!(first, Pause::Next(_)), "{first:?}");
        let again = memory.failed(&key("a"));
        assert!(matches!(again, Pause::Rest(_)), "{again:?}");
        let other = memory.failed(&key("b"));
        assert!(matches!(other, Pause::Next(_)), "{other:?}");
        memory.succeeded(&key("a"));
        let anew = memory.failed(&key("a"));
        assert!(matches!(anew, Pause::Next(_)), "{anew:?}");
    }

    #[test]
    fn lagging_replicas_are_looked_at_soon() {
        let memory = Memory::default();
        assert_eq!(memory.lagging(&key("a"), false), Lag::None);
        assert_eq!(
            memory.lagging(&key("a"), true),
            Lag::Still {
                look_after: FIRST_LOOK,
                nudges: None
            }
        );
        assert!(matches!(memory.lagging(&key("a"), false), Lag::Over(_)));
        assert_eq!(memory.lagging(&key("a"), false), Lag::None);
    }

    #[test]
    fn kubelets_are_told_ever_more_rarely_however_often_it_is_asked() {
        const SECOND: u64 = 1000;
        const HOUR: u64 = 3600 * SECOND;
        let since = Instant::now();
        let at = |millis| since + Duration::from_millis(millis);
        let mut lagging = Lagging::new(since);
        let moments = [0, 599, 600, 601, 1199, 1200, 2399, 2400, 4799, 4800];
        let told = moments.map(|millis| lagging.nudge(at(millis)));
        let expected = [0, 0, 1, 0, 0, 2, 0, 3, 0, 4].map(|times| (times > 0).then_some(times));
        assert_eq!(told, expected, "at first");

        let tellings = |lagging: &mut Lagging, from: u64, until: u64| {
            let moments = (from..until).step_by(100);
            moments
                .filter(|millis| lagging.nudge(at(*millis)).is_some())
                .count()
        };
        for (what, from, most) in [
            ("the first hour", 4 * SECOND, 11),
            ("after twelve hours", 12 * HOUR, 1),
            ("after three days", 72 * HOUR, 1),
        ] {
            let mut lagging = lagging;
            tellings(&mut lagging, 5 * SECOND, from);
            let told = tellings(&mut lagging, from, from + HOUR);
            assert!(told <= most, "{what}: {told} times");
            let mut unasked = Lagging::new(since);
            let told = tellings(&mut unasked, from, from + HOUR);
            assert!(told <= 14, "{what}, not asked before: {told} times");
        }
    }

    #[test]
    fn what_is_kept_back_is_so_from_its_beginning_on() {
        let memory = Memory::default();
        let patience = Duration::from_secs(60);
        let left = memory.keeps_back(&key("a"), patience);
        assert!(left.is_some_and(|left| left <= patience), "{left:?}");
        assert!(memory.keeps_back(&key("a"), patience) < left, "the same");
        assert_eq!(
            memory.keeps_back(&key("a"), Duration::ZERO),
            None,
            "what can't wait"
        );
        memory.has_said_all(&key("a"), false);
        assert!(
            memory.keeps_back(&key("a"), patience) > left.map(|left| left / 2),
            "another"
        );
    }

    #[test]
    fn kubelets_have_just_been_told_for_a_moment() {
        let ago = |time| Some(Instant::now().checked_sub(time).unwrap());
        let cases = [
            ("never", None, false),
            ("now", ago(Duration::ZERO), true),
            ("a while ago", ago(TOLD), false),
        ];
        for (what, told, expected) in cases {
            let memory = Memory::default();
            memory.with(&key("a"), |remembered| remembered.told = told);
            assert_eq!(memory.has_just_told(&key("a")), expected, "{what}");
        }
        let memory = Memory::default();
        memory.tells(&key("a"));
        assert!(memory.has_just_told(&key("a")), "it is noted");
        assert!(!memory.has_just_told(&key("b")), "of another nothing is");
    }

    fn service(uid: &str, generation: i64, version: &str, endpoint: &str) -> OllamaService {
        serde_json::from_value(json!({
            "apiVersion": "corral.dev/v1alpha1",
            "kind": "OllamaService",
            "metadata": {"name": "a", "uid": uid, "generation": generation, "resourceVersion": version},
            "spec": {},
            "status": {"endpoint": endpoint},
        }))
        .unwrap()
    }

    fn writing(memory: &Memory) -> OllamaServiceStatus {
        let status = service("1", 1, "2", "said").status.unwrap();
        memory.writes_status(
            &key("a"),
            &service("1", 1, "1", "before").metadata,
            status.clone(),
        );
        status
    }

    #[test]
    fn a_status_is_that_of_one_uid() {
        let memory = Memory::default();
        let status = writing(&memory);
        assert!(memory.is_on_its_way(&key("a")).is_some());
        memory.has_said_all(&key("a"), false);
        assert_eq!(memory.status(&key("a"), "1"), Some(status));
        assert!(memory.status(&key("a"), "2").is_none());
        memory.has_said_all(&key("a"), true);
        assert!(memory.status(&key("a"), "1").is_none(), "the store has it");
        assert_eq!(memory.is_on_its_way(&key("a")), None);
        writing(&memory);
        memory.has_not_written(&key("a"));
        assert!(memory.status(&key("a"), "1").is_none(), "it was refused");
    }

    #[test]
    fn an_echo_says_what_was_written_and_nothing_else() {
        let cases = [
            ("what was written", service("1", 1, "2", "said"), true),
            ("another status", service("1", 1, "2", "by hand"), false),
            ("another spec", service("1", 2, "2", "said"), false),
            ("another one of that name", service("2", 1, "2", "said"), false),
        ];
        for (what, seen, expected) in cases {
            let memory = Memory::default();
            assert!(!memory.is_echo(&key("a"), &seen), "{what}: nothing was written");
            writing(&memory);
            assert_eq!(memory.is_echo(&key("a"), &seen), expected, "{what}");
            assert!(!memory.is_echo(&key("a"), &seen), "{what}: once");
        }
    }

    #[test]
    fn what_goes_with_its_namespace_is_that_of_one_uid() {
        let memory = Memory::default();
        assert!(!memory.leaves(&key("a"), "1"));
        memory.left(&key("a"), "1");
        assert!(memory.leaves(&key("a"), "1"));
        assert!(
            !memory.leaves(&key("a"), "2"),
            "one of the same name in a new namespace"
        );
        memory.forget(&key("a"));
        assert!(!memory.leaves(&key("a"), "1"));
    }
}
