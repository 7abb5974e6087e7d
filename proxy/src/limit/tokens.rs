//! Tokens that a client has used. They are known only when an answer has ended, so an answer may take more than was
//! left: what it owes then is paid off before the next begins.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::Level;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Tokens by the minute: a budget that fills evenly. What is used is kept as the time in which it comes back, so that it
/// stands when the limit changes.
#[derive(Debug, Default)]
pub(super) struct Minute {
    /// When all is back.
    full_at: Option<Instant>,
}

impl Minute {
    pub(super) fn level(&self, limit: NonZeroU64, now: Instant) -> Level {
        let reset = self.reset(now);
        let left = nanos(MINUTE.saturating_sub(reset)) * u128::from(limit.get()) / nanos(MINUTE);
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        let wait = match left {
            0 => (reset + time_of(1, limit)).saturating_sub(MINUTE),
            _ => Duration::ZERO,
        };
        Level {
            limit: limit.get(),
            left,
            wait,
            reset,
        }
    }

    pub(super) fn charge(&mut self, tokens: u64, limit: NonZeroU64, now: Instant) {
        self.full_at = Some(now + self.reset(now) + time_of(tokens, limit));
    }

    fn reset(&self, now: Instant) -> Duration {
        self.full_at
            .map_or(Duration::ZERO, |full_at| full_at.saturating_duration_since(now))
    }

    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.reset(now).is_zero()
    }
}

fn nanos(time: Duration) -> u128 {
    time.as_nanos()
}

/// The time in which so many tokens come back, rounded up.
fn time_of(tokens: u64, limit: NonZeroU64) -> Duration {
    let nanos = (u128::from(tokens) * nanos(MINUTE)).div_ceil(limit.get().into());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Tokens of one day, by UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Day {
    date: Date,
    used: u64,
}

impl Day {
    /// So many tokens of this day.
    pub(super) const fn new(date: Date, used: u64) -> Self {
        Self { date, used }
    }

    pub(super) fn level(self, limit: NonZeroU64, now: Timestamp) -> Level {
        let left = limit.get().saturating_sub(self.used_on(date_of(now)));
        let until_midnight = until_midnight(now);
        let when = |is_so: bool| if is_so { until_midnight } else { Duration::ZERO };
        Level {
            limit: limit.get(),
            left,
            wait: when(left == 0),
            reset: when(left < limit.get()),
        }
    }

    pub(super) fn charge(&mut self, tokens: u64, now: Timestamp) {
        let today = date_of(now);
        let used = self.used_on(today).saturating_add(tokens);
        *self = Self::new(self.date.max(today), used);
    }

    /// A clock that is set back begins no day anew.
    pub(super) fn used_on(self, today: Date) -> u64 {
        if today > self.date { 0 } else { self.used }
    }
}

/// The day of a moment, by UTC.
pub(super) fn date_of(now: Timestamp) -> Date {
    Offset::UTC.to_datetime(now).date()
}

fn until_midnight(now: Timestamp) -> Duration {
    let gone = now.as_nanosecond().rem_euclid(DAY.as_nanos() as i128);
    DAY.saturating_sub(Duration::from_nanos(gone as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(tokens: u64) -> NonZeroU64 {
        NonZeroU64::new(tokens).unwrap()
    }

    /// Tokens left, and milliseconds to wait and to the reset.
    fn told(level: Level) -> (u64, u128, u128) {
        (level.left, level.wait.as_millis(), level.reset.as_millis())
    }

    #[test]
    fn a_minute_fills_evenly_and_debts_are_paid_off() {
        // The limit, tokens charged at milliseconds, and what is told at others.
        type Case = (&'static str, u64, &'static [(u64, u64)], u64, (u64, u128, u128));
        let cases: &[Case] = &[
            ("nothing", 60, &[], 0, (60, 0, 0)),
            ("some", 60, &[(0, 20)], 0, (40, 0, 20_000)),
            ("some, later", 60, &[(0, 20)], 5_000, (45, 0, 15_000)),
            ("all back", 60, &[(0, 20)], 20_000, (60, 0, 0)),
            ("all", 60, &[(0, 60)], 0, (0, 1_000, 60_000)),
            ("all, and one back", 60, &[(0, 60)], 1_000, (1, 0, 59_000)),
            ("a debt", 60, &[(0, 200)], 0, (0, 141_000, 200_000)),
            ("a debt, nearly paid", 60, &[(0, 200)], 140_999, (0, 1, 59_001)),
            ("a debt, paid", 60, &[(0, 200)], 141_000, (1, 0, 59_000)),
            ("twice", 60, &[(0, 20), (10_000, 20)], 10_000, (30, 0, 30_000)),
            (
                "after a pause",
                60,
                &[(0, 20), (90_000, 20)],
                90_000,
                (40, 0, 20_000),
            ),
            ("no tokens", 60, &[(0, 0)], 0, (60, 0, 0)),
            ("one a minute", 1, &[(0, 1)], 59_999, (0, 1, 1)),
            (
                "very many",
                1,
                &[(0, u64::MAX), (0, u64::MAX)],
                0,
                (0, 36_893_488_147_419, 36_893_488_147_419),
            ),
        ];
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        for (name, most, charges, millis, expected) in cases {
            let mut minute = Minute::default();
            for (millis, tokens) in *charges {
                minute.charge(*tokens, limit(*most), at(*millis));
            }
            assert_eq!(told(minute.level(limit(*most), at(*millis))), *expected, "{name}");
        }
    }

    #[test]
    fn a_changed_limit_leaves_the_part_that_was_used() {
        let (mut minute, now) = (Minute::default(), Instant::now());
        minute.charge(30, limit(60), now);
        assert_eq!(minute.level(limit(600), now).left, 300, "half of it");
    }

    #[test]
    fn a_day_ends_at_midnight_by_utc() {
        type Case = (
            &'static str,
            &'static [(&'static str, u64)],
            &'static str,
            (u64, u128, u128),
        );
        const NOON: &str = "2026-11-25T12:00:00Z";
        const HALF: u128 = 12 * 3_600_000;
        let cases: &[Case] = &[
            ("nothing", &[], NOON, (100, 0, 0)),
            ("some", &[(NOON, 30)], NOON, (70, 0, HALF)),
            ("all", &[(NOON, 30), (NOON, 70)], NOON, (0, HALF, HALF)),
            ("more than all", &[(NOON, 300)], NOON, (0, HALF, HALF)),
            (
                "the last moment",
                &[(NOON, 100)],
                "2026-11-25T23:59:59.999Z",
                (0, 1, 1),
            ),
            (
                "the next day",
                &[(NOON, 100)],
                "2026-11-26T00:00:00Z",
                (100, 0, 0),
            ),
            (
                "a clock set back",
                &[(NOON, 100)],
                "2026-11-24T12:00:00Z",
                (0, HALF, HALF),
            ),
            (
                "no end of tokens",
                &[(NOON, u64::MAX), (NOON, 1)],
                NOON,
                (0, HALF, HALF),
            ),
            (
                "over midnight",
                &[("2026-11-24T23:00:00Z", 90), (NOON, 10)],
                NOON,
                (90, 0, HALF),
            ),
        ];
        for (name, charges, now, expected) in cases {
            let mut day = Day::default();
            for (when, tokens) in *charges {
                day.charge(*tokens, when.parse().unwrap());
            }
            assert_eq!(
                told(day.level(limit(100), now.parse().unwrap())),
                *expected,
                "{name}"
            );
        }
    }
}
