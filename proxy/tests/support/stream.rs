//! A generation under way, as curl sees it.

use std::io::{BufRead, BufReader};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Proxy;

/// Runs until it is cut or dropped.
pub(crate) struct Stream {
    child: Child,
    lines: Arc<AtomicUsize>,
}

impl Stream {
    /// Starts a generation with this API key.
    pub(crate) fn start(proxy: &Proxy, key: &str) -> Self {
        Self::with(proxy, &["-H", &format!("Authorization: Bearer {key}")])
    }

    /// Starts a generation with these arguments of curl.
    pub(crate) fn with(proxy: &Proxy, credentials: &[&str]) -> Self {
        let arguments = [credentials, &["--data", "{}"]].concat();
        let mut command = proxy.command("/api/generate", &arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = Arc::new(AtomicUsize::new(0));
        let (output, counter) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&lines));
        thread::spawn(move || {
            for _ in output.lines().map_while(Result::ok) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { child, lines }
    }

    /// How many lines have come.
    pub(crate) fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }

    /// How curl ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
