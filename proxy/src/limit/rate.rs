//! Requests by the minute, by the generic cell rate algorithm.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::Level;

/// The requests that a client has made lately, held to one quota.
#[derive(Debug)]
pub(super) struct Rate {
    per_minute: NonZeroU32,
    burst: NonZeroU32,
    limiter: RateLimiter<NotKeyed, InMemoryState, Told, StateInformationMiddleware>,
    /// When nothing counts any more.
    full_at: Instant,
}

/// The moment by which the next request is judged.
#[derive(Debug)]
struct Told(Cell<Instant>);

impl Clock for Told {
    type Instant = Instant;

    fn now(&self) -> Instant {
        self.0.get()
    }
}

impl Rate {
    pub(super) fn new(per_minute: NonZeroU32, burst: NonZeroU32, now: Instant) -> Self {
        let quota = Quota::per_minute(per_minute).allow_burst(burst);
        Self {
            per_minute,
            burst,
            limiter: RateLimiter::direct_with_clock(quota, Told(Cell::new(now))).with_middleware(),
            full_at: now,
        }
    }

    /// Whether it is held to this quota.
    pub(super) fn is_of(&self, per_minute: NonZeroU32, burst: NonZeroU32) -> bool {
        self.per_minute == per_minute && self.burst == burst
    }

    /// Counts a request, and says how many are left after it.
    ///
    /// # Errors
    /// One too many: it doesn't count.
    pub(super) fn take(&mut self, now: Instant) -> Result<Level, Level> {
        self.limiter.clock().0.set(now);
        match self.limiter.check() {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                self.full_at = now + state.quota().replenish_interval() * (self.burst.get() - left);
                Ok(self.level(left, Duration::ZERO, now))
            }
            Err(not_until) => Err(self.level(0, not_until.wait_time_from(now), now)),
        }
    }

    fn level(&self, left: u32, wait: Duration, now: Instant) -> Level {
        Level {
            limit: self.per_minute.get().into(),
            left: left.into(),
            wait,
            reset: self.full_at.saturating_duration_since(now),
        }
    }

    /// Whether nothing counts any more.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }
}
