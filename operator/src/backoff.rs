//! How long to wait after failures.

use std::time::{Duration, Instant};

/// First and longest pause.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(300);

/// The failures since the last success.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
    /// When to try again after the last of them.
    try_at: Option<Instant>,
}

impl Backoff {
    /// Notes a failure; says when to try again: after a pause that is twice as long each time, give or take a quarter, so that
    /// many which failed together don't come back together. What failed before its pause was over, since something concerned
    /// it meanwhile, still has the rest of it.
    pub fn failed(&mut self) -> Pause {
        let now = Instant::now();
        let left = self.try_at.and_then(|at| at.checked_duration_since(now));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Pause::Rest(left);
        }
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        let pause = pause.mul_f64(0.75 + 0.5 * fraction());
        self.failures = self.failures.saturating_add(1);
        self.try_at = Some(now + pause);
        Pause::Next(pause)
    }
}

/// How long to wait after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Longer than after the failure before.
    Next(Duration),
    /// What is left of the pause after the failure before.
    Rest(Duration),
}

impl Pause {
    /// Its length.
    pub const fn length(self) -> Duration {
        match self {
            Self::Next(length) | Self::Rest(length) => length,
        }
    }
}

/// A random number from 0 to 1; without randomness, the middle.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a failure once the pause after the one before is over.
    fn failed_in_time(backoff: &mut Backoff) -> Duration {
        backoff.try_at = None;
        let pause = backoff.failed();
        assert!(matches!(pause, Pause::Next(_)), "{pause:?}");
        pause.length()
    }

    #[test]
    fn pauses_double_to_a_limit() {
        let mut backoff = Backoff::default();
        for middle in [
            0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0,
        ] {
            let pause = failed_in_time(&mut backoff);
            let right = (0.75..=1.25).contains(&(pause.as_secs_f64() / middle));
            assert!(right, "{pause:?} for {middle}");
        }
    }

    #[test]
    fn what_happens_during_a_pause_makes_it_no_longer() {
        let mut backoff = Backoff::default();
        let mut left = (0..5).map(|_| failed_in_time(&mut backoff)).last().unwrap();
        for event in 0..5 {
            let rest = backoff.failed();
            assert!(
                matches!(rest, Pause::Rest(rest) if rest < left),
                "event {event}: {rest:?} of {left:?}"
            );
            left = rest.length();
        }
        let next = failed_in_time(&mut backoff);
        assert!(next <= Duration::from_secs(20), "the sixth: {next:?}");
    }
}
