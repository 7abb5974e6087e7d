//! ModelsReady: how far the models are over all replicas.

use std::collections::BTreeSet;
use std::time::Duration;

use corral_proxy::config;
use corral_proxy::status::{ModelState, ModelStatus as Reported};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::conditions::shortened;
use super::pods::condition;
use super::verdict::Verdict;
use super::{Known, scale};
use crate::crd::{ModelStatus, OllamaService};
use crate::plan::ModelProblem;
use crate::replicas::Replica;

/// Most characters of what Ollama says of a model.
const LONGEST_WORDS: usize = 1000;

/// How often models that are on their way are looked at.
const SOON: Duration = Duration::from_secs(2);
/// The same where all that aren't there have failed.
const AGAIN: Duration = Duration::from_secs(30);

/// The state of a model that could not be had.
const FAILED: &str = "Failed";

/// The state of a model of which no replica, or not every one, has said anything else.
const PENDING: &str = "Pending";

/// The state of a model that every replica has.
pub(super) const READY: &str = "Ready";

/// The states of a model, the one that is least far first; a failure before all.
const STATES: [&str; 6] = [FAILED, PENDING, "Pulling", "Making", "Loading", READY];

/// For each model of the spec the replica that is least far.
pub(super) fn aggregate(
    service: &OllamaService,
    before: &[ModelStatus],
    known: &Known<'_>,
    now: Timestamp,
) -> Vec<ModelStatus> {
    let of = |name: &str| {
        let before = before.iter().find(|model| model.name == name);
        let least = known
            .replicas
            .iter()
            .map(|replica| of_replica(name, replica, before, known.pods))
            .min_by_key(|model| (rank(&model.state), model.progress.unwrap_or(0)));
        let digests = reports(name, known.replicas)
            .flatten()
            .filter_map(|report| report.digest.as_deref());
        let status = least.unwrap_or_else(|| pending(name));
        since(status, &digests.collect::<Vec<_>>(), before, now)
    };
    service.spec.models.iter().map(|model| of(&model.name)).collect()
}

/// How far a model is on one replica. Where its proxy doesn't answer, but the kubelet finds it ready all the same, nothing says that
/// this is any other than it was: an answer that is lost on its way is no reason to call a service that serves unready.
fn of_replica(name: &str, replica: &Replica, before: Option<&ModelStatus>, pods: &[Pod]) -> ModelStatus {
    let status = match &replica.answer {
        Ok(answer) => answer
            .models
            .iter()
            .find(|model| model.name == name)
            .map(status_of),
        Err(_) => before.filter(|_| is_ready(&replica.pod, pods)).cloned(),
    };
    status.unwrap_or_else(|| pending(name))
}

fn is_ready(name: &str, pods: &[Pod]) -> bool {
    let pod = pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name));
    let status = pod.and_then(|pod| pod.status.as_ref());
    status.is_some_and(|status| condition(status, "Ready", "True").is_some())
}

/// What each replica says of a model, if it says anything of it.
fn reports<'a>(name: &str, replicas: &'a [Replica]) -> impl Iterator<Item = Option<&'a Reported>> {
    replicas.iter().map(move |replica| {
        let models = replica
            .answer
            .as_ref()
            .ok()
            .map(|status| status.models.as_slice());
        models.unwrap_or_default().iter().find(|model| model.name == name)
    })
}

/// With what is known from before: the digest, until no replica has it any more and one has another, and since when it is
/// that one. Bytes are those of the moment when the percentage was reached, so that they alone are no reason to write a
/// status.
fn since(
    mut status: ModelStatus,
    digests: &[&str],
    before: Option<&ModelStatus>,
    now: Timestamp,
) -> ModelStatus {
    let first = digests.first().map(|digest| (*digest).to_owned());
    let Some(before) = before else {
        status.digest_since = first.as_ref().map(|_| Time(now));
        status.digest = first;
        return status;
    };
    if status.progress.is_some() && status.progress == before.progress {
        status.completed_bytes = before.completed_bytes;
        status.total_bytes = before.total_bytes;
    }
    let stays = before
        .digest
        .as_deref()
        .is_some_and(|digest| digests.contains(&digest));
    (status.digest, status.digest_since) = match first {
        Some(digest) if !stays => (Some(digest), Some(Time(now))),
        _ => (before.digest.clone(), before.digest_since.clone()),
    };
    status
}

