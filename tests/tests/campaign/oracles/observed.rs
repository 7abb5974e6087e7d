//! How soon the status speaks of what is wished for.

use std::time::Duration;

use crate::evidence::Evidence;
use crate::journal::Entry;

/// Longest time from a new generation to a status that speaks of it, with nothing in the operator's way.
const SOON: Duration = Duration::from_secs(10);

/// Generations that no status spoke of soon enough. One that another followed within that time needs none.
pub(super) fn late(evidence: &Evidence) -> Vec<String> {
    let history = &evidence.history;
    let services: Vec<_> = history.iter().filter(|entry| is_service(entry)).collect();
    let mut wrong = Vec::new();
    for (number, entry) in services.iter().enumerate() {
        let was_known = services[..number]
            .iter()
            .any(|earlier| earlier.uid() == entry.uid() && generation(earlier) == generation(entry));
        let answer = services[number..]
            .iter()
            .find(|later| later.uid() == entry.uid() && ends_wait(later, generation(entry)));
        let took = answer.map(|answer| answer.at.duration_since(entry.at));
        if let (false, Some(took)) = (was_known, took.filter(|took| *took > SOON)) {
            wrong.push(format!(
                "generation {} was observed after {took:.1?}",
                generation(entry)
            ));
        }
    }
    wrong
}

fn is_service(entry: &Entry) -> bool {
    entry.resource == "ollamaservices"
}

fn generation(entry: &Entry) -> u64 {
    entry.object["metadata"]["generation"].as_u64().unwrap_or(0)
}

/// Whether nobody waits any more for a status of that generation.
fn ends_wait(entry: &Entry, generation_waited_for: u64) -> bool {
    let status = &entry.object["status"];
    let has_conditions = status["conditions"].as_array().is_some_and(|all| !all.is_empty());
    let observed = status["observedGeneration"].as_u64().unwrap_or(0);
    entry.deleted
        || generation(entry) > generation_waited_for
        || (observed >= generation_waited_for && has_conditions)
}
