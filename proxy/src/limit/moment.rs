//! The time that limits are told.

use std::time::Instant;

use jiff::Timestamp;

/// A moment, by two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By a clock that only goes forward, for what is counted by the minute.
    pub instant: Instant,
    /// By the calendar, for what is counted by the day.
    pub time: Timestamp,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: Timestamp::now(),
        }
    }
}
