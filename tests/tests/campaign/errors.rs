//! The API server refuses, fails, or is away, and another operator waits for the Lease. The operator must come to the same as
//! without, and write nothing twice.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use corral_tests::fault_proxy::{Fault, Pattern, Rule};

use crate::crash::Run;
use crate::evidence::Evidence;
use crate::ground::Ground;
use crate::masks::Counters;
use crate::oracles::{self, OBSERVED_AND_QUIET, PATH_INDEPENDENT, findings};
use crate::trial::{LIMIT, Trial};
use crate::workloads::Workload;

/// How long the API server is away in a run that is not whole: shorter than a Lease holds.
const AWAY_SHORTLY: Duration = Duration::from_secs(3);
/// The same in a whole run: longer than anything waits.
const AWAY: Duration = Duration::from_secs(60);

/// What goes wrong.
#[derive(Clone, Debug)]
enum Trouble {
    /// Some requests meet a fault.
    Faults(Rule),
    /// Requests are forbidden until the status says so.
    Forbidden(Rule),
    /// Nobody answers for a while after the act.
    Away(Duration),
    /// The leader is killed at a write, and another operator that waits takes over.
    Succession(Rule),
    /// The Lease can't be renewed at times, and is renewed at the next try.
    Renewals,
}

/// A workload in trouble.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    name: String,
    /// The workload's name.
    pub(crate) workload: &'static str,
    trouble: Trouble,
}

const fn answer(status: u16, reason: &'static str) -> Fault {
    Fault::Answer {
        status,
        reason,
        retry_after: None,
    }
}

const FAULTS: [(&str, Fault); 6] = [
    ("409", answer(409, "Conflict")),
    (
        "429",
        Fault::Answer {
            status: 429,
            reason: "TooManyRequests",
            retry_after: Some(1),
        },
    ),
    ("500", answer(500, "InternalError")),
    ("504", answer(504, "Timeout")),
    ("cut", Fault::Cut),
    ("cut after", Fault::CutAfter),
];

/// Requests of each workload that meet each of these faults.
const TARGETS: [(&str, &str, &str); 7] = [
    ("create", "patch", "deployments"),
    ("create", "create", "secrets"),
    ("create", "patch", "ollamaservices/status"),
    ("create", "create", "events"),
    ("create", "get", "persistentvolumeclaims"),
    ("scale down and close", "delete", "ingresses"),
    ("Secret renamed", "patch", "pods"),
];

fn rule(verb: &'static str, resource: &str, times: usize, fault: Fault) -> Rule {
    Rule {
        pattern: Pattern {
            verbs: vec![verb],
            resource: Some(resource.to_owned()),
            name: None,
        },
        skip: 0,
        times,
        fault,
    }
}

/// Every case.
pub(crate) fn all(whole: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |workload, what: String, trouble| {
        cases.push(Case {
            name: format!("errors/{workload}/{what}"),
            workload,
            trouble,
        });
    };
    for (workload, verb, resource) in TARGETS {
        for (name, fault) in FAULTS {
            let trouble = Trouble::Faults(rule(verb, resource, 2, fault));
            add(workload, format!("{verb} {resource} {name}"), trouble);
        }
    }
    let forbidden = answer(403, "Forbidden");
    for (workload, verb, resource) in [
        ("create", "patch", "networkpolicies"),
        ("create", "create", "secrets"),
        ("scale", "patch", "deployments"),
    ] {
        let trouble = Trouble::Forbidden(rule(verb, resource, usize::MAX, forbidden));
        add(workload, format!("{verb} {resource} forbidden"), trouble);
    }
    let away = if whole { AWAY } else { AWAY_SHORTLY };
    for workload in ["create", "scale", "delete and recreate"] {
        add(workload, "API server away".to_owned(), Trouble::Away(away));
    }
    for (workload, resource) in [("create", "deployments"), ("scale", "deployments")] {
        let trouble = Trouble::Succession(rule("patch", resource, 1, Fault::Hold));
        add(workload, format!("killed at {resource}, another waits"), trouble);
    }
    let late = Fault::Delay(Duration::from_secs(3));
    let trouble = Trouble::Faults(rule("get", "leases", 1, late));
    add("create", "get leases late".to_owned(), trouble);
    let renewals = "some renewals of the Lease fail".to_owned();
    add("create", renewals, Trouble::Renewals);
    cases
}

impl Case {
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Runs it, against the same workload without trouble.
    pub(crate) async fn judged(
        &self,
        ground: &Ground,
        quiet: Duration,
        workload: &Workload,
        reference: Arc<Evidence>,
    ) -> Result<Run> {
        let mut trial = Trial::new(ground, quiet).await?;
        let from = workload.prepare(&mut trial).await?;
        let settled = self.settle(&mut trial, workload).await;
        let wrong = settled.err().map(|error| format!("{error:#}"));
        let evidence = trial.evidence(from).await?;
        let mut findings = findings(OBSERVED_AND_QUIET, wrong.into_iter().collect());
        findings.extend(oracles::judge(&evidence, &[]));
        let counters = Counters::Compared;
        findings.extend(oracles::same_end(
            PATH_INDEPENDENT,
            &reference,
            &evidence,
            counters,
        ));
        findings.extend(oracles::as_often(&reference, &evidence));
        trial.end().await?;
        Ok(Run {
            evidence,
            reached: true,
            findings,
        })
    }

    async fn settle(&self, trial: &mut Trial<'_>, workload: &Workload) -> Result<()> {
        match &self.trouble {
            Trouble::Faults(rule) => {
                let armed = trial.faults.arm(rule.clone());
                workload.act(trial).await?;
                armed.met(1, LIMIT).await?;
                workload.settle(trial).await
            }
            Trouble::Forbidden(rule) => {
                let armed = trial.faults.arm(rule.clone());
                workload.act(trial).await?;
                trial
                    .until("the status says that it is refused", async || told(trial).await)
                    .await?;
                drop(armed);
                workload.settle(trial).await
            }
            Trouble::Away(pause) => {
                workload.act(trial).await?;
                trial.faults.away(true);
                tokio::time::sleep(*pause).await;
                trial.faults.away(false);
                // As the kubelet does with one that has lost the Lease.
                if trial.lost_the_lease() {
                    workload.restart(trial)?;
                }
                workload.settle(trial).await
            }
            Trouble::Succession(rule) => {
                let armed = trial.faults.arm(rule.clone());
                workload.act(trial).await?;
                armed.met(1, LIMIT).await?;
                trial.kill().await;
                drop(armed);
                trial.start_as("another", workload.options())?;
                workload.settle(trial).await
            }
            Trouble::Renewals => {
                workload.act(trial).await?;
                // Who acts has the Lease.
                trial.has_looked().await?;
                let passes = Fault::Delay(Duration::ZERO);
                for fault in [Fault::Cut, passes].repeat(2) {
                    let armed = trial.faults.arm(rule("patch", "leases", 1, fault));
                    armed.met(1, LIMIT).await?;
                }
                workload.settle(trial).await
            }
        }
    }
}

/// Whether the status says that the API server refuses something.
async fn told(trial: &Trial<'_>) -> Result<()> {
    let service = trial.services().get(crate::trial::SERVICE).await?;
    let conditions = service.status.unwrap_or_default().conditions;
    let told = conditions
        .iter()
        .any(|one| one.type_ == "Degraded" && one.status == "True" && one.reason == "ApplyRefused");
    ensure!(told, "{conditions:?}");
    Ok(())
}
