//! The access log. Requests only leave their entry; a thread of its own writes, so that a slow reader of standard
//! output slows nobody.

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

/// Entries that may wait; what comes then is dropped and counted.
const MOST_WAITING: usize = 16_384;
/// How long entries are gathered before they are written: one wake-up of the thread serves them all.
const GATHERING: Duration = Duration::from_millis(20);
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
    entries: Vec<Entry>,
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

    /// Leaves an entry to be written.
    pub fn write(&self, entry: Entry) {
        let mut waiting = self.queue.lock();
        if waiting.entries.len() >= MOST_WAITING {
            self.queue.dropped.inc();
            return;
        }
        waiting.entries.push(entry);
        if waiting.entries.len() == 1 {
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
        let (mut batch, mut lines, mut times) = (Vec::new(), Vec::new(), Times::default());
        while self.gather(&mut batch) {
            let count = batch.len() as u64;
            for entry in batch.drain(..) {
                self.format(&entry, times.text(entry.time), &mut lines);
            }
            if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
                self.dropped.inc_by(count);
            }
            lines.clear();
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for entries and takes them into `batch`, which is empty and is filled next; false once the log is closed
    /// and all are written.
    fn gather(&self, batch: &mut Vec<Entry>) -> bool {
        let mut waiting = self.lock();
        while waiting.entries.is_empty() {
            if waiting.closing {
                return false;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.closing {
            drop(waiting);
            thread::sleep(GATHERING);
            waiting = self.lock();
        }
        mem::swap(&mut waiting.entries, batch);
        true
    }

    fn format(&self, entry: &Entry, time: &str, lines: &mut Vec<u8>) {
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
