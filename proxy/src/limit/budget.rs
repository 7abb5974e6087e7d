//! What one client has used, against limits that may change at any time.

use std::time::Duration;

use jiff::civil::Date;

use super::rate::Rate;
use super::tokens::{Day, Minute, date_of};
use super::{Level, Moment, Overrun, Standing};
use crate::config::ClientLimits;

/// What one client has used.
#[derive(Debug, Default)]
pub(super) struct Budget {
    running: u32,
    rate: Option<Rate>,
    minute: Minute,
    day: Day,
}

/// A request that is over a limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denied {
    pub(super) overrun: Overrun,
    /// When it could be let in.
    pub(super) wait: Duration,
    pub(super) standing: Box<Standing>,
}

/// When to come again while others are on their way: nobody knows when they end.
const SOON: Duration = Duration::from_secs(1);

impl Budget {
    /// A client that has used so much of a day, and of all else nothing.
    pub(super) fn of_day(day: Day) -> Self {
        Self {
            day,
            ..Self::default()
        }
    }

    /// Tokens used of this day.
    pub(super) fn used_on(&self, today: Date) -> u64 {
        self.day.used_on(today)
    }

    /// Counts a request that begins, and that may take tokens or can't. It goes on until [`Self::leave`].
    ///
    /// # Errors
    /// It is over a limit, and doesn't begin.
    pub(super) fn enter(
        &mut self,
        limits: &ClientLimits,
        takes_tokens: bool,
        now: Moment,
    ) -> Result<Standing, Denied> {
        let ClientLimits {
            requests_per_minute: _,
            burst: _,
            concurrent,
            tokens_per_minute,
            tokens_per_day,
        } = limits;
        let request = self.request(limits, now);
        let minute = tokens_per_minute.map(|limit| self.minute.level(limit, now.instant));
        let day = tokens_per_day.map(|limit| self.day.level(limit, now.time));
        let standing = Standing {
            requests: request.map(|taken| taken.unwrap_or_else(|level| level)),
            tokens: minute.into_iter().chain(day).min_by_key(|level| level.left),
        };
        let used_up = |level: &Level| takes_tokens && level.left == 0;
        let overruns = [
            request
                .and_then(Result::err)
                .map(|level| (Overrun::RequestsPerMinute(level.limit), level.wait)),
            day.filter(used_up)
                .map(|level| (Overrun::TokensPerDay(level.limit), level.wait)),
            minute
                .filter(used_up)
                .map(|level| (Overrun::TokensPerMinute(level.limit), level.wait)),
            concurrent
                .filter(|most| self.running >= most.get())
                .map(|most| (Overrun::Concurrent(most.get()), SOON)),
        ];
        if let Some((overrun, wait)) = overruns.into_iter().flatten().next() {
            return Err(Denied {
                overrun,
                wait,
                standing: Box::new(standing),
            });
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

    /// An answer has taken so many tokens.
    pub(super) fn charge(&mut self, tokens: u64, limits: &ClientLimits, now: Moment) {
        if let Some(limit) = limits.tokens_per_minute {
            self.minute.charge(tokens, limit, now.instant);
        }
        if limits.tokens_per_day.is_some() {
            self.day.charge(tokens, now.time);
        }
    }

    /// Whether nothing that has ended counts against the client any more.
    pub(super) fn is_untouched(&self, now: Moment) -> bool {
        let Self {
            running: _,
            rate,
            minute,
            day,
        } = self;
        let rate_is_full = rate.as_ref().is_none_or(|rate| rate.is_full(now.instant));
        rate_is_full && minute.is_full(now.instant) && day.used_on(date_of(now.time)) == 0
    }
}