/// What to tell of models that are others than before.
pub(super) fn changed(before: &[ModelStatus], after: &[ModelStatus]) -> Vec<String> {
    let changed = after.iter().filter_map(|model| {
        let before = before.iter().find(|before| before.name == model.name)?;
        let (before, after) = (before.digest.as_ref()?, model.digest.as_ref()?);
        (before != after).then(|| format!("Model {} has digest {after} now; it was {before}", model.name))
    });
    changed.collect()
}

fn rank(state: &str) -> usize {
    STATES.iter().position(|one| *one == state).unwrap_or(0)
}

fn pending(name: &str) -> ModelStatus {
    ModelStatus {
        name: name.to_owned(),
        state: PENDING.to_owned(),
        ..ModelStatus::default()
    }
}

fn status_of(report: &Reported) -> ModelStatus {
    let state = match report.state {
        ModelState::Pending => PENDING,
        ModelState::Pulling => "Pulling",
        ModelState::Making => "Making",
        ModelState::Loading => "Loading",
        ModelState::Ready => READY,
        ModelState::Failed => FAILED,
    };
    ModelStatus {
        name: report.name.clone(),
        state: state.to_owned(),
        progress: report.progress.map(i32::from),
        completed_bytes: bytes(report.completed),
        total_bytes: bytes(report.total),
        size: bytes(report.size),
        message: report
            .message
            .clone()
            .map(|words| shortened(words, LONGEST_WORDS)),
        ..ModelStatus::default()
    }
}

pub(super) fn ready(service: &OllamaService, known: &Known<'_>, models: &[ModelStatus]) -> Verdict {
    if models.is_empty() {
        return Verdict::yes(
            "NoneAsked",
            "spec.models is empty; clients use what is pulled by hand",
        );
    }
    if let Some(none) = scale::none_wanted(service, known) {
        return none;
    }
    if let Some(problem) = undefined(known) {
        return problem;
    }
    if let Some(failed) = models.iter().find(|model| model.state == "Failed") {
        return failure(service, known, failed);
    }
    if known.replicas.is_empty() {
        return Verdict::not_yet("NoReplicas", "No replica runs yet");
    }
    let waiting: Vec<_> = models
        .iter()
        .filter(|model| model.state != READY)
        .map(words)
        .collect();
    if waiting.is_empty() {
        let differing = differing(known, models);
        return Verdict::yes(
            "AllThere",
            format!("{} model(s) on every replica{differing}", models.len()),
        );
    }
    Verdict::not_yet("Pulling", waiting.join(", "))
}

/// Models that can't be made as they are defined.
fn undefined(known: &Known<'_>) -> Option<Verdict> {
    let problems = known.plan.model_problems.iter();
    let messages: Vec<_> = problems
        .map(|ModelProblem { model, problem }| format!("Model {model} can't be made: {problem}"))
        .collect();
    (!messages.is_empty()).then(|| {
        Verdict::no(
            "ModelfileInvalid",
            format!(
                "{}; where it has been made before it stays as it is",
                messages.join("; ")
            ),
        )
    })
}

fn failure(service: &OllamaService, known: &Known<'_>, failed: &ModelStatus) -> Verdict {
    let name = &failed.name;
    let words = failed.message.as_deref().unwrap_or("no reason given");
    if is_other(service, known, name) {
        return Verdict::no("DigestMismatch", format!("Model {name}: {words}"));
    }
    let message = format!(
        "Model {name}: Ollama says: {words}. It is tried again; check the name, the registry and the space on the volume"
    );
    Verdict::no("PullFailed", message)
}

/// Whether a replica has another version of a model than the one that is asked for.
fn is_other(service: &OllamaService, known: &Known<'_>, name: &str) -> bool {
    let listed = service.spec.models.iter().find(|model| model.name == name);
    let wanted = config::Model {
        digest: listed.and_then(|model| model.digest.clone()),
        ..config::Model::default()
    };
    let failed = reports(name, known.replicas)
        .flatten()
        .filter(|report| report.state == ModelState::Failed);
    failed
        .filter_map(|report| report.digest.as_deref())
        .any(|digest| !wanted.is_pinned_to(digest))
}

