//! A bounded number of threads for slow hashes, with a bounded queue before them: whoever floods it waits for himself,
//! in time that nobody else wants.

use std::fmt;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::oneshot;

use super::Unauthenticated;
use super::asker::Asker;
use super::failures::{Failures, Lane};
use super::lanes::Lanes;
use super::presented::NameAndPassword;
use crate::credentials::User;

/// How long a check waits for its turn before whoever asked is told to come again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How much may be checked at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Processors of the machine, or of its share that this process has.
    pub(super) processors: u32,
    /// Checks that run at once, each on a thread. One more runs in time that is left over.
    pub(super) running: usize,
    /// Checks that run or wait.
    pub(super) places: usize,
}

impl Limits {
    /// Half of the processors hash at most: the others stream.
    pub(super) fn of_this_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            running: (processors / 2).max(1),
            places: 64,
        }
    }
}

/// How busy the pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashingLoad {
    /// Passwords that wait.
    pub waiting: usize,
    /// Passwords that are being hashed.
    pub running: usize,
}

/// A name and password to be checked against a stored hash.
pub(super) struct Candidate {
    pub(super) user: Arc<User>,
    /// The hash only stands in: whatever comes of it, nobody is let in.
    pub(super) decoy: bool,
    pub(super) shown: NameAndPassword,
}

/// The threads and the queue before them. The threads end when this is dropped.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    prompt: Condvar,
    spare: Condvar,
    places: usize,
    hashed: Counter,
}

#[derive(Debug)]
struct Queue {
    waiting: Lanes<Check>,
    running: usize,
    closed: bool,
}

/// A candidate that waits. Dropped, it tells whoever waits for the answer that it was turned away.
struct Check {
    candidate: Candidate,
    since: Instant,
    answer: oneshot::Sender<bool>,
}

impl Check {
    /// Whether nobody waits for it any more, or has waited for long enough to come again.
    fn is_over(&self) -> bool {
        self.answer.is_closed() || self.since.elapsed() > LONGEST_WAIT
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Check(…)")
    }
}

impl Pool {
    /// Starts the threads; each hash is counted in `hashed`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn start(limits: Limits, hashed: Counter) -> io::Result<Self> {
        let Limits {
            processors,
            running,
            places,
        } = limits;
        let pool = Self {
            shared: Arc::new(Shared {
                queue: Mutex::new(Queue::new(processors)),
                prompt: Condvar::new(),
                spare: Condvar::new(),
                places,
                hashed,
            }),
        };
        for _ in 0..running {
            pool.start_thread(Lane::Prompt)?;
        }
        pool.start_thread(Lane::Spare)?;
        Ok(pool)
    }

    fn start_thread(&self, lane: Lane) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let name = match lane {
            Lane::Prompt => "passwords",
            Lane::Spare => "passwords-spare",
        };
        let thread = thread::Builder::new().name(name.into());
        thread.spawn(move || shared.work(lane)).map(drop)
    }

    /// How busy it is.
    pub(super) fn load(&self) -> HashingLoad {
        let queue = self.shared.lock();
        HashingLoad {
            waiting: queue.waiting.len(),
            running: queue.running,
        }
    }

    /// Whether the user's hash is of the password.
    ///
    /// When all places are taken, one is turned away, as [`Lanes::shed`] has it; so is who has waited for half a minute. A caller who leaves while waiting gives
    /// up the place; a hash that runs is run to its end, so that callers who come and leave can't start more than the
    /// limit.
    pub(super) async fn verify(&self, asker: Asker, candidate: Candidate) -> Result<bool, Unauthenticated> {
        let (answer, verified) = oneshot::channel();
        let since = Instant::now();
        let check = Check {
            candidate,
            since,
            answer,
        };
        self.shared.enter(asker, check);
        verified.await.map_err(|_| Unauthenticated::Overloaded)
    }
}

