//! Streams as users have them, and what becomes of them.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Error, Result, anyhow, ensure};
use corral_tests::registry;
use serde_json::{Value, json};

use crate::fixture::{Fixture, KEY, USERS, bearer};

/// A long answer that the real curl reads inside the node's network.
pub(crate) struct Stream {
    curl: Child,
    output: BufReader<ChildStdout>,
    lines: usize,
    last: String,
    status: Option<ExitStatus>,
}

impl Stream {
    /// From the proxy of that Pod.
    pub(crate) fn of(fixture: &Fixture, pod: &str) -> Result<Self> {
        Self::from(fixture, &fixture.proxy(pod)?, &["--header", &bearer(KEY)])
    }

    /// From whoever answers at that address.
    fn from(fixture: &Fixture, url: &str, credential: &[&str]) -> Result<Self> {
        // Of the likeliest words: Ollama ends an answer without a last line where a token comes thirty times in a row
        // (ollama/llm/server.go, `Completion`), as a small model's numbers may.
        let body = json!({
            "model": registry::MODEL,
            "prompt": "Tell a long story about a fox and a raven.",
            "options": {"num_predict": 60, "temperature": 0},
        });
        let mut curl = fixture.node()?.command("curl");
        curl.args(["--silent", "--no-buffer", "--max-time", "300"])
            .args(credential)
            .args(["--data", &body.to_string()])
            .arg(format!("{url}/api/generate"))
            .stdout(Stdio::piped());
        let mut curl = curl.spawn()?;
        let output = BufReader::new(curl.stdout.take().context("no output")?);
        Ok(Self {
            curl,
            output,
            lines: 0,
            last: String::new(),
            status: None,
        })
    }

    /// Reads so many lines.
    pub(crate) fn wait_for_lines(&mut self, wanted: usize) -> Result<()> {
        while self.lines < wanted {
            ensure!(
                self.read()?,
                "the stream ended after {} lines: {}",
                self.lines,
                self.last
            );
        }
        Ok(())
    }

    /// Reads to the end, however it comes; what a person would say of it.
    pub(crate) fn end(&mut self) -> Result<String> {
        while self.read()? {}
        let status = self.curl.wait()?;
        self.status = Some(status);
        let end = if self.is_whole() { "whole" } else { "broken off" };
        Ok(format!(
            "{} lines, {end} (curl: {status}), the last: {}",
            self.lines,
            shortened(&self.last)
        ))
    }

    /// Whether its reader must take it for a whole answer.
    pub(crate) fn is_whole(&self) -> bool {
        let last: Value = serde_json::from_str(&self.last).unwrap_or_default();
        self.status.is_some_and(|status| status.success()) && last["done"] == json!(true)
    }

    fn read(&mut self) -> Result<bool> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        self.lines += 1;
        self.last = line.trim_end().to_owned();
        Ok(true)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // It has ended by itself, or nobody reads it any more.
        let _ = self.curl.kill();
        let _ = self.curl.wait();
    }
}

/// The end of a model's last line is a long list of numbers.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(160) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Between two streams.
const BETWEEN: Duration = Duration::from_millis(500);

/// What streams saw, one after the other, through the Service: short ones, and beside them long ones, so that there is one under
/// way whenever anything happens.
pub(crate) struct Traffic {
    short: Seen,
    long: Seen,
}

/// What streams of a kind saw.
#[derive(Default)]
struct Seen {
    whole: usize,
    /// What went wrong, with how often in a row.
    failures: Vec<(String, usize)>,
}

impl Traffic {
    /// Of all the time that something takes.
    pub(crate) fn during<T>(
        fixture: &Fixture,
        url: &str,
        act: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Self)> {
        let stop = AtomicBool::new(false);
        let again = |ask: fn(&Fixture, &str) -> Result<()>| {
            let mut seen = Seen::default();
            while !stop.load(Ordering::Relaxed) {
                seen.note(ask(fixture, url));
                thread::sleep(BETWEEN);
            }
            seen
        };
        thread::scope(|scope| {
            let (short, long) = (scope.spawn(|| again(short)), scope.spawn(|| again(long)));
            let outcome = act();
            stop.store(true, Ordering::Relaxed);
            let panicked = |_| anyhow!("the traffic's thread panicked");
            let traffic = Self {
                short: short.join().map_err(panicked)?,
                long: long.join().map_err(panicked)?,
            };
            Ok((outcome?, traffic))
        })
    }

    /// Whether each was whole, and there were some.
    pub(crate) fn is_unharmed(&self) -> bool {
        [&self.short, &self.long]
            .iter()
            .all(|seen| seen.whole > 0 && seen.failures.is_empty())
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { short, long } = self;
        write!(formatter, "short answers: {short}; long streams: {long}")
    }
}

impl Seen {
    fn note(&mut self, outcome: Result<()>) {
        let Err(error) = outcome else {
            self.whole += 1;
            return;
        };
        let failure = format!("{error:#}");
        match self.failures.last_mut() {
            Some((last, count)) if *last == failure => *count += 1,
            _ => self.failures.push((failure, 1)),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} whole", self.whole)?;
        for (failure, count) in &self.failures {
            write!(formatter, ", {count} × {failure}")?;
        }
        Ok(())
    }
}

/// By a user's password: keys are rotated meanwhile.
fn credential() -> String {
    let (user, password) = USERS[0];
    format!("{user}:{password}")
}

fn short(fixture: &Fixture, url: &str) -> Result<()> {
    let body =
        json!({"model": registry::MODEL, "prompt": "Hello", "options": {"num_predict": 1}}).to_string();
    let url = format!("{url}/api/generate");
    let answer = fixture
        .curl(&url, &["--user", &credential(), "--data", &body])
        .map_err(|error| curls_words(&error))?;
    ensure!(answer.status == 200, "{}", answer.status);
    ensure!(answer.body.contains("\"done\":true"), "200, and broken off");
    Ok(())
}

/// The last words are curl's own.
fn curls_words(error: &Error) -> Error {
    let words = format!("{error:#}");
    let words = words.rsplit("curl: ").next().unwrap_or_default();
    anyhow!("{words}")
}

fn long(fixture: &Fixture, url: &str) -> Result<()> {
    let mut stream = Stream::from(fixture, url, &["--user", &credential()])?;
    let end = stream.end()?;
    ensure!(stream.is_whole(), "{end}");
    Ok(())
}
