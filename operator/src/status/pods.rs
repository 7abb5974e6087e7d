//! Available: whether a replica answers, and if not, why the Pods don't run.

use k8s_openapi::api::apps::v1::DeploymentStatus;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::verdict::{Truth, Verdict};
use super::{Known, ended, scale, stuck};
use crate::crd::{OllamaService, OllamaServiceStatus};

pub(super) fn available(
    service: &OllamaService,
    before: &OllamaServiceStatus,
    known: &Known<'_>,
    now: Timestamp,
) -> Verdict {
    if let Some(none) = scale::none_wanted(service, known) {
        return none;
    }
    let wanted = scale::wanted(known);
    let ready = known
        .deployment
        .and_then(|deployment| deployment.ready_replicas)
        .unwrap_or(0);
    let updated = known
        .deployment
        .and_then(|deployment| deployment.updated_replicas)
        .unwrap_or(0);
    if ready >= wanted && updated >= wanted {
        return Verdict::yes("ReplicasReady", format!("{ready} of {wanted} replicas are ready"));
    }
    let why = why(before, known, now);
    match (ready, why) {
        (0, Some(why)) => why,
        (0, None) => {
            let hint = known.pods.iter().find_map(|pod| stuck::hint(pod, now));
            let words = hint.unwrap_or_else(|| "the Pods are starting".to_owned());
            Verdict::not_yet("Starting", format!("0 of {wanted} replicas are ready; {words}"))
        }
        (_, Some(why)) => Verdict {
            truth: Truth::True,
            message: format!("{ready} of {wanted} replicas are ready; {}", why.message),
            ..why
        },
        (_, None) if ready >= wanted => Verdict::yes(
            "SomeReplicasReady",
            format!("{updated} of {wanted} replicas are of the newest spec, the others follow"),
        ),
        (_, None) => Verdict::yes(
            "SomeReplicasReady",
            format!("{ready} of {wanted} replicas are ready"),
        ),
    }
}

/// Why a Pod is missing or doesn't run; none while it just takes its time.
fn why(before: &OllamaServiceStatus, known: &Known<'_>, now: Timestamp) -> Option<Verdict> {
    let staying = known.pods.iter().filter(|pod| stays(pod));
    let problem = staying.filter_map(|pod| pod_problem(pod, now)).next();
    let problems = problem.into_iter().chain(ended::problem(known, before, now));
    problems
        .reduce(Verdict::and)
        .or_else(|| replica_failure(known.deployment?))
}

/// Whether a Pod is neither about to go nor at its end.
pub(super) fn stays(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Failed" | "Succeeded"))
}

/// No Pod could even be made: a quota, an admission rule.
fn replica_failure(deployment: &DeploymentStatus) -> Option<Verdict> {
    let conditions = deployment.conditions.iter().flatten();
    let failure = conditions
        .into_iter()
        .find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
    let message = failure.message.as_deref().unwrap_or_default();
    Some(Verdict::no(
        "PodRefused",
        format!("The cluster refuses the Pod: {message}"),
    ))
}

fn pod_problem(pod: &Pod, now: Timestamp) -> Option<Verdict> {
    let status = pod.status.as_ref()?;
    let name = pod.name_any();
    unschedulable(&name, status).or_else(|| {
        let containers = status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .flatten();
        containers
            .filter_map(|container| container_problem(&name, container))
            .next()
            .or_else(|| silent_node(&name, status))
            .or_else(|| stuck::problem(pod, now))
    })
}

/// A node that doesn't answer has its Pods marked as not ready, by others than its kubelet: what that said last of the
/// containers stays (node lifecycle controller, `MarkPodsNotReady`).
fn silent_node(pod: &str, status: &PodStatus) -> Option<Verdict> {
    let is = |condition: &str, wanted: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.any(|one| one.type_ == condition && one.status == wanted)
    };
    if !(is("ContainersReady", "True") && is("Ready", "False")) {
        return None;
    }
    Some(Verdict::no(
        "NodeUnreachable",
        format!(
            "Pod {pod} was well when its node was last heard of, and is not ready: kubectl get pod {pod} -o wide names \
             the node, kubectl get nodes says how it is"
        ),
    ))
}

/// The scheduler's own words, and what they mean where a resource is short.
fn unschedulable(pod: &str, status: &PodStatus) -> Option<Verdict> {
    let conditions = status.conditions.iter().flatten();
    let scheduled = conditions
        .into_iter()
        .find(|one| one.type_ == "PodScheduled" && one.status == "False")?;
    let words = scheduled.message.as_deref().unwrap_or_default();
    let advice = if words.contains("Insufficient ") {
        ". Free what is short on a node, add a node, or ask for less in spec.gpu or spec.resources"
    } else if words.contains("unbound immediate PersistentVolumeClaims")
        || words.contains("persistentvolumeclaim")
    {
        ". See the events of the PersistentVolumeClaim; spec.storage says which it is"
    } else {
        ""
    };
    Some(Verdict::no(
        "Unschedulable",
        format!("Pod {pod} finds no node: {}{advice}", words.trim_end_matches('.')),
    ))
}

fn container_problem(pod: &str, container: &ContainerStatus) -> Option<Verdict> {
    let name = &container.name;
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let words = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => Some(Verdict::no(
            "ImagePullFailed",
            format!(
                "Container {name} of Pod {pod}: the image {} can't be pulled: {words}",
                container.image
            ),
        )),
        "CrashLoopBackOff" => Some(Verdict::no("ContainerFailing", crash(pod, container))),
        reason @ ("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            Some(Verdict::no(
                "ContainerFailing",
                format!("Container {name} of Pod {pod} can't start: {reason}: {words}"),
            ))
        }
        _ => None,
    }
}

fn crash(pod: &str, container: &ContainerStatus) -> String {
    let name = &container.name;
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let how = last.map_or_else(String::new, |last| {
        let reason = last.reason.as_deref().unwrap_or("Error");
        format!(" ({reason}, exit code {})", last.exit_code)
    });
    let restarts = container.restart_count;
    format!(
        "Container {name} of Pod {pod} keeps ending{how}, {restarts} restarts; see: kubectl logs {pod} -c {name} --previous"
    )
}
