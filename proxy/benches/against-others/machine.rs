//! The machine: its processors and its tools.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

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
