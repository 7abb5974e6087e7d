//! What a stream costs in memory that has begun and waits: both of the front's connections, the client's and Ollama's.

use std::time::Duration;

use anyhow::{Context, Result};
use corral_measure::process;
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::fronts::Front;
use crate::load::streams::{Connection, connect, generate};

/// Streams that are held open.
pub(crate) const STREAMS: u32 = 5000;
/// Streams that are opened and closed before, so that what a front allocates once isn't counted.
const WARM_UP: u32 = 100;
/// Streams that are being opened at a time.
const OPENING: usize = 50;
/// In which the tasks of dropped connections close them: a front that is stopped would wait for its streams' end.
const CLOSING: Duration = Duration::from_secs(1);
/// Longer than this measurement.
const SILENCE: Duration = Duration::from_secs(3600);

/// Bytes for each stream; none where there is no front.
pub(crate) async fn measure(front: &Front) -> Result<Option<f64>> {
    let Some(process) = front.process() else {
        return Ok(None);
    };
    drop(open(front, WARM_UP).await?);
    let before = process::memory(process)?;
    let held = open(front, STREAMS).await?;
    let after = process::memory(process)?;
    drop(held);
    tokio::time::sleep(CLOSING).await;
    #[expect(clippy::cast_precision_loss, reason = "a process has less than 2^52 bytes")]
    let grown = after.saturating_sub(before) as f64;
    Ok(Some(grown / f64::from(STREAMS)))
}

async fn open(front: &Front, count: u32) -> Result<Vec<(Connection, Incoming)>> {
    stream::iter(0..count)
        .map(|_| one(front))
        .buffer_unordered(OPENING)
        .try_collect()
        .await
}

/// A stream whose first token has come.
async fn one(front: &Front) -> Result<(Connection, Incoming)> {
    let mut connection = connect(front.address).await?;
    let mut answer = generate(&mut connection, front, 2, SILENCE).await?;
    answer.frame().await.context("an empty stream")??;
    Ok((connection, answer))
}
