//! The access log. Requests leave their line; a thread of its own writes, so that a slow reader of standard output
//! slows nobody.

use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use super::line::Times;
use super::{Entry, audit, line};
use crate::config::{Log, LogFormat};

/// Bytes of lines that may wait; lines that come then are dropped and counted.
const MOST_WAITING: usize = 4 << 20;
/// How long lines are gathered before they are written: one wake-up of the thread serves them all.
const GATHERING: Duration = Duration::from_millis(20);
/// Bytes of lines that are written without gathering more: they are still in the processor's cache then.
const ENOUGH: usize = 64 << 10;
/// How long the end of the process may wait for the last lines.
const CLOSING: Duration = Duration::from_secs(2);

/// The access log. Closed when dropped.
#[derive(Debug)]
pub struct AccessLog {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    json: AtomicBool,
    audit: AtomicBool,
    dropped: Counter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Of how many entries they are.
    entries: u64,
    times: Times,
    closing: bool,
    closed: bool,
}

impl AccessLog {
    /// Starts the thread that writes to `sink`. Entries that it can't take are counted in `dropped`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(sink: impl Write + Send + 'static, config: &Log, dropped: Counter) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            json: AtomicBool::default(),
            audit: AtomicBool::default(),
            dropped,
        });
        let writer = Arc::clone(&queue);
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(sink))?;
        let log = Self { queue };
        log.configure(config);
        Ok(log)
    }

    /// Which lines there are from now on, and in what shape.
    pub fn configure(&self, config: &Log) {
        let Log { format, audit } = config;
        self.queue
            .json
            .store(*format == LogFormat::Json, Ordering::Relaxed);
        self.queue.audit.store(*audit, Ordering::Relaxed);
    }

    /// Whether there is an audit log.
    pub fn audits(&self) -> bool {
        self.queue.audit.load(Ordering::Relaxed)
    }

    /// Leaves an entry's line to be written.
    pub fn write(&self, entry: &Entry) {
        let mut waiting = self.queue.lock();
        let before = waiting.lines.len();
        if before >= MOST_WAITING {
            self.queue.dropped.inc();
            return;
        }
        self.queue.format(entry, &mut waiting);
        let becomes_enough = before < ENOUGH && waiting.lines.len() >= ENOUGH;
        drop(waiting);
        if before == 0 || becomes_enough {
            self.queue.changed.notify_all();
        }
    }

    /// Waits until the last lines are written, for a short while.
    pub fn close(&self) {
        let deadline = Instant::now() + CLOSING;
        let mut waiting = self.queue.lock();
        waiting.closing = true;
        self.queue.changed.notify_all();
        while !waiting.closed {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            waiting = self
                .queue
                .changed
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        while let Some(entries) = self.gather(&mut lines) {
            if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
                self.dropped.inc_by(entries);
            }
            lines.clear();
            // What a burst has taken is given back.
            lines.shrink_to(2 * ENOUGH);
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for lines and takes them into `lines`, which is empty and is filled next; says of how many entries they
    /// are. None once the log is closed and all are written.
    fn gather(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let mut waiting = self.lock();
        while waiting.lines.is_empty() {
            if waiting.closing {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let few = |waiting: &mut Waiting| waiting.lines.len() < ENOUGH && !waiting.closing;
        let gathered = self.changed.wait_timeout_while(waiting, GATHERING, few);
        let (mut waiting, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.lines, lines);
        Some(mem::take(&mut waiting.entries))
    }

    fn format(&self, entry: &Entry, waiting: &mut Waiting) {
        let Waiting {
            lines,
            entries,
            times,
            ..
        } = waiting;
        *entries += 1;
        let time = times.text(entry.time);
        if self.json.load(Ordering::Relaxed) {
            line::json(entry, time, lines);
        } else {
            line::text(entry, time, lines);
        }
        if self.audit.load(Ordering::Relaxed) && audit::concerns(entry) {
            audit::line(entry, time, lines);
        }
    }
}

#[cfg(test)]
mod tests;
