//! Who takes how much of the processors: the operator, the servers of the control plane, and the benchmark itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use corral_measure::process::{own_processor_time, processor_time};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::ground::Ground;
use crate::running::Running;

/// Processor time by program.
pub(crate) type ByProgram = BTreeMap<String, Duration>;

/// The operator's name among them.
const OPERATOR: &str = "the operator";
/// This process: it makes the custom resources, watches all kinds and answers in place of proxies.
const BENCHMARK: &str = "the benchmark";

/// How long something took, and what of the processors.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    pub(crate) processors: ByProgram,
}

/// Counts from its beginning on.
pub(crate) struct Meter<'a> {
    ground: &'a Ground<'a>,
    operator: u32,
    begin: Instant,
    before: ByProgram,
}

impl<'a> Meter<'a> {
    pub(crate) fn start(ground: &'a Ground<'a>, running: &Running<'_>) -> Result<Self> {
        let operator = running.program();
        Ok(Self {
            ground,
            operator,
            begin: Instant::now(),
            before: read(ground, operator)?,
        })
    }

    /// Until now.
    pub(crate) fn spent(&self) -> Result<Spent> {
        let mut processors = read(self.ground, self.operator)?;
        for (program, time) in &mut processors {
            *time = time.saturating_sub(self.before.get(program).copied().unwrap_or_default());
        }
        Ok(Spent {
            time: self.begin.elapsed(),
            processors,
        })
    }
}

fn read(ground: &Ground<'_>, operator: u32) -> Result<ByProgram> {
    let servers = ground.servers().iter();
    let mut times: ByProgram = servers
        .map(|server| Ok((server.name().to_owned(), processor_time(server.id())?)))
        .collect::<Result<_>>()?;
    times.insert(BENCHMARK.to_owned(), own_processor_time(std::process::id())?);
    times.insert(OPERATOR.to_owned(), processor_time(operator)?);
    Ok(times)
}

impl Spent {
    /// What all programs took.
    pub(crate) fn all(&self) -> Duration {
        self.processors.values().sum()
    }

    /// What the operator took.
    pub(crate) fn operator(&self) -> Duration {
        self.processors.get(OPERATOR).copied().unwrap_or_default()
    }

    /// Who took how much, the most first.
    pub(crate) fn programs(&self) -> Vec<(&str, Duration)> {
        let mut programs: Vec<_> = self
            .processors
            .iter()
            .map(|(name, time)| (&**name, *time))
            .collect();
        programs.sort_by_key(|(_, time)| Reverse(*time));
        programs
    }
}

impl std::fmt::Display for Spent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.1} s", self.time.as_secs_f64())?;
        for (program, time) in self.programs() {
            write!(formatter, ", {program} {:.1} s", time.as_secs_f64())?;
        }
        Ok(())
    }
}
