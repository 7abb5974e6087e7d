//! Small requests, as fast as they go, by wrk.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::Percentiles;
use crate::fronts::Front;

/// Connections of wrk.
pub(crate) const CONNECTIONS: u32 = 32;

/// What wrk says at the end, for this program to read.
const SCRIPT: &str = r#"
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;

/// What came of it.
pub(crate) struct Requests {
    pub(crate) per_second: f64,
    pub(crate) latency: Percentiles,
    /// Processor time of the front for a request, in microseconds.
    pub(crate) processor_time: Option<f64>,
    /// What of it the system took.
    pub(crate) system_time: Option<f64>,
}

#[derive(Deserialize)]
struct Summary {
    requests: u32,
    microseconds: u32,
    p50: u32,
    p99: u32,
    errors: u32,
}

/// Sends for so many seconds and waits for the end.
pub(crate) fn measure(front: &Front, folder: &Path, seconds: u32) -> Result<Requests> {
    let before = (front.processor_time()?, front.system_time()?);
    let summary = read(&command(front, folder, seconds)?.output()?)?;
    let requests = f64::from(summary.requests);
    let each = |after: Option<Duration>, before: Option<Duration>| {
        let used = after.zip(before).map(|(after, before)| after - before);
        used.map(|used| used.as_secs_f64() * 1e6 / requests)
    };
    Ok(Requests {
        per_second: per_second(&summary),
        latency: Percentiles {
            p50: summary.p50.into(),
            p99: summary.p99.into(),
        },
        processor_time: each(front.processor_time()?, before.0),
        system_time: each(front.system_time()?, before.1),
    })
}

/// Requests that are being sent while something else is done.
pub(crate) struct Running(std::process::Child);

/// Begins to send for so many seconds.
pub(crate) fn begin(front: &Front, folder: &Path, seconds: u32) -> Result<Running> {
    let wrk = command(front, folder, seconds)?.stdout(Stdio::piped()).spawn()?;
    Ok(Running(wrk))
}

impl Running {
    /// Waits for the end; says how many requests a second there were.
    pub(crate) fn finish(self) -> Result<f64> {
        Ok(per_second(&read(&self.0.wait_with_output()?)?))
    }
}

fn per_second(summary: &Summary) -> f64 {
    f64::from(summary.requests) * 1e6 / f64::from(summary.microseconds)
}

/// A front that hashes a password for every request answers late: that is no error of its own.
fn command(front: &Front, folder: &Path, seconds: u32) -> Result<Command> {
    let script = folder.join("wrk.lua");
    fs::write(&script, SCRIPT)?;
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--timeout", "30s"])
        .args(["--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{seconds}s")])
        .args(["--header", &format!("Authorization: {}", front.authorization)])
        .arg("--script")
        .arg(script)
        .arg(format!("http://{}/api/version", front.address));
    Ok(wrk)
}

fn read(output: &Output) -> Result<Summary> {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().context("wrk says nothing")?;
    let summary: Summary = serde_json::from_str(last).with_context(|| format!("wrk says: {text}"))?;
    ensure!(
        summary.errors == 0,
        "{} of {} requests failed: {text}",
        summary.errors,
        summary.requests
    );
    Ok(summary)
}
