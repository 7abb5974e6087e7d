//! Pods that are on a node and never come to start a container: a volume that can't be mounted, a device that can't be
//! prepared, a network or a runtime that can't be set up. Their containers say no more than that they are being created.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::overdue;
use super::pods::{condition, stays};
use super::verdict::Verdict;

/// The kubelet's word on whether containers can be started (core/v1 PodConditionType, from Kubernetes 1.29).
const CONDITION: &str = "PodReadyToStartContainers";
/// The reason that kubelets give which say so before they pull images. Earlier ones, up to Kubernetes 1.35 at least, give none,
/// and say so only afterwards.
const BEFORE_IMAGES: &str = "PodSandboxNotReady";
/// Within this time all but the images is there.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// Where images may be what is waited for: they have gigabytes.
const PATIENCE_WITH_IMAGES: SignedDuration = SignedDuration::from_mins(15);

/// A Pod on a node whose containers can't be started yet.
struct Waiting {
    pod: String,
    since: Timestamp,
    /// Its images may be what it waits for.
    perhaps_images: bool,
}

impl Waiting {
    /// None where the kubelet says nothing of it.
    fn of(pod: &Pod) -> Option<Self> {
        let status = pod.status.as_ref().filter(|_| stays(pod))?;
        let PodCondition {
            last_transition_time,
            reason,
            ..
        } = condition(status, CONDITION, "False")?;
        let since = last_transition_time.as_ref().or(status.start_time.as_ref())?;
        Some(Self {
            pod: pod.name_any(),
            since: since.0,
            perhaps_images: reason.as_deref() != Some(BEFORE_IMAGES),
        })
    }

    fn patience(&self) -> SignedDuration {
        if self.perhaps_images {
            PATIENCE_WITH_IMAGES
        } else {
            PATIENCE
        }
    }

    fn words(&self) -> String {
        let Self { pod, since, .. } = self;
        let images = if self.perhaps_images {
            "its images, which may still be on their way, "
        } else {
            ""
        };
        format!(
            "Pod {pod} has a node and has waited since {since} for what its containers need first: {images}a volume of \
             spec.storage or spec.podTemplate, a device of spec.gpu, the network or the runtime class; see: kubectl describe \
             pod {pod}"
        )
    }
}

/// A Pod that has waited for so long that it won't come right by itself.
pub(super) fn problem(pod: &Pod, now: Timestamp) -> Option<Verdict> {
    let waiting = Waiting::of(pod)?;
    let is_over = overdue::left(waiting.since, waiting.patience(), now).is_none();
    is_over.then(|| Verdict::no("PodStuck", waiting.words()))
}

/// What to say of a Pod that has waited for long and may come right by itself.
pub(super) fn hint(pod: &Pod, now: Timestamp) -> Option<String> {
    let waiting = Waiting::of(pod)?;
    let is_long = overdue::left(waiting.since, PATIENCE, now).is_none();
    is_long.then(|| waiting.words())
}

/// After what time there is more to say of a Pod that waits.
pub(super) fn until_more(pod: &Pod, now: Timestamp) -> Option<Duration> {
    let waiting = Waiting::of(pod)?;
    let times = [PATIENCE, waiting.patience()].map(|patience| overdue::left(waiting.since, patience, now));
    times.into_iter().flatten().min()
}
