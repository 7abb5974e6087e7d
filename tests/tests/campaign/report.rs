//! What has been run and what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use std::{fs, io};

use anyhow::Result;
use corral_tests::fault_proxy::{Exchange, Target};

use crate::crash::Run;
use crate::evidence::Evidence;
use crate::oracles::{self, Finding, PRIVILEGES, Privilege};
use crate::rights::Rights;

/// Counts cases whose fault didn't happen.
const NOT_REACHED: &str = "not reached";

pub(crate) struct Report {
    started: Instant,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// How many of each kind have been run.
    runs: BTreeMap<&'static str, usize>,
    counts: BTreeMap<&'static str, usize>,
    findings: Vec<(String, Finding)>,
    used: BTreeMap<Rights, BTreeSet<Privilege>>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a case and what it has come to.
    pub(crate) fn case(&self, kind: &'static str, name: &str, run: Result<Run>) -> Option<Evidence> {
        let (kind, evidence, findings) = match run {
            Ok(run) if !run.reached => (NOT_REACHED, Some(run.evidence), run.findings),
            Ok(run) => (kind, Some(run.evidence), run.findings),
            Err(error) => {
                let what = format!("{error:#}");
                let oracle = "the trial can't be run";
                (kind, None, vec![Finding { oracle, what }])
            }
        };
        let mut seen = self.seen();
        *seen.runs.entry(kind).or_default() += 1;
        if let Some(evidence) = &evidence {
            let used = seen.used.entry(evidence.rights).or_default();
            used.extend(oracles::used(evidence));
        }
        let number: usize = seen.runs.values().sum();
        let verdict = match kind {
            _ if !findings.is_empty() => "FOUND",
            NOT_REACHED => "unmet",
            _ => "ok",
        };
        println!(
            "{:>5} s {number:>4}  {verdict:<5} {name}",
            self.started.elapsed().as_secs()
        );
        if let (Some(evidence), false) = (&evidence, findings.is_empty()) {
            match keep(name, evidence) {
                Ok(file) => println!("             {}", file.display()),
                Err(error) => println!("             what happened could not be written down: {error}"),
            }
        }
        for finding in findings {
            println!("             {}: {}", finding.oracle, finding.what);
            seen.findings.push((name.to_owned(), finding));
        }
        evidence
    }

    /// Counts something beside the cases.
    pub(crate) fn count(&self, what: &'static str, number: usize) {
        *self.seen().counts.entry(what).or_default() += number;
    }

    /// The oracles that have found something.
    pub(crate) fn found_by(&self) -> BTreeSet<&'static str> {
        let seen = self.seen();
        seen.findings.iter().map(|(_, finding)| finding.oracle).collect()
    }

    /// Says what it has come to; nothing of what is granted may be unused. True when nothing was found.
    pub(crate) fn end(&self, seed: u64, granted: &BTreeMap<Rights, BTreeSet<Privilege>>) -> bool {
        let seen = self.seen();
        println!(
            "\n{} s, CORRAL_CAMPAIGN_SEED={seed}",
            self.started.elapsed().as_secs()
        );
        for (kind, runs) in seen.runs.iter().chain(&seen.counts) {
            println!("{runs:>5} {kind}");
        }
        let unused = unused(granted, &seen.used);
        for unused in &unused {
            println!("{PRIVILEGES}: {unused}");
        }
        for (case, Finding { oracle, what }) in &seen.findings {
            println!("{case}\n    {oracle}: {what}");
        }
        println!("{} findings", seen.findings.len() + unused.len());
        seen.findings.is_empty() && unused.is_empty()
    }
}

fn unused(
    granted: &BTreeMap<Rights, BTreeSet<Privilege>>,
    used: &BTreeMap<Rights, BTreeSet<Privilege>>,
) -> Vec<String> {
    let none = BTreeSet::new();
    let mut unused = Vec::new();
    for (rights, granted) in granted {
        for (verb, group, resource) in granted.difference(used.get(rights).unwrap_or(&none)) {
            let value = rights.value();
            unused.push(format!(
                "{verb} {group}/{resource} is granted with rbac.secrets={value} and was never used"
            ));
        }
    }
    unused
}

/// Writes down what happened in a case in which something was found: requests, events and logs.
fn keep(name: &str, evidence: &Evidence) -> io::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaign");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}.log", name.replace(['/', ' ', '*'], "-")));
    let mut text = String::from("== requests of the operator\n");
    for Exchange { target, status, .. } in &evidence.exchanges {
        let Target {
            verb, resource, name, ..
        } = target;
        text.push_str(&format!("{verb} {resource} {name}: {status:?}\n"));
    }
    text.push_str("== events\n");
    for entry in &evidence.history {
        let what = if entry.deleted { "deleted" } else { "there" };
        text.push_str(&format!(
            "{} {} {what}: {}\n",
            entry.resource,
            entry.name(),
            entry.object
        ));
    }
    text.push_str("== logs\n");
    text.push_str(&evidence.log);
    fs::write(&file, text)?;
    Ok(file)
}
