//! A new key in a file of ten thousand, while requests come: how long until it is let in, and whether any request failed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use corral_measure::statistics::Spread;
use http::StatusCode;
use tokio::time::{Instant, sleep};

use crate::fronts::{Corral, Front, KEY, KEYS_FILE, Place, USER};
use crate::load::requests;
use crate::load::streams::{connect, status};

/// Keys in the file.
pub(crate) const KEYS: u32 = 10_000;
/// Edits of the file.
pub(crate) const EDITS: u32 = 10;
const SECONDS: u32 = 10;

/// Milliseconds from the file's being replaced to the first request with the new key that is let in.
pub(crate) fn measure(runtime: &tokio::runtime::Runtime, place: &Place<'_>) -> Result<Spread> {
    let front = Corral::api_key(place)?;
    let keys = place.folder.join(KEYS_FILE);
    replace(&keys, 0)?;
    // None of the requests may fail: that is checked when they are counted.
    let running = requests::begin(&front, place.folder, SECONDS)?;
    let latencies = runtime.block_on(edits(&front, &keys))?;
    running.finish()?;
    Ok(Spread::of(latencies.into_iter()))
}

async fn edits(front: &Front, keys: &Path) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    for edit in 1..=EDITS {
        sleep(Duration::from_millis(500)).await;
        replace(keys, edit)?;
        latencies.push(in_force(front, edit).await?.as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

async fn in_force(front: &Front, edit: u32) -> Result<Duration> {
    let begin = Instant::now();
    let authorization = format!("Bearer {}", new_key(edit));
    let mut connection = connect(front.address).await?;
    while status(&mut connection, front.address, Some(&authorization)).await? != StatusCode::OK {
        ensure!(
            begin.elapsed() < Duration::from_secs(30),
            "a new key isn't let in for half a minute"
        );
        sleep(Duration::from_millis(1)).await;
    }
    Ok(begin.elapsed())
}

/// Puts a file in the place of the one before, in one step.
fn replace(keys: &Path, edit: u32) -> Result<()> {
    let mut content = format!("{USER}:{KEY}\nnew:{}\n", new_key(edit));
    for number in 2..KEYS {
        writeln!(content, "client-{number}:a-key-of-the-client-{number:05}")?;
    }
    let next = keys.with_extension("next");
    fs::write(&next, content)?;
    Ok(fs::rename(next, keys)?)
}

fn new_key(edit: u32) -> String {
    format!("a-new-key-after-edit-{edit}")
}
