//! What the operator asks for, against what the chart grants.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;

use crate::evidence::Evidence;

/// A verb on a resource of a group.
pub(crate) type Privilege = (String, String, String);

/// What was asked for and granted: `verb group resource`. Server-side apply of what is not there takes `create` too.
pub(crate) fn used(evidence: &Evidence) -> BTreeSet<Privilege> {
    let mut used = BTreeSet::new();
    for request in &evidence.requests {
        if request.denied {
            continue;
        }
        let privilege = |verb: &str| (verb.to_owned(), request.group.clone(), request.resource.clone());
        used.insert(privilege(&request.verb));
        if request.verb == "patch" && request.status == StatusCode::CREATED.as_u16() {
            used.insert(privilege("create"));
        }
    }
    used
}

/// What Roles grant.
pub(crate) fn granted(roles: &[Value]) -> BTreeSet<Privilege> {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let rules = roles
        .iter()
        .flat_map(|role| role["rules"].as_array().into_iter().flatten());
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    granted.insert((verb, group.clone(), resource.clone()));
                }
            }
        }
    }
    granted
}

/// What was asked for and not granted.
pub(super) fn refused(evidence: &Evidence) -> Vec<String> {
    let refused = evidence.requests.iter().filter(|request| request.denied);
    let refused: BTreeSet<_> = refused
        .map(|request| {
            format!(
                "{} {}/{} is not granted",
                request.verb, request.group, request.resource
            )
        })
        .collect();
    refused.into_iter().collect()
}
