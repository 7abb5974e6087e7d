//! What the status says: pure, from all that is known to conditions that a person understands.

mod certificate;
mod conditions;
mod credentials;
mod ended;
mod exposure;
mod gpu;
mod models;
mod overdue;
mod patience;
mod pods;
mod registry_key;
mod scale;
mod storage;
mod stuck;
#[cfg(test)]
mod tests;
mod unschedulable;
mod upgrade;
mod verdict;

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::DeploymentStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;

use crate::changes::Collision;
use crate::crd::{CredentialsStatus, OllamaService, OllamaServiceStatus, SecretStatus};
use crate::observe::{CertificateState, Children, RegistryKeyState, SecretState};
use crate::plan::{Kind, Plan, endpoint, selector};
use crate::replicas::Replica;
use crate::rotation::{Progress, revision, versions_in_force};

pub use conditions::{Changed, changed};
pub use patience::patience;
pub use upgrade::upgrade_policy;
pub use verdict::{Truth, Verdict};

use verdict::Verdicts;

/// Why nothing could be done for an OllamaService.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// It is invalid; each problem names the field.
    Invalid(Vec<String>),
    /// Names that it needs are taken.
    Taken(Vec<Collision>),
}

/// All that is known of an OllamaService that has a plan.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What it should become.
    pub plan: &'a Plan,
    /// The state of each source's Secret.
    pub secrets: &'a [SecretState],
    /// What is wrong with the Secret that holds the key of the proxies' digests.
    pub digest_key_problem: Option<&'a str>,
    /// The state of the Secret with the certificate, where clients speak HTTPS.
    pub certificate: Option<&'a CertificateState>,
    /// The state of the Secret with the key by which registries know Ollama, where it may be read.
    pub registry_key: Option<&'a RegistryKeyState>,
    /// What the Deployment says of itself; none before it is there.
    pub deployment: Option<&'a DeploymentStatus>,
    /// Its Pods.
    pub pods: &'a [Pod],
    /// The children that there are.
    pub children: &'a Children,
    /// Kinds of the plan that this cluster doesn't have.
    pub unserved: &'a BTreeSet<Kind>,
    /// What the proxies say.
    pub replicas: &'a [Replica],
    /// How far the newest credentials and configuration have come.
    pub progress: &'a Progress,
    /// What the API server refused.
    pub refused: Option<&'a str>,
    /// What the API server says of a claim that can't be changed as asked. The Pods go on with it as it is.
    pub claim_refused: Option<&'a str>,
}

/// The status of an OllamaService that has a plan.
pub fn status(
    service: &OllamaService,
    before: &OllamaServiceStatus,
    known: &Known<'_>,
    now: Timestamp,
) -> OllamaServiceStatus {
    let versions = before
        .credentials
        .as_ref()
        .map(|credentials| credentials.secrets.as_slice());
    let models = models::aggregate(service, &before.models, known, now);
    let available = pods::available(service, before, known, now);
    let verdicts = Verdicts {
        autoscaler: scale::autoscaler(known, &available),
        available,
        credentials: credentials::synced(service, known),
        certificate: certificate::problem(service, known),
        gpu: gpu::fallback(service, known),
        displaced: gpu::displaced(known),
        storage: storage::ready(known),
        registry_key: registry_key::problem(service, known),
        models: models::ready(service, known, &models),
        exposure: exposure::exposed(service, before, known, now),
        blocked: known.refused.map(|refused| Verdict::no("ApplyRefused", refused)),
    };
    let ready_models = models.iter().filter(|model| model.state == models::READY).count();
    OllamaServiceStatus {
        ready_models: (!models.is_empty()).then(|| format!("{ready_models}/{}", models.len())),
        models,
        pending_upgrade: upgrade::pending(known),
        credentials: Some(credentials_status(known, versions.unwrap_or_default())),
        conditions: conditions::conditions(service, &before.conditions, &verdicts, now),
        ..frame(service, known.deployment)
    }
}

/// After what time the status says more though nothing that is watched has changed: something has then lasted for too long, or a
/// model has come further.
pub fn until_more(known: &Known<'_>, status: &OllamaServiceStatus, now: Timestamp) -> Option<Duration> {
    let pods = known.pods.iter().filter_map(|pod| pods::until_more(pod, now));
    pods.chain(exposure::until_more(status, now))
        .chain(models::until_more(known, &status.models))
        .chain(upgrade::until_more(status))
        .min()
}

/// The status of one for which nothing could be done. What was said of Pods and credentials can't be upheld without looking.
pub fn status_of_blocked(
    service: &OllamaService,
    before: &OllamaServiceStatus,
    blocked: &Blocked,
    now: Timestamp,
) -> OllamaServiceStatus {
    OllamaServiceStatus {
        conditions: conditions::of_blocked(service, &before.conditions, &verdict::of_blocked(blocked), now),
        replicas: before.replicas,
        ready_replicas: before.ready_replicas,
        ..frame(service, None)
    }
}

/// What doesn't depend on conditions.
fn frame(service: &OllamaService, deployment: Option<&DeploymentStatus>) -> OllamaServiceStatus {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    OllamaServiceStatus {
        observed_generation: service.metadata.generation,
        endpoint: Some(endpoint(service)),
        selector: Some(selector(name)),
        replicas: deployment.and_then(|deployment| deployment.replicas).unwrap_or(0),
        ready_replicas: deployment
            .and_then(|deployment| deployment.ready_replicas)
            .unwrap_or(0),
        ..OllamaServiceStatus::default()
    }
}

fn credentials_status(known: &Known<'_>, before: &[SecretStatus]) -> CredentialsStatus {
    let versions = versions_in_force(known.plan, known.secrets, known.progress, before);
    CredentialsStatus {
        revision: revision(&versions),
        clients: i32::try_from(credentials::clients(known.secrets, known.replicas)).unwrap_or(i32::MAX),
        synced_replicas: i32::try_from(known.progress.synced).unwrap_or(i32::MAX),
        secrets: versions,
    }
}
