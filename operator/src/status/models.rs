//! ModelsReady: how far the models are over all replicas.

use corral_proxy::status::{ModelState, ModelStatus as Reported};

use super::verdict::Verdict;
use super::{Known, scale};
use crate::crd::{ModelStatus, OllamaService};
use crate::replicas::Replica;

/// The state of a model that every replica has.
pub(super) const READY: &str = "Ready";

/// For each model of the spec the replica that is least far; a failure before all.
pub(super) fn aggregate(service: &OllamaService, replicas: &[Replica]) -> Vec<ModelStatus> {
    let of = |name: &str| {
        let reports = replicas.iter().map(|replica| {
            let models = replica
                .answer
                .as_ref()
                .ok()
                .map(|status| status.models.as_slice());
            models.unwrap_or_default().iter().find(|model| model.name == name)
        });
        let least = reports.min_by_key(|report| {
            report.map_or((rank(ModelState::Pending), 0), |report| {
                (rank(report.state), report.progress.unwrap_or(0))
            })
        });
        least.flatten().map_or_else(|| pending(name), status_of)
    };
    service.spec.models.iter().map(|model| of(&model.name)).collect()
}

fn rank(state: ModelState) -> u8 {
    match state {
        ModelState::Failed => 0,
        ModelState::Pending => 1,
        ModelState::Pulling => 2,
        ModelState::Loading => 3,
        ModelState::Ready => 4,
    }
}

fn pending(name: &str) -> ModelStatus {
    ModelStatus {
        name: name.to_owned(),
        state: "Pending".to_owned(),
        ..ModelStatus::default()
    }
}

fn status_of(report: &Reported) -> ModelStatus {
    let state = match report.state {
        ModelState::Pending => "Pending",
        ModelState::Pulling => "Pulling",
        ModelState::Loading => "Loading",
        ModelState::Ready => READY,
        ModelState::Failed => "Failed",
    };
    ModelStatus {
        name: report.name.clone(),
        state: state.to_owned(),
        progress: report.progress.map(i32::from),
        digest: report.digest.clone(),
        size: report.size.and_then(|size| i64::try_from(size).ok()),
        message: report.message.clone(),
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
    if let Some(failed) = models.iter().find(|model| model.state == "Failed") {
        let words = failed.message.as_deref().unwrap_or("no reason given");
        let message = format!(
            "Model {}: Ollama says: {words}. It is tried again; check the name, the registry and the space on the volume",
            failed.name
        );
        return Verdict::no("PullFailed", message);
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
        return Verdict::yes("AllThere", format!("{} model(s) on every replica", models.len()));
    }
    Verdict::not_yet("Pulling", waiting.join(", "))
}

fn words(model: &ModelStatus) -> String {
    match model.progress {
        Some(progress) => format!("{}: {} ({progress} %)", model.name, model.state),
        None => format!("{}: {}", model.name, model.state),
    }
}
