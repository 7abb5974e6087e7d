//! What must be true of every trial: pure, from its evidence to what is wrong.
//!
//! That nothing is written in the end (2) needs no function: a trial waits for it when it settles, and for a status of the
//! newest generation (1), which comes soon where nothing is in its way.

mod observed;
mod privileges;
mod safety;

use crate::evidence::Evidence;
use crate::masks::{Counters, differences, masked};

pub(crate) use privileges::{Privilege, granted, used};

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The oracle that says so.
    pub(crate) oracle: &'static str,
    /// What is wrong.
    pub(crate) what: String,
}

pub(crate) const OBSERVED_AND_QUIET: &str = "1+2 observed, then quiet";
pub(crate) const FIELD_SHOWS: &str = "3 a changed field shows in its child";
pub(crate) const PATH_INDEPENDENT: &str = "4 the way makes no difference";
pub(crate) const GOES_BACK: &str = "5 going back restores";
pub(crate) const NO_ERRORS: &str = "6 no panic, restart or unexpected answer";
pub(crate) const ILLEGAL_UNTOUCHED: &str = "7 illegal input touches nothing and is told of";
pub(crate) const AS_OFTEN: &str = "8 each object is written as often as in the reference run";
pub(crate) const SAFE: &str = "9 safe at every event";
pub(crate) const PRIVILEGES: &str = "10 verbs used are those granted";
pub(crate) const NO_SECRETS: &str = "11 no secret shows";

/// Longest list of what one oracle says.
const MOST: usize = 12;

/// Makes findings of what an oracle says.
pub(crate) fn findings(oracle: &'static str, wrong: Vec<String>) -> Vec<Finding> {
    let finding = |what| Finding { oracle, what };
    wrong.into_iter().take(MOST).map(finding).collect()
}

/// Those that judge a trial by itself. Answers that the trial has provoked are expected.
pub(crate) fn judge(evidence: &Evidence, expected: &[u16]) -> Vec<Finding> {
    [
        (NO_ERRORS, safety::errors(evidence, expected)),
        (SAFE, safety::at_every_event(evidence)),
        (PRIVILEGES, privileges::refused(evidence)),
        (NO_SECRETS, safety::secrets(evidence)),
    ]
    .into_iter()
    .flat_map(|(oracle, wrong)| findings(oracle, wrong))
    .collect()
}

/// Those that judge a trial in which nothing was in the operator's way.
pub(crate) fn judge_undisturbed(evidence: &Evidence, expected: &[u16]) -> Vec<Finding> {
    let mut wrong = judge(evidence, expected);
    wrong.extend(findings(OBSERVED_AND_QUIET, observed::late(evidence)));
    wrong
}

/// Whether two trials have come to the same.
pub(crate) fn same_end(
    oracle: &'static str,
    reference: &Evidence,
    evidence: &Evidence,
    counters: Counters,
) -> Vec<Finding> {
    let expected = masked(&reference.objects, &reference.namespace, counters);
    let found = masked(&evidence.objects, &evidence.namespace, counters);
    findings(oracle, differences(&expected, &found))
}

/// Whether each object was written as often as in the reference run. How often the status, Pods and events are written
/// depends on what the operator happens to see in between, so they are held to an upper bound only.
pub(crate) fn as_often(reference: &Evidence, evidence: &Evidence) -> Vec<Finding> {
    let (expected, found) = (reference.counts(), evidence.counts());
    let mut wrong = Vec::new();
    for write in expected
        .keys()
        .chain(found.keys().filter(|write| !expected.contains_key(*write)))
    {
        let count = |counts: &std::collections::BTreeMap<_, usize>| counts.get(write).copied().unwrap_or(0);
        let (expected, found) = (count(&expected), count(&found));
        let varies = matches!(
            write.resource.as_str(),
            "ollamaservices/status" | "pods" | "events"
        );
        let right = if varies {
            found <= 3 * expected + 6
        } else {
            found == expected
        };
        if !right {
            wrong.push(format!("{write}: {found} times, {expected} in the reference run"));
        }
    }
    findings(AS_OFTEN, wrong)
}
