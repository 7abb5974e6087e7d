//! What the black-box tests stand on: the real proxy as a process, a stand-in for Ollama that remembers what has
//! reached it, and curl as a real client.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file takes the part that it needs"
)]

mod announced;
mod curl;
mod ollama;
mod process;
mod proxy;
mod stream;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use ollama::Ollama;
pub(crate) use process::corral_proxy;
pub(crate) use proxy::Proxy;
pub(crate) use stream::Stream;

/// Far longer than what must come takes, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits until something is so, and says how long that took.
#[track_caller]
pub(crate) fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// A folder of its own for the files of a test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in place and returns its path as an argument.
    pub(crate) fn write(&self, name: &str, content: &str) -> String {
        fs::write(self.path(name), content).unwrap();
        self.argument(name)
    }

    pub(crate) fn argument(&self, name: &str) -> String {
        Path::to_str(&self.path(name)).unwrap().to_owned()
    }
}
