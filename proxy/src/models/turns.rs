//! When each model is looked after: at once, then again and again, and after a failure with growing pauses.

use std::time::{Duration, Instant};

/// How often a model is looked after that is ready.
pub(super) const LOOK: Duration = Duration::from_secs(30);
/// The wait after the first failure; it doubles with each further one.
const SHORTEST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(300);
/// How soon one is looked at again that waits for another.
const WAIT: Duration = Duration::from_secs(1);

/// The turns of all models, in their order.
pub(super) struct Turns(Vec<Turn>);

struct Turn {
    /// When it is due; none while it is being looked after.
    at: Option<Instant>,
    /// The pause after the next failure.
    pause: Duration,
}

impl Turns {
    /// All are due now.
    pub(super) fn new(models: usize, now: Instant) -> Self {
        let turn = || Turn {
            at: Some(now),
            pause: SHORTEST_RETRY,
        };
        Self(std::iter::repeat_with(turn).take(models).collect())
    }

    /// The one that has been due for longest. It is being looked after from now on.
    pub(super) fn begin(&mut self, now: Instant) -> Option<usize> {
        let waits = self.0.iter().enumerate();
        let (at, index) = waits.filter_map(|(index, turn)| Some((turn.at?, index))).min()?;
        if at > now {
            return None;
        }
        self.0.get_mut(index)?.at = None;
        Some(index)
    }

    pub(super) fn succeeded(&mut self, index: usize, now: Instant) {
        self.end(index, now + LOOK, SHORTEST_RETRY);
    }

    pub(super) fn waits(&mut self, index: usize, now: Instant) {
        self.end(index, now + WAIT, SHORTEST_RETRY);
    }

    pub(super) fn failed(&mut self, index: usize, now: Instant) {
        let pause = self.0.get(index).map_or(SHORTEST_RETRY, |turn| turn.pause);
        self.end(index, now + pause, (pause * 2).min(LONGEST_RETRY));
    }

    /// It failed through no fault of its own: the next pause is the shortest again.
    pub(super) fn was_hindered(&mut self, index: usize, now: Instant) {
        self.end(index, now + SHORTEST_RETRY, SHORTEST_RETRY * 2);
    }

    fn end(&mut self, index: usize, at: Instant, pause: Duration) {
        if let Some(turn) = self.0.get_mut(index) {
            *turn = Turn { at: Some(at), pause };
        }
    }

    /// Until the next is due.
    pub(super) fn until_next(&self, now: Instant) -> Duration {
        let waits = self.0.iter().filter_map(|turn| turn.at);
        waits.min().map_or(LOOK, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait() {
        let mut now = Instant::now();
        let mut turns = Turns::new(1, now);
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            assert_eq!(turns.begin(now), Some(0), "before {seconds} s");
            assert_eq!(turns.begin(now), None, "it is being looked after");
            turns.failed(0, now);
            assert_eq!(turns.begin(now), None);
            assert_eq!(turns.until_next(now), Duration::from_secs(seconds));
            now += Duration::from_secs(seconds);
        }
        turns.succeeded(0, now);
        assert_eq!(turns.until_next(now), LOOK);
        turns.failed(0, now);
        assert_eq!(turns.until_next(now), SHORTEST_RETRY, "after a success");
        turns.failed(0, now);
        turns.was_hindered(0, now);
        assert_eq!(turns.until_next(now), SHORTEST_RETRY, "while Ollama is away");
    }

    #[test]
    fn one_that_fails_holds_up_no_other() {
        let now = Instant::now();
        let mut turns = Turns::new(3, now);
        assert_eq!(
            (
                turns.begin(now),
                turns.begin(now),
                turns.begin(now),
                turns.begin(now)
            ),
            (Some(0), Some(1), Some(2), None)
        );
        turns.failed(0, now);
        turns.waits(1, now);
        assert_eq!(turns.until_next(now), WAIT);
        assert_eq!(turns.begin(now + WAIT), Some(1));
        assert_eq!(turns.begin(now + SHORTEST_RETRY), Some(0));
        assert_eq!(
            turns.begin(now + LOOK * 100),
            None,
            "what is being looked after isn't due"
        );
    }
}
