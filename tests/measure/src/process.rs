//! What the kernel says of processes: time and memory.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

/// Fields of `/proc/PID/stat` behind the program's name (proc(5)): utime and stime, and stime alone.
const TIMES: Range<usize> = 11..13;
const SYSTEM_TIME: Range<usize> = 12..13;

/// Processor time of a process and its children, see [`own_processor_time`].
///
/// # Errors
/// When the process is gone.
pub fn processor_time(process: u32) -> Result<Duration> {
    with_children(process, &TIMES)
}

/// What of the processor time of a process and its children the system took.
///
/// # Errors
/// When the process is gone.
pub fn system_time(process: u32) -> Result<Duration> {
    with_children(process, &SYSTEM_TIME)
}

/// Processor time of a process alone, from `/proc/PID/stat`.
///
/// # Errors
/// When the process is gone.
pub fn own_processor_time(process: u32) -> Result<Duration> {
    own(process, &TIMES)
}

fn with_children(process: u32, times: &Range<usize>) -> Result<Duration> {
    let own = own(process, times)?;
    children(process)?
        .into_iter()
        .try_fold(own, |sum, child| Ok(sum + with_children(child, times)?))
}

fn own(process: u32, times: &Range<usize>) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, the program's name in parentheses, may hold spaces: count from behind it.
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("an unknown form of /proc/PID/stat")?;
    let ticks: u64 = fields
        .split(' ')
        .skip(times.start)
        .take(times.len())
        .map(|ticks| ticks.parse::<u64>().unwrap_or(0))
        .sum();
    let rate = u64::try_from(sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?)?;
    Ok(Duration::from_millis(ticks * 1000 / rate))
}

/// Memory of a process and its children that no other shares with it, in bytes (proc(5): `Pss` in smaps_rollup).
///
/// # Errors
/// When the process is gone.
pub fn memory(process: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let own: u64 = field(&rollup, "Pss")
        .context("an unknown form of smaps_rollup")?
        .trim_end_matches(" kB")
        .parse()?;
    children(process)?
        .into_iter()
        .try_fold(own << 10, |sum, child| Ok(sum + memory(child)?))
}

/// Memory of one process in bytes, shared or not (proc(5): `VmRSS` in status).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    /// What it has now.
    pub now: u64,
    /// The most that it has ever had.
    pub peak: u64,
}

/// A process's resident memory.
///
/// # Errors
/// When the process is gone.
pub fn resident(process: u32) -> Result<Resident> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let bytes = |name| -> Result<u64> {
        let text = field(&status, name).context("an unknown form of /proc/PID/status")?;
        Ok(text.trim_end_matches(" kB").parse::<u64>()? << 10)
    };
    Ok(Resident {
        now: bytes("VmRSS")?,
        peak: bytes("VmHWM")?,
    })
}

/// The processes that a process has started and that still run, oldest first.
///
/// # Errors
/// When the process is gone.
pub fn children(process: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    children
        .split_whitespace()
        .map(|child| Ok(child.parse()?))
        .collect()
}

pub(crate) fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let (_, value) = text
        .lines()
        .find(|line| line.starts_with(name))?
        .split_once(':')?;
    Some(value.trim())
}
