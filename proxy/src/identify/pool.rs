//! A bounded number of threads for slow hashes, with a bounded queue in which addresses take turns, and names of one
//! address: whoever floods it waits for himself.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::oneshot;

use super::Unauthenticated;
use super::presented::NameAndPassword;
use super::turns::{Turns, Waiting};
use crate::address::ClientAddress;
use crate::credentials::User;

/// Hashing gives way to streaming, and still comes to its end on a machine that is full: of a processor that both want
/// it has a quarter (sched(7), the nice value).
const NICE: i32 = 5;

/// How much may be checked at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Checks that run, each on a thread.
    pub(super) running: usize,
    /// Checks that run or wait.
    pub(super) places: usize,
}

impl Limits {
    /// Half of the processors hash at most: the others stream.
    pub(super) fn of_this_machine() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
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

/// Who wants a password checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    network: IpAddr,
    name: u64,
}

impl Asker {
    /// Somebody at that address; `name` is a keyed hash of the user's name.
    pub(super) fn new(address: ClientAddress, name: u64) -> Self {
        Self {
            network: network_of(address.get()),
            name,
        }
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network (RFC 4291, section 2.5.1).
pub(super) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

/// The threads and the queue before them. The threads end when this is dropped.
#[derive(Debug)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    places: usize,
    hashed: Counter,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Turns<IpAddr, Turns<u64, VecDeque<Check>>>,
    running: usize,
    closed: bool,
}

/// A password to be checked. Dropped, it tells whoever waits for it that it was turned away.
struct Check {
    user: Arc<User>,
    shown: NameAndPassword,
    answer: oneshot::Sender<bool>,
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
        let Limits { running, places } = limits;
        let pool = Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                changed: Condvar::new(),
                places,
                hashed,
            }),
        };
        for _ in 0..running {
            let shared = Arc::clone(&pool.shared);
            thread::Builder::new()
                .name("passwords".into())
                .spawn(move || shared.work())?;
        }
        Ok(pool)
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
    /// When all places are taken, the newest check of the address that has most is turned away. A caller who leaves
    /// while waiting gives up the place; a hash that runs is run to its end, so that callers who come and leave can't
    /// start more than the limit.
    pub(super) async fn verify(
        &self,
        asker: Asker,
        user: Arc<User>,
        shown: NameAndPassword,
    ) -> Result<bool, Unauthenticated> {
        let (answer, verified) = oneshot::channel();
        let check = Check { user, shown, answer };
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
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, asker: Asker, check: Check) {
        let Asker { network, name } = asker;
        let mut queue = self.lock();
        queue.waiting.push((network, (name, ())), check);
        if queue.is_full(self.places) {
            queue.waiting.retain(|check| !check.answer.is_closed());
        }
        if queue.is_full(self.places) {
            queue.waiting.shed();
        }
        self.changed.notify_one();
    }

    fn work(&self) {
        give_way();
        while let Some(check) = self.next() {
            let Check { user, shown, answer } = check;
            // A fault in a library must not cost the thread: whoever asked is turned away.
            let verified = catch_unwind(AssertUnwindSafe(|| user.hash.verify(shown.password())));
            self.lock().running -= 1;
            if let Ok(verified) = verified {
                // Whoever asked may have left.
                let _ = answer.send(verified);
            }
        }
    }

    /// Waits for the check whose turn it is; none once the pool is closed.
    fn next(&self) -> Option<Check> {
        let mut queue = self.lock();
        loop {
            if queue.closed {
                return None;
            }
            match queue.waiting.pop() {
                Some(check) if check.answer.is_closed() => {}
                Some(check) => {
                    queue.running += 1;
                    self.hashed.inc();
                    return Some(check);
                }
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Queue {
    fn is_full(&self, places: usize) -> bool {
        self.running + self.waiting.len() > places
    }
}

/// Lowers the priority of this thread alone, as Linux does for the id of a thread.
fn give_way() {
    let outcome = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
    if let Err(error) = outcome {
        tracing::debug!(%error, "passwords are hashed at the priority of everything else");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let cases = [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
            ("::1", "::"),
        ];
        for (address, network) in cases {
            assert_eq!(
                network_of(address.parse().unwrap()).to_string(),
                network,
                "{address}"
            );
        }
    }
}
