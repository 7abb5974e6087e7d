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

use super::Entry;
use crate::config::{LogFormat, RouteClass};
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
    pub fn start(sink: impl Write + Send + 'static, format: LogFormat, dropped: Counter) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            json: AtomicBool::new(format == LogFormat::Json),
            dropped,
        });
        let writer = Arc::clone(&queue);
        thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer.run(sink))?;
        Ok(Self { queue })
    }

    /// The shape of the lines from now on.
    pub fn set_format(&self, format: LogFormat) {
        self.queue
            .json
            .store(format == LogFormat::Json, Ordering::Relaxed);
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
mod tests {
    use super::*;
    use crate::account::Outcome;
    use http::{HeaderValue, StatusCode};
    use std::sync::mpsc;

    fn entry() -> Entry {
        Entry {
            time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            client: Some("alice\n\"x".into()),
            means: Some(Means::Basic),
            address: "192.0.2.1".parse().unwrap(),
            method: "POST",
            route: Some("/api/chat"),
            class: Some(RouteClass::Inference),
            status: Some(StatusCode::OK),
            outcome: Outcome::Complete,
            received: 12,
            sent: 345,
            first_byte: Some(Duration::from_micros(1500)),
            duration: Duration::from_millis(2500),
            model: None,
            usage: None,
            request_id: None,
            trace_id: None,
        }
    }

    type Format = fn(&Entry, &mut String);

    #[test]
    fn an_entry_is_one_line() {
        let unknown = Entry {
            client: None,
            means: None,
            route: None,
            class: None,
            status: None,
            outcome: Outcome::Refused("credential"),
            first_byte: None,
            ..entry()
        };
        let counted = Entry {
            model: Some("gemma3:270m".into()),
            usage: Some(Usage {
                input: 10,
                output: 20,
                estimated: true,
            }),
            request_id: Some(HeaderValue::from_static("one")),
            trace_id: Some("4bf9".into()),
            ..entry()
        };
        let cases: &[(&str, Format, Entry, &str)] = &[
            (
                "JSON",
                json_line,
                entry(),
                r#"{"time":"2026-01-02T03:04:05.678Z","client":"alice\n\"x","means":"basic","address":"192.0.2.1","method":"POST","route":"/api/chat","class":"Inference","status":200,"outcome":"complete","bytesReceived":12,"bytesSent":345,"firstByteSeconds":0.0015,"durationSeconds":2.5}"#,
            ),
            (
                "text",
                text_line,
                entry(),
                r#"2026-01-02T03:04:05.678Z 200 POST /api/chat client="alice\n\"x" means=basic address=192.0.2.1 class=Inference outcome=complete received=12 sent=345 first_byte=0.0015s duration=2.5s"#,
            ),
            (
                "tokens in JSON",
                json_line,
                counted.clone(),
                r#"{"time":"2026-01-02T03:04:05.678Z","client":"alice\n\"x","means":"basic","address":"192.0.2.1","method":"POST","route":"/api/chat","class":"Inference","status":200,"outcome":"complete","bytesReceived":12,"bytesSent":345,"firstByteSeconds":0.0015,"durationSeconds":2.5,"model":"gemma3:270m","inputTokens":10,"outputTokens":20,"tokensEstimated":true,"requestId":"one","traceId":"4bf9"}"#,
            ),
            (
                "tokens in text",
                text_line,
                counted,
                r#"2026-01-02T03:04:05.678Z 200 POST /api/chat client="alice\n\"x" means=basic address=192.0.2.1 class=Inference outcome=complete received=12 sent=345 first_byte=0.0015s duration=2.5s model=gemma3:270m input_tokens=10 output_tokens=~20 request_id=one trace_id=4bf9"#,
            ),
            (
                "an unknown client in text",
                text_line,
                unknown,
                "2026-01-02T03:04:05.678Z - POST - client=- means=- address=192.0.2.1 class=- outcome=refused:credential received=12 sent=345 first_byte=- duration=2.5s",
            ),
        ];
        for (name, format, entry, expected) in cases {
            let mut lines = String::new();
            format(entry, &mut lines);
            assert_eq!(lines, *expected, "{name}");
        }
    }

    /// Takes nothing until it is told to.
    struct Stuck(mpsc::Receiver<()>, mpsc::Sender<usize>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.iter().filter(|&&byte| byte == b'\n').count());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_sink_stops_nobody_and_what_is_lost_is_counted() {
        let (release, held) = mpsc::channel();
        let (written, lines) = mpsc::channel();
        let dropped = Counter::default();
        let log = AccessLog::start(Stuck(held, written), LogFormat::Text, dropped.clone()).unwrap();
        let total = 3 * MOST_WAITING;
        for _ in 0..total {
            log.write(entry());
        }
        assert!(dropped.get() >= MOST_WAITING as u64, "dropped {}", dropped.get());
        drop(release);
        log.close();
        let count: usize = lines.try_iter().sum();
        assert_eq!(
            count as u64 + dropped.get(),
            total as u64,
            "each line is written or counted"
        );
    }
}
