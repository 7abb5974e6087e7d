//! The streams of one connection: how many are open, since when none is, and how many were left before an answer.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::rt::Executor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Requests that a client may leave unanswered within [`ABANDONMENT_WINDOW`]: all that it can have at once. An editor that
/// asks anew with each key does it a few times a second; whoever does it more often wants the work, not the answers
/// (CVE-2023-44487).
const MOST_ABANDONED: u32 = super::MOST_STREAMS;
const ABANDONMENT_WINDOW: Duration = Duration::from_secs(1);

/// The streams of one connection. It is also what runs them: each is a task.
#[derive(Clone)]
pub(super) struct Streams(Arc<Shared>);

struct Shared {
    tasks: TaskTracker,
    state: Mutex<State>,
    flooded: CancellationToken,
}

struct State {
    open: usize,
    last_end: Instant,
    abandoned: Abandoned,
}

impl Streams {
    /// None is open yet; their tasks are counted by `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        let now = Instant::now();
        Self(Arc::new(Shared {
            tasks,
            state: Mutex::new(State {
                open: 0,
                last_end: now,
                abandoned: Abandoned { since: now, count: 0 },
            }),
            flooded: CancellationToken::new(),
        }))
    }

    /// Ready once none has been open for so long.
    pub(super) async fn unused(&self, limit: Duration) {
        loop {
            let left = limit.saturating_sub(self.unused_for());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    /// Ready once too many requests were left unanswered.
    pub(super) async fn flooded(&self) {
        self.0.flooded.cancelled().await;
    }

    /// A request that has no answer yet.
    pub(super) fn unanswered(&self) -> Unanswered {
        Unanswered {
            streams: self.clone(),
            is_answered: false,
        }
    }

    fn unused_for(&self) -> Duration {
        let State { open, last_end, .. } = &*self.lock();
        if *open > 0 {
            Duration::ZERO
        } else {
            last_end.elapsed()
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.lock().open += 1;
        let open = Open(self.clone());
        self.0.tasks.spawn(async move {
            stream.await;
            drop(open);
        });
    }
}

/// An open stream. Ends when dropped.
struct Open(Streams);

impl Drop for Open {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open -= 1;
        state.last_end = Instant::now();
    }
}

/// A request that has no answer yet. Dropped without one, the client has left it.
pub(super) struct Unanswered {
    streams: Streams,
    is_answered: bool,
}

impl Unanswered {
    /// The answer begins.
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.is_answered && self.streams.lock().abandoned.is_too_many(Instant::now()) {
            self.streams.0.flooded.cancel();
        }
    }
}

/// How many requests were left of late.
struct Abandoned {
    since: Instant,
    count: u32,
}

impl Abandoned {
    /// Counts one more.
    fn is_too_many(&mut self, now: Instant) -> bool {
        if now - self.since >= ABANDONMENT_WINDOW {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
        self.count > MOST_ABANDONED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_leave_requests_but_not_in_floods() {
        /// A name, when how many are left (in ms), and whether that is a flood.
        type Case = (&'static str, &'static [(u64, u32)], bool);
        let cases: &[Case] = &[
            ("one by one", &[(0, 1), (300, 1), (600, 1)], false),
            ("all at once", &[(0, MOST_ABANDONED)], false),
            (
                "all at once, second by second",
                &[(0, MOST_ABANDONED), (1000, MOST_ABANDONED)],
                false,
            ),
            ("one more", &[(0, MOST_ABANDONED), (500, 1)], true),
            (
                "a flood after a while",
                &[(0, 1), (60_000, MOST_ABANDONED + 1)],
                true,
            ),
        ];
        let start = Instant::now();
        for (name, left, flood) in cases {
            let mut abandoned = Abandoned {
                since: start,
                count: 0,
            };
            let mut is_flood = false;
            for (milliseconds, times) in *left {
                let now = start + Duration::from_millis(*milliseconds);
                is_flood |= (0..*times).any(|_| abandoned.is_too_many(now));
            }
            assert_eq!(is_flood, *flood, "{name}");
        }
    }

    #[tokio::test]
    async fn unused_means_that_none_was_open_all_the_while() {
        let streams = Streams::new(TaskTracker::new());
        let limit = Duration::from_millis(50);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        streams.execute(ended);
        assert!(
            tokio::time::timeout(3 * limit, streams.unused(limit))
                .await
                .is_err()
        );
        end.send(()).unwrap();
        streams.unused(limit).await;
        assert_eq!(streams.lock().open, 0);
    }
}