/// Replicas pull by name, and a name may have come to stand for something else meanwhile.
fn differing(known: &Known<'_>, models: &[ModelStatus]) -> String {
    let differs = |model: &&ModelStatus| {
        let digests: BTreeSet<_> = reports(&model.name, known.replicas)
            .filter_map(|report| report?.digest.as_deref())
            .collect();
        digests.len() > 1
    };
    let names: Vec<_> = models.iter().filter(differs).map(|model| &*model.name).collect();
    if names.is_empty() {
        return String::new();
    }
    format!(
        "; replicas have different versions of {}, which spec.models[].digest would tell apart",
        names.join(", ")
    )
}

/// After what time to look again at models that aren't there; without a replica nothing becomes of them.
pub(super) fn until_more(known: &Known<'_>, models: &[ModelStatus]) -> Option<Duration> {
    let is_anywhere = !known.replicas.is_empty();
    is_anywhere.then(|| until_looked_at(models, &known.plan.model_problems))?
}

/// After what time to look again at models: soon where one is on its way, more rarely where what isn't there has failed, can't be
/// made, or waits for such a one. Proxies try those again at growing pauses.
fn until_looked_at(models: &[ModelStatus], problems: &[ModelProblem]) -> Option<Duration> {
    let missing = models.iter().filter(|model| model.state != READY);
    let (failed, others): (Vec<_>, Vec<_>) = missing.partition(|model| {
        model.state == FAILED || problems.iter().any(|problem| problem.model == model.name)
    });
    let waits = |model: &&ModelStatus| model.state == PENDING && model.message.is_some();
    match (failed.is_empty(), others.is_empty()) {
        (true, true) => None,
        (false, _) if others.iter().all(waits) => Some(AGAIN),
        _ => Some(SOON),
    }
}

fn bytes(number: Option<u64>) -> Option<i64> {
    number.and_then(|number| i64::try_from(number).ok())
}

fn words(model: &ModelStatus) -> String {
    let ModelStatus { name, state, .. } = model;
    match (model.progress, model.completed_bytes, model.total_bytes) {
        (Some(progress), Some(completed), Some(total)) if total > 0 => {
            format!("{name}: {state} ({progress} %, {completed} of {total} bytes)")
        }
        (Some(progress), ..) => format!("{name}: {state} ({progress} %)"),
        (None, ..) => match &model.message {
            Some(message) => format!("{name}: {state} ({message})"),
            None => format!("{name}: {state}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_looked_at_soon_only_where_one_is_on_its_way() {
        let problem = |model: &str| ModelProblem {
            model: model.to_owned(),
            problem: String::new(),
        };
        let cases = [
            ("none", vec![], None),
            ("all there", vec![("a", "Ready", None)], None),
            ("being pulled", vec![("a", "Pulling", None)], Some(SOON)),
            ("about to be", vec![("a", "Pending", None)], Some(SOON)),
            (
                "failed",
                vec![("a", "Failed", Some("words")), ("b", "Ready", None)],
                Some(AGAIN),
            ),
            (
                "one failed, another is loaded",
                vec![("a", "Failed", None), ("b", "Loading", None)],
                Some(SOON),
            ),
            ("it can't be made", vec![("unmade", "Pending", None)], Some(AGAIN)),
            ("it can't be made anew", vec![("unmade", "Ready", None)], None),
            (
                "it waits for one that failed",
                vec![("a", "Failed", None), ("b", "Pending", Some("waits for a"))],
                Some(AGAIN),
            ),
            (
                "it waits for one that is there",
                vec![("a", "Ready", None), ("b", "Pending", Some("waits for a"))],
                Some(SOON),
            ),
            (
                "it waits for one that is pulled",
                vec![("a", "Pulling", None), ("b", "Pending", Some("waits for a"))],
                Some(SOON),
            ),
        ];
        for (what, models, expected) in cases {
            let model = |(name, state, message): (&str, &str, Option<&str>)| ModelStatus {
                name: name.to_owned(),
                state: state.to_owned(),
                message: message.map(str::to_owned),
                ..ModelStatus::default()
            };
            let models: Vec<_> = models.into_iter().map(model).collect();
            assert_eq!(until_looked_at(&models, &[problem("unmade")]), expected, "{what}");
        }
    }
}
