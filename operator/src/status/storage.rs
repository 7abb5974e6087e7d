//! StorageReady: whether the volume is as the spec asks.

use serde_json::Value;

use super::Known;
use super::verdict::Verdict;
use crate::plan::{CLAIM_CAPACITY, CLAIM_SIZE, Child, Kind};
use crate::quantity::thousandths;

/// The condition that is there only where the operator makes a claim.
pub(super) const STORAGE_READY: &str = "StorageReady";

/// None where there is to be no claim of the operator's.
pub(super) fn ready(known: &Known<'_>) -> Option<Verdict> {
    let mut children = known.plan.children.iter();
    let planned = children.find(|child| child.kind == Kind::PersistentVolumeClaim)?;
    if let Some(words) = known.claim_refused {
        return Some(not_grown(words));
    }
    let Some(live) = known.children.get(&Kind::PersistentVolumeClaim) else {
        return Some(Verdict::not_yet("VolumePending", "The claim is being made"));
    };
    Some(of_claim(planned, &live.data))
}

fn of_claim(planned: &Child, live: &Value) -> Verdict {
    let status = &live["status"];
    if status["phase"] == "Lost" {
        return Verdict::no(
            "VolumeLost",
            "The PersistentVolumeClaim's volume is gone; delete the claim, and the operator makes another",
        );
    }
    let size = |size: Option<&Value>| size.and_then(Value::as_str).unwrap_or_default().to_owned();
    let wanted = size(planned.object.pointer(CLAIM_SIZE));
    let asked = size(live.pointer(CLAIM_SIZE));
    let has = size(live.pointer(CLAIM_CAPACITY));
    if let Some(words) = resize_error(status) {
        return if thousandths(&wanted) <= thousandths(&has) {
            not_taken_back(&asked, &has, words)
        } else {
            not_grown(words)
        };
    }
    if status["phase"] != "Bound" {
        let message =
            "The claim has no volume yet; with some StorageClasses it gets one only with the first Pod";
        return Verdict::not_yet("VolumePending", message);
    }
    if thousandths(&has) < thousandths(&asked) {
        return Verdict::not_yet(
            "VolumeGrowing",
            format!("The volume has {has} and grows to {asked}"),
        );
    }
    Verdict::yes("VolumeBound", format!("The volume has {has}"))
}

/// What the driver says of a volume that it can't make larger.
fn resize_error(status: &Value) -> Option<&str> {
    // Of core/v1 PersistentVolumeClaimConditionType.
    let failed = status["conditions"].as_array()?.iter().find(|one| {
        let resize = one["type"] == "ControllerResizeError" || one["type"] == "NodeResizeError";
        resize && one["status"] == "True"
    })?;
    Some(failed["message"].as_str().unwrap_or_default())
}

fn not_grown(words: &str) -> Verdict {
    Verdict::no(
        "VolumeNotGrown",
        format!(
            "The volume can't become what spec.storage says: {words}. To grow, its StorageClass must have \
             allowVolumeExpansion, and its driver must be able to"
        ),
    )
}

/// Kubernetes lets a claim ask for less again only where that is more than there is.
fn not_taken_back(asked: &str, has: &str, words: &str) -> Verdict {
    Verdict::no(
        "VolumeNotGrown",
        format!(
            "The volume has {has}, no less than spec.storage says, but its claim still asks for {asked}: {words}. It can ask \
             only for more than {has}: with spec.storage.size a little above that it does"
        ),
    )
}
