//! The machine: its processors, its tools, and what it says of itself.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// Who runs where.
pub(crate) struct Processors {
    /// The front's own processor.
    pub(crate) front: usize,
    /// All that this process may use, as `taskset` takes them.
    pub(crate) all: String,
}

impl Processors {
    /// Keeps the last processor for the front and moves this thread, with all that it starts, to the others.
    pub(crate) fn split() -> Result<Self> {
        let mine = sched_getaffinity(Pid::from_raw(0))?;
        let all: Vec<_> = (0..CpuSet::count())
            .filter(|number| mine.is_set(*number).unwrap_or(false))
            .collect();
        let list: Vec<_> = all.iter().map(ToString::to_string).collect();
        let [others @ .., front] = all.as_slice() else {
            anyhow::bail!("this process may use no processor")
        };
        ensure!(
            !others.is_empty(),
            "the benchmark needs two processors: one for the front, one for its clients"
        );
        let mut rest = CpuSet::new();
        for number in others {
            rest.set(*number)?;
        }
        sched_setaffinity(Pid::from_raw(0), &rest)?;
        Ok(Self {
            front: *front,
            all: list.join(","),
        })
    }
}

/// A line about processor, memory, system and load.
pub(crate) fn describe() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&processors, "model name").unwrap_or("unknown processor");
    let count = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kibibytes: u64 = field(&memory, "MemTotal")
        .unwrap_or("0")
        .trim_end_matches(" kB")
        .parse()?;
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or("?");
    Ok(format!(
        "{count} × {model}, {} GiB memory, Linux {}; load average {load} before the start",
        kibibytes >> 20,
        system.trim()
    ))
}

fn field<'text>(text: &'text str, name: &str) -> Option<&'text str> {
    let (_, value) = text
        .lines()
        .find(|line| line.starts_with(name))?
        .split_once(':')?;
    Some(value.trim())
}

/// Processor time of a process and its children, from `/proc/PID/stat` (proc(5): utime and stime).
pub(crate) fn processor_time(process: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field, the program's name in parentheses, may hold spaces: count from behind it.
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("an unknown form of /proc/PID/stat")?;
    let ticks: u64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap_or(0))
        .sum();
    let rate = u64::try_from(sysconf(SysconfVar::CLK_TCK)?.context("no clock tick")?)?;
    let own = Duration::from_millis(ticks * 1000 / rate);
    children(process)?
        .into_iter()
        .try_fold(own, |sum, child| Ok(sum + processor_time(child)?))
}

/// Memory of a process and its children that no other shares with it, in bytes (proc(5): `Pss` in smaps_rollup).
pub(crate) fn memory(process: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    let own: u64 = field(&rollup, "Pss")
        .context("an unknown form of smaps_rollup")?
        .trim_end_matches(" kB")
        .parse()?;
    children(process)?
        .into_iter()
        .try_fold(own << 10, |sum, child| Ok(sum + memory(child)?))
}

fn children(process: u32) -> Result<Vec<u32>> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    children
        .split_whitespace()
        .map(|child| Ok(child.parse()?))
        .collect()
}

/// As in `wrk 4.1.0`.
pub(crate) fn wrk_version() -> Result<String> {
    let text = output_of("wrk", &["-v"])?;
    let version = text
        .split_whitespace()
        .nth(1)
        .context("an unknown form of `wrk -v`")?;
    Ok(format!("wrk {}", version.trim_start_matches("debian/")))
}

/// All that a program says.
pub(crate) fn output_of(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} is not there; `make bench-proxy` installs it where it can"))?;
    Ok(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
