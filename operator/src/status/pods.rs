//! Available: whether a replica answers, and if not, why the Pods don't run.

use std::time::Duration;

use k8s_openapi::api::apps::v1::DeploymentStatus;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::verdict::{Truth, Verdict};
use super::{Known, ended, scale, stuck, unschedulable};
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
    let hint = known.pods.iter().find_map(|pod| hint(pod, now));
    let with_hint = |message: String| match &hint {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    };
    match (ready, why(before, known, now)) {
        (0, Some(why)) => why,
        (0, None) => {
            let words = hint.as_deref().unwrap_or("the Pods are starting");
            Verdict::not_yet("Starting", format!("0 of {wanted} replicas are ready; {words}"))
        }
        (_, Some(why)) => Verdict {
            truth: Truth::True,
            message: format!("{ready} of {wanted} replicas are ready; {}", why.message),
            ..why
        },
        (_, None) if ready >= wanted => {
            let message = format!("{updated} of {wanted} replicas are of the newest spec, the others follow");
            Verdict::yes("SomeReplicasReady", with_hint(message))
        }
        (_, None) => {
            let message = format!("{ready} of {wanted} replicas are ready");
            Verdict::yes("SomeReplicasReady", with_hint(message))
        }
    }
}

/// After what time there is more to say of a Pod though nothing else has changed.
pub(super) fn until_more(pod: &Pod, now: Timestamp) -> Option<Duration> {
    unschedulable::until_more(pod, now).or_else(|| stuck::until_more(pod, now))
}

/// What to say of a Pod that takes its time.
fn hint(pod: &Pod, now: Timestamp) -> Option<String> {
    unschedulable::hint(pod)
        .or_else(|| closed_gates(pod))
        .or_else(|| stuck::hint(pod, now))
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
    unschedulable::problem(pod, now).or_else(|| {
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
/// containers stays, and so does the reason (node lifecycle controller, `MarkPodsNotReady`).
fn silent_node(pod: &str, status: &PodStatus) -> Option<Verdict> {
    let ready = unready_with_ready_containers(status)?;
    if ready.reason.as_deref() == Some(GATES_CLOSED) {
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

/// The kubelet's reason where a readiness gate is closed (Kubernetes, pkg/kubelet/status/generate.go): clouds add such gates to
/// Pods, and open them once their load balancers have the Pod as a target.
const GATES_CLOSED: &str = "ReadinessGatesNotReady";

/// What the kubelet says of the gates that a Pod waits for.
fn closed_gates(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref().filter(|_| stays(pod))?;
    let ready = unready_with_ready_containers(status)?;
    if ready.reason.as_deref() != Some(GATES_CLOSED) {
        return None;
    }
    let words = ready.message.as_deref().unwrap_or_default();
    let name = pod.name_any();
    Some(format!(
        "the containers of Pod {name} are ready, and it waits for its readiness gates: {words}"
    ))
}

/// What is said of Ready where that is false though all containers are ready.
fn unready_with_ready_containers(status: &PodStatus) -> Option<&PodCondition> {
    condition(status, "ContainersReady", "True")?;
    condition(status, "Ready", "False")
}

/// The condition of that type, where it has that status.
pub(super) fn condition<'a>(status: &'a PodStatus, kind: &str, is: &str) -> Option<&'a PodCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|one| one.type_ == kind && one.status == is)
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
