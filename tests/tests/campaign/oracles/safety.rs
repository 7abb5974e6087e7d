//! What must never be seen, not even for a moment.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use corral_proxy::config::PROXY_PORT;
use serde_json::Value;

use crate::evidence::Evidence;
use crate::journal::Entry;

/// Panics, operators that ended, and answers that a right operator doesn't provoke.
pub(super) fn errors(evidence: &Evidence, expected: &[u16]) -> Vec<String> {
    let mut wrong: Vec<_> = evidence.ended.clone();
    let panics = evidence.log.lines().filter(|line| line.contains("panicked at"));
    wrong.extend(panics.map(str::to_owned));
    for request in &evidence.requests {
        let what = (request.verb.as_str(), request.resource.as_str());
        // What was looked for, and what has gone while it was written to.
        let is_gone = request.status == 404
            && matches!(
                what,
                ("get" | "delete", _) | ("patch", "pods" | "ollamaservices/status")
            );
        // Two operators, or one and its past, may seek the Lease at a time.
        let sought = request.resource == "leases" && request.status == 409;
        // Where the operator was killed or the fault proxy cut it off, nobody waited for the answer.
        let given_up = matches!(request.verb.as_str(), "watch" | "list");
        if request.status >= 400 && !is_gone && !sought && !given_up && !expected.contains(&request.status) {
            let of = (&request.verb, &request.resource, &request.name);
            wrong.push(format!("{of:?} was answered by {}", request.status));
        }
    }
    wrong
}

/// What is to be true at every event.
pub(super) fn at_every_event(evidence: &Evidence) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for entry in &evidence.history {
        wrong.extend(unguarded(entry));
    }
    wrong.extend(several_deployments(&evidence.history));
    wrong.extend(lost_volumes(&evidence.history));
    for exchange in &evidence.exchanges {
        let target = &exchange.target;
        let body: Value = serde_json::from_slice(&exchange.body).unwrap_or_default();
        let names_uid = body["preconditions"]["uid"]
            .as_str()
            .is_some_and(|uid| !uid.is_empty());
        if target.verb.starts_with("delete") && !names_uid {
            wrong.insert(format!("{target:?} carries no uid"));
        }
        if target.verb.starts_with("delete")
            && matches!(
                target.resource.as_str(),
                "persistentvolumeclaims" | "secrets" | "deployments"
            )
        {
            wrong.insert(format!("{target:?} is never the operator's to delete"));
        }
    }
    wrong.into_iter().collect()
}

/// An Ollama that can be reached past its proxy.
fn unguarded(entry: &Entry) -> Vec<String> {
    let object = &entry.object;
    let name = format!("{} {}", entry.resource, entry.name());
    match entry.resource.as_str() {
        "pods" => unguarded_pod(&object["spec"], &name),
        "deployments" | "replicasets" => unguarded_pod(&object["spec"]["template"]["spec"], &name),
        "services" => {
            let ports = object["spec"]["ports"].as_array().into_iter().flatten();
            let past = ports.filter(|port| port["targetPort"] != PROXY_PORT);
            past.map(|port| format!("{name} leads to {}", port["targetPort"]))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn unguarded_pod(pod: &Value, name: &str) -> Vec<String> {
    let containers = |field: &str| pod[field].as_array().into_iter().flatten();
    let mut wrong = Vec::new();
    let all = containers("containers").chain(containers("initContainers"));
    for ollama in all.filter(|container| container["name"] == "ollama") {
        if !containers("containers").any(|container| container["name"] == "proxy") {
            wrong.push(format!("{name} has Ollama without its proxy"));
        }
        let mut variables = ollama["env"].as_array().into_iter().flatten();
        let host = variables.find(|variable| variable["name"] == "OLLAMA_HOST");
        let host = host.and_then(|host| host["value"].as_str()).unwrap_or("0.0.0.0");
        if !host.starts_with("127.0.0.1") {
            wrong.push(format!("{name} has Ollama listen on {host}"));
        }
        if ollama["ports"].as_array().is_some_and(|ports| !ports.is_empty()) {
            wrong.push(format!("{name} has a port of Ollama's"));
        }
    }
    wrong
}

fn owner(object: &Value) -> Option<&str> {
    object["metadata"]["ownerReferences"][0]["uid"].as_str()
}

/// OllamaServices that had two Deployments at a time.
fn several_deployments(history: &[Entry]) -> Vec<String> {
    let mut there: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for entry in history.iter().filter(|entry| entry.resource == "deployments") {
        let Some(owner) = owner(&entry.object) else {
            continue;
        };
        let deployments = there.entry(owner).or_default();
        if entry.deleted {
            deployments.remove(entry.uid());
        } else {
            deployments.insert(entry.uid());
        }
        if deployments.len() > 1 {
            wrong.push(format!("an OllamaService has {} Deployments", deployments.len()));
        }
    }
    wrong
}

/// Claims of the operator's that went although their OllamaService did not. A Pod's own claim goes with the Pod.
fn lost_volumes(history: &[Entry]) -> Vec<String> {
    let gone = |resource: &'static str| {
        history
            .iter()
            .filter(move |entry| entry.resource == resource && entry.deleted)
    };
    let services: BTreeSet<_> = gone("ollamaservices").map(Entry::uid).collect();
    let of_a_service =
        |claim: &&Entry| claim.object["metadata"]["ownerReferences"][0]["kind"] == "OllamaService";
    let lost = gone("persistentvolumeclaims")
        .filter(of_a_service)
        .filter(|claim| owner(&claim.object).is_some_and(|owner| !services.contains(owner)));
    lost.map(|claim| format!("the volume {} went before its OllamaService", claim.name()))
        .collect()
}

/// Where a secret shows.
pub(super) fn secrets(evidence: &Evidence) -> Vec<String> {
    let mut texts = vec![
        ("the log".to_owned(), evidence.log.clone()),
        ("the metrics".to_owned(), evidence.metrics.clone()),
    ];
    for entry in &evidence.history {
        let shown = match entry.resource.as_str() {
            "secrets" => &entry.object["metadata"],
            _ => &entry.object,
        };
        texts.push((format!("{} {}", entry.resource, entry.name()), shown.to_string()));
    }
    for exchange in &evidence.exchanges {
        let body = String::from_utf8_lossy(&exchange.body).into_owned();
        if exchange.target.resource != "secrets" {
            texts.push((format!("the body of {:?}", exchange.target), body));
        }
    }
    let mut wrong = BTreeSet::new();
    for canary in &evidence.canaries {
        let encoded = STANDARD.encode(canary);
        for (place, text) in &texts {
            if text.contains(canary) || text.contains(&encoded) {
                wrong.insert(format!("a secret shows in {place}"));
            }
        }
    }
    wrong.into_iter().collect()
}
