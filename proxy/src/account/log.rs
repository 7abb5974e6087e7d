//! The access log. Requests only leave their entry; a thread of its own writes, so that a slow reader of standard
//! output slows nobody.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::mem;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use super::{Entry, audit};
use crate::config::{Log, LogFormat, RouteClass};
use crate::status::Means;
use crate::usage::Usage;

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
        let mut lines = String::new();
        while let Some(entries) = self.gather() {
            lines.clear();
            for entry in &entries {
                self.format(entry, &mut lines);
            }
            if sink
                .write_all(lines.as_bytes())
                .and_then(|()| sink.flush())
                .is_err()
            {
                self.dropped.inc_by(entries.len() as u64);
            }
        }
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Waits for entries; none once the log is closed and all are written.
    fn gather(&self) -> Option<Vec<Entry>> {
        let mut waiting = self.lock();
        while waiting.entries.is_empty() {
            if waiting.closing {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.closing {
            drop(waiting);
            thread::sleep(GATHERING);
            waiting = self.lock();
        }
        Some(mem::take(&mut waiting.entries))
    }

    fn format(&self, entry: &Entry, lines: &mut String) {
        if self.json.load(Ordering::Relaxed) {
            json_line(entry, lines);
        } else {
            text_line(entry, lines);
        }
        lines.push('\n');
        if self.audit.load(Ordering::Relaxed) && audit::concerns(entry) {
            audit::line(entry, lines);
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    time: String,
    client: Option<&'a str>,
    means: Option<&'static str>,
    address: IpAddr,
    method: &'static str,
    route: Option<&'static str>,
    class: Option<&'static str>,
    status: Option<u16>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    bytes_received: u64,
    bytes_sent: u64,
    first_byte_seconds: Option<f64>,
    duration_seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_estimated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
}

fn line(entry: &Entry) -> Line<'_> {
    Line {
        time: format!("{:.3}", entry.time),
        client: entry.client.as_deref(),
        means: entry.means.map(Means::name),
        address: entry.address,
        method: entry.method,
        route: entry.route,
        class: entry.class.map(RouteClass::name),
        status: entry.status.map(|status| status.as_u16()),
        outcome: entry.outcome.name(),
        reason: entry.outcome.reason(),
        bytes_received: entry.received,
        bytes_sent: entry.sent,
        first_byte_seconds: entry.first_byte.map(seconds),
        duration_seconds: seconds(entry.duration),
        model: entry.model.as_deref(),
        input_tokens: entry.usage.map(|usage| usage.input),
        output_tokens: entry.usage.map(|usage| usage.output),
        tokens_estimated: entry.usage.map(|usage| usage.estimated),
        request_id: entry.request_id.as_ref().and_then(|id| id.to_str().ok()),
        trace_id: entry.trace_id.as_deref(),
    }
}

/// To the microsecond.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
}

fn json_line(entry: &Entry, lines: &mut String) {
    // Strings and numbers always serialize.
    lines.push_str(&serde_json::to_string(&line(entry)).unwrap_or_default());
}

fn text_line(entry: &Entry, lines: &mut String) {
    let line = line(entry);
    let status = line
        .status
        .map_or_else(|| "-".to_owned(), |status| status.to_string());
    let first_byte = line
        .first_byte_seconds
        .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds}s"));
    // A client's name may hold spaces or worse: quoted as a JSON string it stays one word on one line.
    let client = line
        .client
        .map_or_else(|| "-".to_owned(), |client| serde_json::json!(client).to_string());
    // Writing to a string can't fail.
    let _ = write!(
        lines,
        "{time} {status} {method} {route} client={client} means={means} address={address} class={class} \
         outcome={outcome}{reason} received={received} sent={sent} first_byte={first_byte} duration={duration}s",
        time = line.time,
        method = line.method,
        route = line.route.unwrap_or("-"),
        means = line.means.unwrap_or("-"),
        address = line.address,
        class = line.class.unwrap_or("-"),
        outcome = line.outcome,
        reason = line.reason.map(|reason| format!(":{reason}")).unwrap_or_default(),
        received = line.bytes_received,
        sent = line.bytes_sent,
        duration = line.duration_seconds,
    );
    if let Some(model) = line.model {
        let _ = write!(lines, " model={model}");
    }
    if let Some(Usage {
        input,
        output,
        estimated,
    }) = entry.usage
    {
        let mark = if estimated { "~" } else { "" };
        let _ = write!(lines, " input_tokens={input} output_tokens={mark}{output}");
    }
    for (name, id) in [("request_id", line.request_id), ("trace_id", line.trace_id)] {
        if let Some(id) = id {
            let _ = write!(lines, " {name}={id}");
        }
    }
}

#[cfg(test)]
mod tests;
