//! The operator is killed at every write: before it is passed on, and after it took effect with its answer withheld. Started
//! again it must come to the same, and not write what it had written.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use corral_tests::fault_proxy::{Armed, Fault, Pattern, Rule};

use crate::evidence::{Evidence, Write};
use crate::ground::Ground;
use crate::masks::Counters;
use crate::oracles::{self, Finding, OBSERVED_AND_QUIET, findings};
use crate::trial::Trial;
use crate::workloads::Workload;

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// The operator is killed at the n-th of such writes.
#[derive(Clone, Debug)]
pub(crate) struct Crash {
    pub(crate) write: Write,
    pub(crate) number: usize,
    pub(crate) moment: Moment,
}

impl Crash {
    /// Every crash that a reference run has room for.
    pub(crate) fn all(reference: &Evidence) -> Vec<Self> {
        let mut crashes = Vec::new();
        for (write, count) in reference.counts() {
            for number in 1..=count {
                crashes.extend([Moment::Before, Moment::After].map(|moment| Self {
                    write: write.clone(),
                    number,
                    moment,
                }));
            }
        }
        crashes
    }

    fn rule(&self) -> Rule {
        let Write { verb, resource, name } = &self.write;
        Rule {
            pattern: Pattern {
                verbs: vec![*verb],
                resource: Some(resource.clone()),
                name: name.clone(),
            },
            skip: self.number - 1,
            times: 1,
            fault: match self.moment {
                Moment::Before => Fault::Hold,
                Moment::After => Fault::HoldAfter,
            },
        }
    }
}

impl std::fmt::Display for Crash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            write,
            number,
            moment,
        } = self;
        let moment = match moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(formatter, "{moment} {write} #{number}")
    }
}

/// What a run has come to.
pub(crate) struct Run {
    pub(crate) evidence: Evidence,
    /// The fault, if there was to be one, has happened.
    pub(crate) reached: bool,
    pub(crate) findings: Vec<Finding>,
}

/// Runs a workload, with a crash or without one.
pub(crate) async fn run(
    ground: &Ground,
    quiet: Duration,
    workload: &Workload,
    crash: Option<&Crash>,
) -> Result<Run> {
    let mut trial = Trial::new(ground, quiet).await?;
    let from = workload.prepare(&mut trial).await?;
    let armed = crash.map(|crash| trial.faults.arm(crash.rule()));
    workload.act(&mut trial).await?;
    let (settled, reached) = settle(&mut trial, workload, armed).await?;
    let wrong = settled.err().map(|error| format!("{error:#}"));
    let evidence = trial.evidence(from).await?;
    let mut findings = findings(OBSERVED_AND_QUIET, wrong.into_iter().collect());
    let judge = match crash {
        None => oracles::judge_undisturbed,
        Some(_) => oracles::judge,
    };
    findings.extend(judge(&evidence, &[]));
    trial.end().await?;
    Ok(Run {
        evidence,
        reached,
        findings,
    })
}

/// Waits for the end, and for the crash on the way; says whether there was one.
async fn settle(
    trial: &mut Trial<'_>,
    workload: &Workload,
    armed: Option<Armed>,
) -> Result<(Result<()>, bool)> {
    let Some(armed) = armed else {
        return Ok((workload.settle(trial).await, true));
    };
    let met = tokio::select! {
        met = armed.met(1, crate::trial::LIMIT) => met.is_ok(),
        settled = workload.settle(trial) => {
            if armed.count() == 0 {
                return Ok((settled, false));
            }
            true
        }
    };
    if met {
        trial.kill().await;
        drop(armed);
        workload.restart(trial)?;
    }
    Ok((workload.settle(trial).await, met))
}

/// A run with a crash, against the same without.
pub(crate) async fn judged(
    ground: &Ground,
    quiet: Duration,
    workload: &Workload,
    crash: &Crash,
    reference: Arc<Evidence>,
) -> Result<Run> {
    let mut run = run(ground, quiet, workload, Some(crash)).await?;
    run.findings.extend(oracles::same_end(
        oracles::PATH_INDEPENDENT,
        &reference,
        &run.evidence,
        Counters::Compared,
    ));
    run.findings.extend(oracles::as_often(&reference, &run.evidence));
    Ok(run)
}
