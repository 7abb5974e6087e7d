//! Pods that their kubelet has ended for good: it evicted them, or didn't let them in. They stay as a record, often for long,
//! while the Deployment makes others in their place.

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::Known;
use super::conditions::{of_type, shortened};
use super::verdict::Verdict;
use crate::crd::OllamaServiceStatus;

/// How long before the service was seen to be no longer ready the Pod may have ended.
const SLACK: SignedDuration = SignedDuration::from_mins(5);
/// Longest words of a kubelet that are passed on, in characters.
const LONGEST_WORDS: usize = 400;
/// What tells Pods of one template from those of another (apps/v1 DefaultDeploymentUniqueLabelKey).
const TEMPLATE_LABEL: &str = "pod-template-hash";

/// Says why Pods ended since the service was last ready. Those of an earlier template don't count: whatever ended them, others
/// are tried now.
pub(super) fn problem(known: &Known<'_>, before: &OllamaServiceStatus, now: Timestamp) -> Option<Verdict> {
    let unready = of_type(&before.conditions, "Ready").filter(|ready| ready.status == "False");
    let since = unready.map_or(now, |ready| ready.last_transition_time.0) - SLACK;
    let made = |pod: &&Pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let newest = known.pods.iter().max_by_key(made)?;
    let template = newest.labels().get(TEMPLATE_LABEL);
    let mut ended: Vec<_> = known
        .pods
        .iter()
        .filter(|pod| pod.labels().get(TEMPLATE_LABEL) == template)
        .filter_map(|pod| Some((ended(pod)?, pod.name_any(), pod.status.as_ref()?)))
        .filter(|(at, ..)| *at >= since)
        .collect();
    ended.sort_by_key(|(at, ..)| *at);
    let (_, name, status) = ended.last()?;
    Some(verdict(name, status, ended.len()))
}

/// When a Pod ended that did: the last moment that its status names.
fn ended(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    if pod.metadata.deletion_timestamp.is_some() || status.phase.as_deref() != Some("Failed") {
        return None;
    }
    let conditions = status.conditions.iter().flatten();
    let changed = conditions.filter_map(|one| one.last_transition_time.as_ref());
    let times = changed
        .chain(&status.start_time)
        .chain(&pod.metadata.creation_timestamp);
    times.map(|time| time.0).max()
}

fn verdict(pod: &str, status: &PodStatus, count: usize) -> Verdict {
    let words = status.message.clone().unwrap_or_default();
    let words = shortened(words, LONGEST_WORDS);
    let words = words.trim().trim_end_matches('.');
    let others = if count > 1 {
        format!(", the last of {count}")
    } else {
        String::new()
    };
    match status.reason.as_deref().unwrap_or("no reason given") {
        "Evicted" => Verdict::no(
            "Evicted",
            format!(
                "Pod {pod} was evicted from its node{others}: {words}{}",
                advice(words)
            ),
        ),
        reason => Verdict::no(
            "PodFailed",
            format!(
                "Pod {pod} was ended by its node{others}: {reason}: {words}; others are made in its place"
            ),
        ),
    }
}

/// What to do about the disk or the memory that was short. The kubelet names a volume that takes more than its limit
/// (Kubernetes, pkg/kubelet/eviction/eviction_manager.go).
fn advice(words: &str) -> &'static str {
    if words.contains("EmptyDir volume \"models\"") {
        ". It may take more with a larger spec.storage.ephemeral.sizeLimit"
    } else if words.contains("EmptyDir volume ") {
        ""
    } else {
        ". It may take more disk where the node has more; of memory what spec.resources requests is its"
    }
}
