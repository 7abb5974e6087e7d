//! Whether the volume is as the spec asks.

use super::Known;
use super::verdict::Verdict;
use crate::plan::Kind;

/// What is wrong with it; none where all is well or the claim is not the operator's.
pub(super) fn problem(known: &Known<'_>) -> Option<Verdict> {
    if let Some(words) = known.claim_refused {
        return Some(not_grown(words));
    }
    let status = &known.children.get(&Kind::PersistentVolumeClaim)?.data["status"];
    if status["phase"] == "Lost" {
        return Some(Verdict::no(
            "VolumeLost",
            "The PersistentVolumeClaim's volume is gone; delete the claim, and the operator makes another",
        ));
    }
    let conditions = status["conditions"].as_array()?;
    // Of core/v1 PersistentVolumeClaimConditionType.
    let failed = conditions.iter().find(|one| {
        let resize = one["type"] == "ControllerResizeError" || one["type"] == "NodeResizeError";
        resize && one["status"] == "True"
    })?;
    Some(not_grown(failed["message"].as_str().unwrap_or_default()))
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
