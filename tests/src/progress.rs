//! What is going on and for how long, on standard error: a line that renews itself on a terminal, plain lines with a
//! sign of life every 30 s elsewhere. It writes past the capture of test output: who waits for a build must see it.

use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Something that takes a while. Dropped without [`Step::done`], it is shown as failed.
pub struct Step {
    label: String,
    started: Instant,
    ticker: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Begins a step.
pub fn step(label: impl Into<String>) -> Step {
    let label = label.into();
    let started = Instant::now();
    let (stop, stopped) = channel::<()>();
    let ticker = {
        let label = label.clone();
        let terminal = std::io::stderr().is_terminal();
        let interval = Duration::from_secs(if terminal { 1 } else { 30 });
        std::thread::spawn(move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let line = format!("  … {label}  {}", elapsed(started));
                if terminal { rewrite(&line) } else { say(&line) }
            }
        })
    };
    if std::io::stderr().is_terminal() {
        rewrite(&format!("  … {label}"));
    }
    Step {
        label,
        started,
        ticker: Some((stop, ticker)),
    }
}

impl Step {
    /// Ends the step well and says how long it took.
    pub fn done(mut self) {
        self.end("✓");
    }

    fn end(&mut self, mark: &str) {
        let Some((stop, ticker)) = self.ticker.take() else {
            return;
        };
        drop(stop);
        if ticker.join().is_err() {
            say("  the progress display ended early");
        }
        if std::io::stderr().is_terminal() {
            rewrite("");
        }
        say(&format!("  {mark} {}  {}", self.label, elapsed(self.started)));
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.end("✗");
    }
}

/// Writes a line.
pub fn say(line: &str) {
    write(&format!("{line}\n"));
}

fn rewrite(line: &str) {
    write(&format!("\r\x1b[2K{line}"));
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nobody is left to tell when standard error is closed.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn elapsed(since: Instant) -> String {
    let seconds = since.elapsed().as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        minutes(since.elapsed())
    }
}

/// A duration as a person says it: `45 s`, `4 min`, `1 min 20 s`.
pub fn minutes(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (0, "0 s"),
            (45, "45 s"),
            (60, "1 min"),
            (80, "1 min 20 s"),
            (660, "11 min"),
        ] {
            assert_eq!(minutes(Duration::from_secs(seconds)), text);
        }
    }
}
