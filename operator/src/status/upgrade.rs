//! Whether a new operator's changes of the Pods wait.

use std::time::Duration;

use serde_json::Value;

use super::Known;
use super::conditions::{SYNCED, of_type};
use super::credentials::CONFIGURATION_REFUSED;
use crate::changes::upgrade_waits;
use crate::crd::{OllamaServiceStatus, UpgradePolicy};
use crate::plan::Kind;

/// After what time an upgrade that no longer waits goes in.
const SOON: Duration = Duration::from_secs(1);

/// When a new operator's changes of the Pods go in, after that status. They don't wait where a proxy has refused its
/// configuration: what was asked for takes a newer one, and an old one that starts with that configuration ends at once.
pub fn upgrade_policy(asked: UpgradePolicy, before: &OllamaServiceStatus) -> UpgradePolicy {
    if tells_of_refusal(before) {
        UpgradePolicy::Immediate
    } else {
        asked
    }
}

/// After what time to look again where an upgrade has waited until now.
pub(super) fn until_more(status: &OllamaServiceStatus) -> Option<Duration> {
    (status.pending_upgrade.is_some() && tells_of_refusal(status)).then_some(SOON)
}

fn tells_of_refusal(status: &OllamaServiceStatus) -> bool {
    let synced = of_type(&status.conditions, SYNCED);
    synced.is_some_and(|synced| synced.reason == CONFIGURATION_REFUSED)
}

/// What waits, and what has it go in.
pub(super) fn pending(known: &Known<'_>) -> Option<String> {
    let live = known.children.get(&Kind::Deployment)?;
    let planned = known
        .plan
        .children
        .iter()
        .find(|child| child.kind == Kind::Deployment)?;
    if !upgrade_waits(known.plan, planned, live) {
        return None;
    }
    let (before, after) = (images(&live.data), images(&planned.object));
    let what = if before == after {
        "the Pods are made otherwise".to_owned()
    } else {
        format!("{} in place of {}", after.join(", "), before.join(", "))
    };
    Some(format!(
        "The operator is newer than the Pods: {what}. It goes in with the next change of the spec that replaces the Pods, \
         or with spec.upgradePolicy: Immediate"
    ))
}

fn images(deployment: &Value) -> Vec<&str> {
    let pod = &deployment["spec"]["template"]["spec"];
    let containers = ["initContainers", "containers"].map(|list| pod[list].as_array());
    let containers = containers.into_iter().flatten().flatten();
    containers
        .filter_map(|container| container["image"].as_str())
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(type_: &str, reason: &str, waits: bool) -> OllamaServiceStatus {
        let condition = json!({"type": type_, "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let waits = waits.then_some("words");
        serde_json::from_value(json!({"conditions": [condition], "pendingUpgrade": waits})).unwrap()
    }

    #[test]
    fn an_upgrade_waits_until_a_proxy_refuses_its_configuration() {
        use UpgradePolicy::{Immediate, OnNextRollout};
        let refused = status(SYNCED, "ConfigurationRefused", true);
        let cases = [
            (
                "nothing is said yet",
                OnNextRollout,
                OllamaServiceStatus::default(),
                OnNextRollout,
                None,
            ),
            (
                "a rotation",
                OnNextRollout,
                status(SYNCED, "Rotating", true),
                OnNextRollout,
                None,
            ),
            ("a refusal", OnNextRollout, refused, Immediate, Some(SOON)),
            (
                "a refusal where nothing waits",
                OnNextRollout,
                status(SYNCED, "ConfigurationRefused", false),
                Immediate,
                None,
            ),
            (
                "elsewhere",
                OnNextRollout,
                status("Degraded", "ConfigurationRefused", true),
                OnNextRollout,
                None,
            ),
            (
                "it never waits",
                Immediate,
                status(SYNCED, "Rotating", false),
                Immediate,
                None,
            ),
        ];
        for (what, asked, before, expected, look_after) in cases {
            assert_eq!(upgrade_policy(asked, &before), expected, "{what}");
            assert_eq!(until_more(&before), look_after, "{what}");
        }
    }
}
