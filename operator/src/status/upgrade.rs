//! Whether a new operator's changes of the Pods wait.

use serde_json::Value;

use super::Known;
use crate::changes::upgrade_waits;
use crate::plan::Kind;

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