#[cfg(test)]
impl Pool {
    /// Hashes begun since the start.
    pub(super) fn hashed(&self) -> u64 {
        self.shared.hashed.get()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.prompt.notify_all();
        self.shared.spare.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What threads of that lane wait for.
    fn changed(&self, lane: Lane) -> &Condvar {
        match lane {
            Lane::Prompt => &self.prompt,
            Lane::Spare => &self.spare,
        }
    }

    fn enter(&self, asker: Asker, check: Check) {
        let mut queue = self.lock();
        let lane = queue.waiting.enter(asker, check, Instant::now());
        if queue.is_full(self.places) {
            queue.waiting.retain(|check| !check.is_over());
        }
        if queue.is_full(self.places) {
            queue.waiting.shed();
        }
        self.changed(lane).notify_one();
    }

    fn work(&self, lane: Lane) {
        give_way(lane);
        while let Some((asker, check)) = self.next(lane) {
            let Check {
                candidate,
                since: _,
                answer,
            } = check;
            let begin = processor_time();
            // A fault in a library must not cost the thread: whoever asked is turned away.
            let verified = catch_unwind(AssertUnwindSafe(|| candidate.is_right()));
            let spent = processor_time().saturating_sub(begin);
            let lets_in = matches!(verified, Ok(true)) && !candidate.decoy;
            self.lock().done(asker, lane, (!lets_in).then_some(spent));
            if let Ok(verified) = verified {
                // Whoever asked may have left.
                let _ = answer.send(verified);
            }
        }
    }

    /// Waits for the check whose turn it is; none once the pool is closed.
    fn next(&self, lane: Lane) -> Option<(Asker, Check)> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            let next = queue.waiting.next(lane, Instant::now());
            if lane == Lane::Prompt {
                // Some may have gone over.
                self.spare.notify_one();
            }
            match next {
                Some((_, check)) if check.is_over() => {}
                Some(next) => {
                    queue.running += 1;
                    self.hashed.inc();
                    return Some(next);
                }
                None => queue = self.wait(lane, queue),
            }
        }
    }

    /// Until something comes, or the rest of what is there is over.
    fn wait<'queue>(&self, lane: Lane, queue: MutexGuard<'queue, Queue>) -> MutexGuard<'queue, Queue> {
        let changed = self.changed(lane);
        match queue.waiting.rest(lane, Instant::now()) {
            Some(rest) => {
                let woken = changed.wait_timeout(queue, rest);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Queue {
    fn new(processors: u32) -> Self {
        Self {
            waiting: Lanes::new(Failures::new(processors)),
            running: 0,
            closed: false,
        }
    }

    fn is_full(&self, places: usize) -> bool {
        self.running + self.waiting.len() > places
    }

    /// A check is done; if it lets nobody in, what it has cost.
    fn done(&mut self, asker: Asker, lane: Lane, wasted: Option<Duration>) {
        self.running -= 1;
        if let Some(wasted) = wasted {
            self.waiting.failed(asker, lane, wasted, Instant::now());
        }
    }
}

impl Candidate {
    fn is_right(&self) -> bool {
        self.user.hash.verify(self.shown.password())
    }
}

/// Lowers the priority of this thread alone, as Linux does for the id of a thread.
fn give_way(lane: Lane) {
    let outcome = rustix::process::setpriority_process(Some(rustix::thread::gettid()), nice(lane));
    if let Err(error) = outcome {
        tracing::debug!(%error, "passwords are hashed at the priority of everything else");
    }
}

/// Hashing gives way to streaming, and still comes to its end on a machine that is full: of a processor that both want
/// the one lane has a quarter, the other a hundredth (sched(7), the nice value).
fn nice(lane: Lane) -> i32 {
    match lane {
        Lane::Prompt => 5,
        Lane::Spare => 19,
    }
}

/// Of this thread, since it began.
fn processor_time() -> Duration {
    // It is never negative.
    clock_gettime(ClockId::ThreadCPUTime)
        .try_into()
        .unwrap_or_default()
}
