//! How much a client may use. What it has used outlives the configuration: a reload changes limits, not what counts
//! against them.
//!
//! [`budget`] is what one client has used: [`rate`] its requests by the minute, [`tokens`] its tokens. [`excess`] is what
//! a client is told. All of them are told the time. [`keeper`] keeps the tokens of the day in a file ([`saved`]).

mod budget;
mod excess;
mod keeper;
mod moment;
mod rate;
mod saved;
mod tokens;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use crate::authorize::{Clearance, Demand};
use crate::config::ClientLimits;
use crate::usage::{Charge, Usage};
use budget::Budget;
pub use excess::{Excess, Level, Overrun, Standing};
pub use keeper::Keeper;
pub use moment::Moment;
pub use saved::{Saved, SavedFile};
use tokens::{Day, date_of};

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
pub struct Slot(Option<Held>);

#[derive(Debug)]
struct Held {
    client: Arc<Client>,
    limits: Arc<ClientLimits>,
}

impl Slot {
    /// Who is told what the answer has taken; none where the client's tokens have no limit.
    pub fn bill(&self) -> Option<Box<dyn Charge>> {
        let Held { client, limits } = self.0.as_ref().filter(|held| held.limits.counts_tokens())?;
        Some(Box::new(Bill {
            client: Arc::clone(client),
            limits: Arc::clone(limits),
        }))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.client.budget().leave();
    }
}

/// What an answer will have taken.
#[derive(Debug)]
struct Bill {
    client: Arc<Client>,
    limits: Arc<ClientLimits>,
}

impl Charge for Bill {
    fn charge(self: Box<Self>, usage: Usage) {
        let Self { client, limits } = *self;
        let tokens = usage.input.saturating_add(usage.output);
        client.budget().charge(tokens, &limits, Moment::now());
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
        match clearance.demand() {
            None => Ok((Slot::default(), Standing::default())),
            Some(demand) => self.admit(demand, now()),
        }
    }

    fn admit(&self, demand: Demand<'_>, now: Moment) -> Result<(Slot, Standing), Excess> {
        let Demand {
            client: name,
            limits,
            takes_tokens,
        } = demand;
        let client = self.client(name, now).ok_or(Excess::Crowded)?;
        let entered = client.budget().enter(limits, takes_tokens, now);
        match entered {
            Err(denied) => Err(Excess::over(name, denied)),
            Ok(standing) => {
                let limits = Arc::clone(limits);
                Ok((Slot(Some(Held { client, limits })), standing))
            }
        }
    }

    /// What clients have used of the day; none while nobody knows.
    pub fn day(&self, now: Moment) -> Option<Saved> {
        let today = date_of(now.time);
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        let used = clients
            .by_name
            .iter()
            .map(|(name, client)| (name.to_string(), client.budget().used_on(today)));
        (clients.beginning.used_on(today) == 0).then(|| Saved {
            date: today,
            tokens: used.filter(|(_, tokens)| *tokens > 0).collect(),
        })
    }

    /// Takes up what clients have used of a day, if it isn't over.
    pub fn restore(&self, saved: Saved, now: Moment) {
        let Saved { date, tokens } = saved;
        if date < date_of(now.time) {
            return;
        }
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        for (name, tokens) in tokens.into_iter().take(Clients::MOST) {
            let client = Client(Mutex::new(Budget::of_day(Day::new(date, tokens))));
            clients.by_name.insert(name.into(), Arc::new(client));
        }
        self.remembered.set(clients.by_name.len() as i64);
    }

    /// Nobody knows what clients have used of the day: each of them may have used all.
    pub fn use_up_day(&self, now: Moment) {
        let mut clients = self.clients.write().unwrap_or_else(PoisonError::into_inner);
        clients.beginning = Day::new(date_of(now.time), u64::MAX);
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
#[derive(Debug)]
struct Client(Mutex<Budget>);

impl Client {
    fn budget(&self) -> MutexGuard<'_, Budget> {
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
    /// What a client that isn't remembered has used.
    beginning: Day,
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
        let client = Arc::new(Client(Mutex::new(Budget::of_day(self.beginning))));
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
            .retain(|_, client| Arc::strong_count(client) > 1 || !client.budget().is_untouched(now));
        self.enough = (2 * self.by_name.len()).min(Self::MOST);
    }
}

#[cfg(test)]
mod tests;
