//! Pods that the scheduler finds no node for. Much of that passes: the Pod that is replaced holds its GPU until it has drained,
//! a node is being added, a claim is being bound.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::overdue;
use super::pods::{condition, stays};
use super::verdict::Verdict;

/// Within this time a Pod that is replaced has usually drained, and a claim is bound.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// A Pod without a node.
struct Waiting {
    pod: String,
    since: Timestamp,
    /// What the scheduler says of it.
    says: String,
}

impl Waiting {
    fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref().filter(|_| stays(pod))?;
        let scheduled = condition(status, "PodScheduled", "False")?;
        let made = pod.metadata.creation_timestamp.as_ref();
        let since = scheduled.last_transition_time.as_ref().or(made)?;
        Some(Self {
            pod: pod.name_any(),
            since: since.0,
            says: scheduled.message.clone().unwrap_or_default(),
        })
    }

    fn left(&self, now: Timestamp) -> Option<Duration> {
        overdue::left(self.since, PATIENCE, now)
    }

    fn words(&self) -> String {
        let Self { pod, says, .. } = self;
        format!("Pod {pod} finds no node: {}", says.trim_end_matches('.'))
    }

    /// What to do where a resource is short.
    fn advice(&self) -> &'static str {
        if self.says.contains("Insufficient ") {
            ". Free what is short on a node, add a node, or ask for less in spec.gpu or spec.resources"
        } else if self.says.contains("unbound immediate PersistentVolumeClaims")
            || self.says.contains("persistentvolumeclaim")
        {
            ". See the events of the PersistentVolumeClaim; spec.storage says which it is"
        } else {
            ""
        }
    }
}

/// A Pod that has found no node for so long that none will come by itself.
pub(super) fn problem(pod: &Pod, now: Timestamp) -> Option<Verdict> {
    let waiting = Waiting::of(pod).filter(|waiting| waiting.left(now).is_none())?;
    let message = format!("{}{}", waiting.words(), waiting.advice());
    Some(Verdict::no("Unschedulable", message))
}

/// What to say of a Pod that has no node, and may find one by itself.
pub(super) fn hint(pod: &Pod) -> Option<String> {
    Some(Waiting::of(pod)?.words())
}

/// After what time there is more to say of a Pod without a node.
pub(super) fn until_more(pod: &Pod, now: Timestamp) -> Option<Duration> {
    Waiting::of(pod)?.left(now)
}
