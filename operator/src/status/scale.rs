//! How many replicas there should be, and whether the autoscaler can tell.

use super::Known;
use super::verdict::{Truth, Verdict, refused};
use crate::crd::OllamaService;
use crate::plan::Kind;

/// Nothing runs because the spec stops it.
const SUSPENDED: &str = "Suspended";
/// Nothing runs because no replica is wanted.
const SCALED_TO_ZERO: &str = "ScaledToZero";

/// Whether a reason for not being ready is somebody's wish.
pub(super) fn is_asked_for(reason: &str) -> bool {
    [SUSPENDED, SCALED_TO_ZERO].contains(&reason)
}

/// How many replicas there should be now.
pub(super) fn wanted(known: &Known<'_>) -> i32 {
    let deployment = known.children.get(&Kind::Deployment);
    known.plan.replicas.wanted(deployment.map(|live| &**live))
}

/// Why there should be none; nothing where there should be some.
pub(super) fn none_wanted(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    if service.spec.suspend {
        return Some(Verdict::not_yet(
            SUSPENDED,
            "spec.suspend is true: nothing runs, and all else is kept",
        ));
    }
    let words = if service.spec.autoscaling.is_some() {
        "the autoscaler wants no replica now"
    } else {
        "spec.replicas is 0"
    };
    (wanted(known) == 0).then(|| Verdict::not_yet(SCALED_TO_ZERO, words))
}

/// What keeps the autoscaler from its work; none where all is well or there is none.
pub(super) fn autoscaler(known: &Known<'_>, available: &Verdict) -> Option<Verdict> {
    if known.unserved.contains(&Kind::ScaledObject) {
        return Some(Verdict::no(
            "KEDAMissing",
            "spec.autoscaling.keda needs KEDA (keda.sh/v1alpha1), which this cluster doesn't have; install it, or use \
             spec.autoscaling.target",
        ));
    }
    // Pods that have just come have no metrics yet.
    let told = |kind: Kind, condition: &str| -> Option<(String, String)> {
        let autoscaler = known.children.get(&kind)?;
        // One whose target was scaled to zero is off, not blind.
        refused(&autoscaler.data["status"], condition)
            .filter(|(reason, _)| reason != "ScalingDisabled" && available.truth == Truth::True)
    };
    if let Some((reason, words)) = told(Kind::HorizontalPodAutoscaler, "ScalingActive") {
        return Some(Verdict::no(
            "AutoscalerBlind",
            format!(
                "The HorizontalPodAutoscaler can't tell how many replicas are needed: {reason}: {words}. It needs an adapter \
                 that serves the Pods' metrics, such as prometheus-adapter"
            ),
        ));
    }
    let (reason, words) = told(Kind::ScaledObject, "Ready")?;
    Some(Verdict::no(
        "AutoscalerBlind",
        format!("KEDA can't scale: {reason}: {words}"),
    ))
}
