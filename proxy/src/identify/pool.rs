//! A bounded number of threads for slow hashes, with a bounded queue.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::Semaphore;

use super::Unauthenticated;
use super::presented::NameAndPassword;
use crate::credentials::User;

/// Names are spread over so many lanes, whether they exist or not.
pub(super) const LANES: usize = 64;

/// How much may be checked at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Checks that run.
    pub(super) running: usize,
    /// Checks that run or wait.
    pub(super) places: usize,
    /// Of these, how many may be of one lane, so that a flood against one name leaves room for other names.
    pub(super) places_of_lane: usize,
}

impl Limits {
    /// Half of the processors hash at most: the others stream.
    pub(super) fn of_this_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            running: (processors / 2).max(1),
            places: 64,
            places_of_lane: 4,
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

/// The threads and the queue before them.
#[derive(Debug)]
pub(super) struct Pool {
    limits: Limits,
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    lanes: Vec<Arc<Semaphore>>,
    /// Hashes begun since the start.
    pub(super) hashed: Counter,
}

impl Pool {
    pub(super) fn new(limits: Limits, hashed: Counter) -> Self {
        let Limits {
            running,
            places,
            places_of_lane,
        } = limits;
        Self {
            limits,
            running: Arc::new(Semaphore::new(running)),
            places: Arc::new(Semaphore::new(places)),
            lanes: (0..LANES)
                .map(|_| Arc::new(Semaphore::new(places_of_lane)))
                .collect(),
            hashed,
        }
    }

    /// How busy it is.
    pub(super) fn load(&self) -> HashingLoad {
        let running = self.limits.running - self.running.available_permits();
        let places = self.limits.places - self.places.available_permits();
        HashingLoad {
            waiting: places.saturating_sub(running),
            running,
        }
    }

    /// Whether the user's hash is of the password. First come, first served.
    ///
    /// A caller who leaves while waiting gives up its place; a hash that runs is run to its end and keeps its place
    /// until then, so that callers who come and leave can't start more than the limit.
    pub(super) async fn verify(
        &self,
        name_hash: u64,
        user: Arc<User>,
        shown: NameAndPassword,
    ) -> Result<bool, Unauthenticated> {
        let overloaded = |_| Unauthenticated::Overloaded;
        let lane = &self.lanes[(name_hash % LANES as u64) as usize];
        let lane = Arc::clone(lane).try_acquire_owned().map_err(overloaded)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(overloaded)?;
        let running = Arc::clone(&self.running).acquire_owned().await;
        let running = running.map_err(|_| Unauthenticated::Overloaded)?;
        self.hashed.inc();
        let check = tokio::task::spawn_blocking(move || {
            let verified = user.hash.verify(shown.password());
            drop((running, place, lane));
            verified
        });
        check.await.map_err(|_| Unauthenticated::Overloaded)
    }
}
