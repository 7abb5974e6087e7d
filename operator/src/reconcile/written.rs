//! What is to be said of the writes: pure.

use k8s_openapi::api::apps::v1::DeploymentStatus;
use serde::Deserialize;

use crate::apply::ApplyError;
use crate::changes::Change;
use crate::observe::Observed;
use crate::plan::Kind;

/// What the API server has refused, in its words.
pub(super) struct Refused {
    /// Of all but the volume.
    pub(super) children: Option<String>,
    /// Of what a claim that is there asks of its volume. The Pods go on with it as it is.
    pub(super) claim: Option<String>,
}

impl Refused {
    /// What only has to be looked at again is nothing to speak of.
    pub(super) fn of(failures: &[ApplyError]) -> Self {
        let failures = failures.iter().filter(|failure| !failure.is_outrun());
        let (claim, children): (Vec<_>, Vec<_>) = failures.partition(|failure| failure.is_of_volume());
        let [children, claim] =
            [children, claim].map(|failures| (!failures.is_empty()).then(|| listed(failures)));
        Self { children, claim }
    }
}

/// Failures, one after the other.
pub(super) fn listed<'a>(failures: impl IntoIterator<Item = &'a ApplyError>) -> String {
    let failures: Vec<_> = failures.into_iter().map(ToString::to_string).collect();
    failures.join("; ")
}

/// What the Deployment says of itself. As long as it speaks of an earlier spec than the one that is there, or that is to be and may
/// not be there yet, no Pod counts as of the newest. `written` is the Deployment's generation after it was written, if it was.
pub(super) fn deployment_status(
    observed: &Observed,
    changes: &[Change<'_>],
    written: Option<i64>,
) -> Option<DeploymentStatus> {
    let live = observed.children.get(&Kind::Deployment)?;
    let mut status = DeploymentStatus::deserialize(live.data.get("status")?).ok()?;
    let newest = if changes.iter().any(Change::is_of_deployment) {
        written
    } else {
        live.metadata.generation
    };
    if newest.is_none() || status.observed_generation < newest {
        status.updated_replicas = None;
    }
    Some(status)
}
