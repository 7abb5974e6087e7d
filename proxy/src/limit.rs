//! How much a client may use. What it has used outlives the configuration: a reload changes limits, not what counts
//! against them.
//!
//! [`usage`] is one client's use, [`rate`] its requests by the minute, [`excess`] what a client is told. All of them
//! are told the time.

mod excess;
mod moment;
mod rate;
mod usage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use crate::authorize::Clearance;
use crate::config::ClientLimits;
pub use excess::{Excess, Level, Overrun, Standing};
pub use moment::Moment;
use usage::Usage;

/// What all clients use, as far as it is limited.
#[derive(Debug, Default)]
pub struct Limiter {
    clients: RwLock<Clients>,
    /// How many clients' use is remembered.
    remembered: Gauge,
}

/// A client's place among its requests, given back when dropped. Only [`Limiter::enter`] gives one; a client without
/// limits gets an empty one.
#[derive(Debug, Default)]
pub struct Slot {
    _held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    client: Arc<Client>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.client.usage().leave();
    }
}

impl Limiter {
    /// Nobody has used anything. How many clients are remembered is told to `remembered`.
    pub fn new(remembered: Gauge) -> Self {
        Self {
            clients: RwLock::default(),
            remembered,
        }
    }

    /// Lets a request in, or says what its client has used up. A request that is refused here for another limit still
    /// counts among those of the minute.
    ///
    /// # Errors
    /// The client is over a limit.
    pub fn enter(
        &self,
        clearance: &Clearance,
        now: impl FnOnce() -> Moment,
    ) -> Result<(Slot, Standing), Excess> {
        let Some((name, limits)) = clearance.limits() else {
            return Ok((Slot::default(), Standing::default()));
        };
        self.enter_limited(name, limits, now())
    }

    fn enter_limited(
        &self,
        name: &Arc<str>,
        limits: &ClientLimits,
        now: Moment,
    ) -> Result<(Slot, Standing), Excess> {
        let client = self.client(name, now).ok_or(Excess::Crowded)?;
        let entered = client.usage().enter(limits, now);
        match entered {
            Ok(standing) => Ok((
                Slot {
                    _held: Some(Held { client }),
                },
                standing,
            )),
            Err(denied) => Err(Excess::over(name, denied)),
        }
    }

    fn client(&self, name: &Arc<str>, now: Moment) -> Option<Arc<Client>> {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.by_name.get(name) {
            return Some(Arc::clone(client));
        }
        drop(clients);
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        let client = clients.open(name, now);
        self.remembered.set(clients.by_name.len() as i64);
        client
    }
}

/// One client. Its lock is held for a few comparisons, and never with that of another.
#[derive(Debug, Default)]
struct Client(Mutex<Usage>);

impl Client {
    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All clients that have used something lately.
#[derive(Debug, Default)]
struct Clients {
    by_name: HashMap<Arc<str>, Arc<Client>>,
    /// How many there may be before those are looked for that can be forgotten.
    enough: usize,
    swept: Option<Instant>,
}

impl Clients {
    /// So many are never looked through.
    const FEW: usize = 1024;
    /// The most that are remembered: some 30 MB. There may be more names than this only where an issuer of tokens makes
    /// them up.
    const MOST: usize = 100_000;
    /// How often all of them are looked through at most.
    const SWEEP_PAUSE: Duration = Duration::from_secs(1);

    /// The client of this name; none where there are too many.
    fn open(&mut self, name: &Arc<str>, now: Moment) -> Option<Arc<Client>> {
        if let Some(client) = self.by_name.get(name) {
            return Some(Arc::clone(client));
        }
        if self.by_name.len() >= self.enough.max(Self::FEW) {
            self.forget_idle(now);
        }
        if self.by_name.len() >= Self::MOST {
            return None;
        }
        let client = Arc::<Client>::default();
        self.by_name.insert(Arc::clone(name), Arc::clone(&client));
        Some(client)
    }

    /// A client that nothing counts against is as good as one that never came. Twice as many as are left may come
    /// before the next look, so that looking costs each of them the same.
    fn forget_idle(&mut self, now: Moment) {
        let lately = |swept: Instant| now.instant.saturating_duration_since(swept) < Self::SWEEP_PAUSE;
        if self.swept.is_some_and(lately) {
            return;
        }
        self.swept = Some(now.instant);
        // Whoever else holds it has a request on its way, or is about to.
        self.by_name
            .retain(|_, client| Arc::strong_count(client) > 1 || !client.usage().is_nothing(now));
        self.enough = (2 * self.by_name.len()).min(Self::MOST);
    }
}

#[cfg(test)]
mod tests;
