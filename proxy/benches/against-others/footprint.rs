//! What a front takes before it has anything to do.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use corral_measure::process;
use corral_measure::statistics::Spread;

use crate::fronts::{CORRAL_PROGRAM, Place, Start};

/// How often each is started.
const STARTS: usize = 5;

/// A front that has just started.
pub(crate) struct Footprint {
    pub(crate) name: String,
    /// From the start of the process to the first connection that it takes, in milliseconds.
    pub(crate) started_in: Spread,
    /// Bytes of memory.
    pub(crate) memory: u64,
}

pub(crate) fn measure(place: &Place<'_>, start: Start) -> Result<Footprint> {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..STARTS {
        drop(last.take());
        let front = start(place)?;
        times.push(front.started_in.as_secs_f64() * 1e3);
        last = Some(front);
    }
    let front = last.context("no start")?;
    Ok(Footprint {
        started_in: Spread::of(times.into_iter()),
        memory: front.process().map(process::memory).transpose()?.unwrap_or(0),
        name: front.name.clone(),
    })
}

/// Bytes of the proxy's program without symbols, which is all that its image holds.
pub(crate) fn program_size() -> Result<u64> {
    let stripped = tempfile::NamedTempFile::new()?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(stripped.path()).arg(CORRAL_PROGRAM);
    ensure!(
        strip.status().context("strip")?.success(),
        "strip refuses the program"
    );
    // By its name: strip makes the file anew.
    Ok(fs::metadata(stripped.path())?.len())
}
