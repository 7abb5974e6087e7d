//! Instructions for a request, counted by callgrind: whatever else the machine does, they stay the same.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use http::StatusCode;

use crate::fronts::{Front, Place, Start};
use crate::load::streams::{connect, status};

/// Requests of the first run, and of the second: what they differ by is the cost of a request alone.
const RUNS: [u32; 2] = [500, 2500];

/// Instructions in the front's own code, without the kernel's.
pub(crate) fn measure(
    runtime: &tokio::runtime::Runtime,
    place: &Place<'_>,
    start: Start,
) -> Result<(String, f64)> {
    let [few, many] = RUNS;
    let (name, fewer) = run(runtime, place, start, few)?;
    let (_, more) = run(runtime, place, start, many)?;
    Ok((name, (more - fewer) / f64::from(many - few)))
}

fn run(
    runtime: &tokio::runtime::Runtime,
    place: &Place<'_>,
    start: Start,
    requests: u32,
) -> Result<(String, f64)> {
    let log = place.folder.join("callgrind.log");
    let wrapper = [
        "valgrind",
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        &format!("--log-file={}", log.display()),
    ]
    .map(str::to_owned);
    let counted = Place {
        wrapper: wrapper.into(),
        ..*place
    };
    let front = start(&counted)?;
    let name = front.name.clone();
    runtime.block_on(send(&front, requests))?;
    front.stop()?;
    Ok((name, collected(&log)?))
}

async fn send(front: &Front, requests: u32) -> Result<()> {
    let mut connection = connect(front.address).await?;
    for _ in 0..requests {
        let status = status(&mut connection, front.address, Some(&front.authorization)).await?;
        ensure!(status == StatusCode::OK, "{} answers {status}", front.name);
    }
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
