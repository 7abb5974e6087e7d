//! One clock for the fake Ollama and the clients, who share this process.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since this process first asked.
pub(crate) fn now() -> Duration {
    START.elapsed()
}
