//! The time that limits are told.

use std::time::Instant;

/// A moment, by a clock that only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// For what is counted by the minute.
    pub instant: Instant,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
        }
    }
}
