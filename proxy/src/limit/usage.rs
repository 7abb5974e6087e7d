//! What one client has used, against limits that may change at any time.

use std::time::Duration;

use super::rate::Rate;
use super::{Level, Moment, Overrun, Standing};
use crate::config::ClientLimits;

/// One client's use.
#[derive(Debug, Default)]
pub(super) struct Usage {
    running: u32,
    rate: Option<Rate>,
}

/// A request that is over a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) overrun: Overrun,
    /// When it could be let in.
    pub(super) wait: Duration,
    pub(super) standing: Standing,
}

/// When to come again while others are on their way: nobody knows when they end.
const SOON: Duration = Duration::from_secs(1);

impl Usage {
    /// Counts a request that begins. It goes on until [`Self::leave`].
    ///
    /// # Errors
    /// It is over a limit, and doesn't begin.
    pub(super) fn enter(&mut self, limits: &ClientLimits, now: Moment) -> Result<Standing, Denied> {
        let ClientLimits {
            requests_per_minute: _,
            burst: _,
            concurrent,
        } = limits;
        let requests = self.request(limits, now);
        let standing = Standing {
            requests: requests.map(|taken| taken.unwrap_or_else(|level| level)),
        };
        let denied = |overrun, wait| Denied {
            overrun,
            wait,
            standing,
        };
        if let Some(Err(level)) = requests {
            return Err(denied(Overrun::RequestsPerMinute(level.limit), level.wait));
        }
        if let Some(most) = concurrent.filter(|most| self.running >= most.get()) {
            return Err(denied(Overrun::Concurrent(most.get()), SOON));
        }
        self.running += 1;
        Ok(standing)
    }

    /// A new rate begins anew: what counted against another one says nothing of this.
    fn request(&mut self, limits: &ClientLimits, now: Moment) -> Option<Result<Level, Level>> {
        let (per_minute, burst) = (limits.requests_per_minute?, limits.burst()?);
        self.rate = self.rate.take().filter(|rate| rate.is_of(per_minute, burst));
        let rate = self
            .rate
            .get_or_insert_with(|| Rate::new(per_minute, burst, now.instant));
        Some(rate.take(now.instant))
    }

    /// A request has ended.
    pub(super) fn leave(&mut self) {
        self.running = self.running.saturating_sub(1);
    }

    /// Whether nothing that has ended counts against the client any more.
    pub(super) fn is_nothing(&self, now: Moment) -> bool {
        let Self { running: _, rate } = self;
        rate.as_ref().is_none_or(|rate| rate.is_full(now.instant))
    }
}
