//! How long a status may be kept back, so that a service that starts is not written at every step of its way.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::{SYNCED, of_type, rotated, versions};
use crate::crd::OllamaServiceStatus;

/// Where nothing has been said yet: what was just made is looked at first.
const FIRST: Duration = Duration::from_secs(3);
/// Where replicas don't have yet what is newest: most have it within a moment.
const ROTATING: Duration = Duration::from_secs(1);
/// Where a condition or a model says something else.
const CONDITIONS: Duration = Duration::from_secs(1);
/// Where only messages and numbers do.
const NUMBERS: Duration = Duration::from_secs(5);

/// How long the new status of one that isn't ready, and wasn't, may be kept back from the moment at which there was one, and of any
/// that replicas lag. What makes it ready, or no longer so, that other credentials are in force, or what a person should know, is
/// never kept back.
pub fn patience(before: &OllamaServiceStatus, after: &OllamaServiceStatus) -> Duration {
    let is = OllamaServiceStatus::says;
    let first = before.conditions.is_empty();
    let another_spec = !first && before.observed_generation != after.observed_generation;
    let alarm = is(before, "Degraded") || is(after, "Degraded");
    if is(before, "Ready") && only_rotates(before, after) {
        return ROTATING;
    }
    let rotated = rotated(before, after);
    if is(before, "Ready") || is(after, "Ready") || another_spec || alarm || rotated {
        Duration::ZERO
    } else if first {
        FIRST
    } else if before.models != after.models || !say_the_same(&before.conditions, &after.conditions) {
        CONDITIONS
    } else {
        NUMBERS
    }
}

/// Whether there is nothing new but replicas that lag, and what was said to be in force still is.
fn only_rotates(before: &OllamaServiceStatus, after: &OllamaServiceStatus) -> bool {
    let rest = |status: &OllamaServiceStatus| {
        let mut rest = status.clone();
        rest.conditions.retain(|condition| condition.type_ != SYNCED);
        rest.credentials = None;
        rest
    };
    of_type(&after.conditions, SYNCED).is_some_and(|synced| synced.reason == "Rotating")
        && versions(before) == versions(after)
        && rest(before) == rest(after)
}

fn say_the_same(before: &[Condition], after: &[Condition]) -> bool {
    before.len() == after.len()
        && after.iter().all(|after| {
            let before = of_type(before, &after.type_);
            before.is_some_and(|before| before.status == after.status)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn status(ready: &str, available: &str, degraded: &str, more: &Value) -> OllamaServiceStatus {
        let mut all = json!({"observedGeneration": 1, "conditions": [condition("Ready", ready, "R"),
            condition("Available", available, "R"), condition("Degraded", degraded, "R")]});
        for (field, value) in more.as_object().unwrap() {
            all[field] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn what_matters_is_said_at_once() {
        const AT_ONCE: Duration = Duration::ZERO;
        let not_ready = |more: Value| status("False", "False", "False", &more);
        let with_version = |version: &str| {
            let secrets = json!([{"name": "keys", "resourceVersion": version}]);
            not_ready(json!({"credentials": {"clients": 1, "syncedReplicas": 1, "secrets": secrets}}))
        };
        let unsaid = OllamaServiceStatus::default();
        let starting = not_ready(json!({}));
        let ready = status("True", "True", "False", &json!({}));
        let scaled = status("True", "True", "False", &json!({"replicas": 2}));
        let wrong = status("False", "False", "True", &json!({}));
        let available = status("False", "True", "False", &json!({}));
        let pulling = not_ready(json!({"models": [{"name": "m", "state": "Pulling"}]}));
        let numbered = not_ready(json!({"replicas": 1}));
        let synced = |truth: &str, reason: &str, replicas: i32, version: &str| {
            let more = json!({"replicas": replicas, "credentials": {"clients": 1, "syncedReplicas": 0,
                "secrets": [{"name": "keys", "resourceVersion": version}]}});
            let mut status = status("True", "True", "False", &more);
            let synced = serde_json::from_value(condition(SYNCED, truth, reason));
            status.conditions.push(synced.unwrap());
            status
        };
        let in_force = synced("True", "InForce", 1, "1");
        let rotating = synced("False", "Rotating", 1, "1");
        let edited = not_ready(json!({"observedGeneration": 2}));
        let cases = [
            ("the first", &unsaid, &starting, FIRST),
            ("the first, an alarm", &unsaid, &wrong, AT_ONCE),
            ("ready", &starting, &ready, AT_ONCE),
            ("no longer ready", &ready, &starting, AT_ONCE),
            ("still ready", &ready, &scaled, AT_ONCE),
            ("an alarm", &starting, &wrong, AT_ONCE),
            ("no alarm any more", &wrong, &starting, AT_ONCE),
            ("a condition", &starting, &available, CONDITIONS),
            ("a model", &starting, &pulling, CONDITIONS),
            ("credentials in force", &starting, &with_version("1"), NUMBERS),
            ("others in force", &with_version("1"), &with_version("2"), AT_ONCE),
            ("a number", &starting, &numbered, NUMBERS),
            ("another spec", &starting, &edited, AT_ONCE),
            ("replicas that lag", &in_force, &rotating, ROTATING),
            (
                "no longer",
                &rotating,
                &synced("True", "InForce", 1, "2"),
                AT_ONCE,
            ),
            (
                "never said",
                &in_force,
                &synced("True", "InForce", 1, "2"),
                AT_ONCE,
            ),
            (
                "a claim that isn't true any more",
                &in_force,
                &synced("False", "Rotating", 1, "2"),
                AT_ONCE,
            ),
            (
                "more than that",
                &in_force,
                &synced("False", "Rotating", 2, "1"),
                AT_ONCE,
            ),
            (
                "something else",
                &in_force,
                &synced("False", "SecretInvalid", 1, "1"),
                AT_ONCE,
            ),
        ];
        for (what, before, after, expected) in cases {
            assert_eq!(patience(before, after), expected, "{what}");
        }
    }
}
