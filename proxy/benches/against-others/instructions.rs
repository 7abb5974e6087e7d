//! Instructions for a request and for a token, counted by callgrind: whatever else the machine does, they stay the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::runtime::Runtime;

use crate::fronts::{Front, Place, Start};
use crate::load::streams::{connect, generate, status};

/// Requests or tokens of the first run, and of the second: what they differ by is the cost of one alone.
const RUNS: [u32; 2] = [500, 2500];
/// Between two tokens, so that a front that callgrind slows down still has each of them alone.
const INTERVAL: Duration = Duration::from_millis(3);

/// Instructions in a front's own code, without the kernel's.
pub(crate) struct Instructions {
    pub(crate) front: String,
    /// For a small request.
    pub(crate) request: f64,
    /// For a token of a stream.
    pub(crate) token: f64,
}

pub(crate) fn measure(runtime: &Runtime, place: &Place<'_>, start: Start) -> Result<Instructions> {
    let (front, request) = of_each(runtime, place, start, &send)?;
    let (_, token) = of_each(runtime, place, start, &stream)?;
    Ok(Instructions {
        front,
        request,
        token,
    })
}

fn of_each(
    runtime: &Runtime,
    place: &Place<'_>,
    start: Start,
    load: &impl AsyncFn(&Front, u32) -> Result<()>,
) -> Result<(String, f64)> {
    let [few, many] = RUNS;
    let (name, fewer) = run(runtime, place, start, async |front| load(front, few).await)?;
    let (_, more) = run(runtime, place, start, async |front| load(front, many).await)?;
    Ok((name, (more - fewer) / f64::from(many - few)))
}

fn run(
    runtime: &Runtime,
    place: &Place<'_>,
    start: Start,
    load: impl AsyncFnOnce(&Front) -> Result<()>,
) -> Result<(String, f64)> {
    let logs = tempfile::tempdir_in(place.folder)?;
    let wrapper = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        // nginx has a worker of its own.
        "--trace-children=yes",
        &format!("--log-file={}/%p", logs.path().display()),
    ]
    .map(str::to_owned);
    let counted = Place {
        wrapper: wrapper.into(),
        ..*place
    };
    let front = start(&counted)?;
    let name = front.name.clone();
    runtime.block_on(load(&front))?;
    front.stop()?;
    let counts = fs::read_dir(logs.path())?.map(|log| collected(&log?.path()));
    Ok((name, counts.sum::<Result<f64>>()?))
}

async fn send(front: &Front, requests: u32) -> Result<()> {
    let mut connection = connect(front.address).await?;
    for _ in 0..requests {
        let status = status(&mut connection, front.address, Some(&front.authorization)).await?;
        ensure!(status == StatusCode::OK, "{} answers {status}", front.name);
    }
    Ok(())
}

async fn stream(front: &Front, tokens: u32) -> Result<()> {
    let mut connection = connect(front.address).await?;
    let answer = generate(&mut connection, front, tokens, INTERVAL).await?;
    answer.collect().await?;
    Ok(())
}

/// callgrind ends its log with `Collected : NUMBER`.
fn collected(log: &Path) -> Result<f64> {
    let text = fs::read_to_string(log)?;
    let (_, number) = text
        .rsplit_once("Collected : ")
        .with_context(|| format!("callgrind says: {text}"))?;
    Ok(number.lines().next().unwrap_or_default().trim().parse()?)
}
