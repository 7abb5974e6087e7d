//! Whether every replica has the newest credentials and configuration in force: pure.

use corral_proxy::status::Status;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::crd::SecretStatus;
use crate::observe::{Observed, RegistryKeyState, SecretState};
use crate::plan::{NUDGE_ANNOTATION, Plan, Source};
use crate::replicas::Replica;

/// What the annotation of every Pod should be: it changes with the configuration and with every version of a Secret.
pub fn nudge_value(plan: &Plan, observed: &Observed) -> String {
    let mut hash = Sha256::new();
    hash.update(&plan.configuration_digest);
    for (source, secret) in plan.sources.iter().zip(&observed.secrets) {
        let version = secret.resource_version().unwrap_or("-");
        hash.update(format!("\n{}={version}", source.secret));
    }
    if let (Some(name), Some(certificate)) = (&plan.tls_secret, &observed.certificate) {
        let version = certificate.resource_version().unwrap_or("-");
        hash.update(format!("\n{name}={version}"));
    }
    if let Some(RegistryKeyState::Found { resource_version, .. }) = &observed.registry_key {
        hash.update(format!("\nregistry key={resource_version}"));
    }
    hex::encode(&hash.finalize()[..8])
}

/// Parts the value from the number of times it was repeated.
const AGAIN: char = '.';

/// The annotation that says the same once more, and still is a change.
pub fn again(value: &str, times: u32) -> String {
    format!("{value}{AGAIN}{times}")
}

/// The Pods whose mounts are to be refreshed: those that run and were told of another state. Pods mount what is newest when they
/// start; one that was never told anything need not be told, unless what it has mounted doesn't show in what its proxy says.
pub fn to_nudge<'a>(plan: &Plan, observed: &'a Observed, value: &str) -> Vec<&'a str> {
    let unseen = plan.tls_secret.is_some()
        || plan.registry_key.is_some()
        || observed.secrets.contains(&SecretState::Unread);
    let waiting = observed.pods.iter().filter(|pod| match told(pod) {
        Some(told) => runs(pod) && told != value,
        None => runs(pod) && unseen,
    });
    waiting.filter_map(|pod| pod.metadata.name.as_deref()).collect()
}

/// The Pods that were never told anything and lag: something has changed since they mounted it.
pub fn lagging_untold<'a>(progress: &Progress, observed: &'a Observed) -> Vec<&'a str> {
    let untold = observed
        .pods
        .iter()
        .filter(|pod| runs(pod) && told(pod).is_none());
    untold
        .filter_map(|pod| pod.metadata.name.as_deref())
        .filter(|name| progress.lagging.iter().any(|(lagging, _)| lagging == name))
        .collect()
}

/// The state that a Pod's kubelet was told of.
fn told(pod: &Pod) -> Option<&str> {
    let told = pod.annotations().get(NUDGE_ANNOTATION)?;
    told.split(AGAIN).next()
}

fn runs(pod: &Pod) -> bool {
    phase(pod) == Some("Running") && pod.metadata.deletion_timestamp.is_none()
}

/// Whether no Pod is left in which something could be in force. Those that have ended, such as evicted ones, stay as a record.
pub fn all_have_ended(pods: &[Pod]) -> bool {
    pods.iter()
        .all(|pod| matches!(phase(pod), Some("Failed" | "Succeeded")))
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// How far a rotation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// For each source of the plan whether every replica has its newest content in force.
    pub everywhere: Vec<bool>,
    /// Replicas that have everything in force.
    pub synced: usize,
    /// The others, with the reason.
    pub lagging: Vec<(String, String)>,
}

impl Progress {
    /// Compares what the proxies report with what they should.
    ///
    /// Where no replica is asked for and none is left, what is newest is in force: nothing else can be.
    pub fn of(plan: &Plan, secrets: &[SecretState], replicas: &[Replica], none_wanted: bool) -> Self {
        let sources: Vec<_> = plan.sources.iter().zip(secrets).collect();
        let has = |replica: &Replica, (source, secret): &(&Source, &SecretState)| match &replica.answer {
            Ok(status) => {
                configuration_lag(plan, status).is_none() && source_lag(status, source, secret).is_none()
            }
            Err(_) => false,
        };
        let everywhere = sources
            .iter()
            .map(|source| {
                (none_wanted || !replicas.is_empty()) && replicas.iter().all(|replica| has(replica, source))
            })
            .collect();
        let lagging: Vec<_> = replicas
            .iter()
            .filter_map(|replica| lag(plan, &sources, replica).map(|why| (replica.pod.clone(), why)))
            .collect();
        Self {
            everywhere,
            synced: replicas.len() - lagging.len(),
            lagging,
        }
    }
}

fn lag(plan: &Plan, sources: &[(&Source, &SecretState)], replica: &Replica) -> Option<String> {
    match &replica.answer {
        Err(error) => Some(format!("its proxy's /status can't be read: {error}")),
        Ok(status) => configuration_lag(plan, status).or_else(|| {
            sources
                .iter()
                .find_map(|(source, secret)| source_lag(status, source, secret))
        }),
    }
}

fn configuration_lag(plan: &Plan, status: &Status) -> Option<String> {
    let configuration = &status.configuration;
    if configuration.digest.as_deref() == Some(&plan.configuration_digest) {
        return None;
    }
    Some(match &configuration.error {
        Some(error) => format!("its proxy refuses the configuration: {error}"),
        None => "it has not the newest configuration yet".to_owned(),
    })
}

/// Where Secrets are not read there is nothing to compare with, and nothing is said to lag.
fn source_lag(status: &Status, source: &Source, secret: &SecretState) -> Option<String> {
    if *secret == SecretState::Unread {
        return None;
    }
    let reported = status.credentials.iter().find(|reported| source.is(reported));
    let reported = reported.and_then(|reported| reported.digest.as_deref());
    let in_force = reported.is_some() && reported == secret.digest();
    (!in_force).then(|| format!("it has not the newest Secret {} yet", source.secret))
}

/// The versions that every replica has in force, from those of the last status.
///
/// A version moves to the newest once every replica has that. Until then it stays, unless it claims the newest already: a
/// replica that has come since may have something older.
pub fn versions_in_force(
    plan: &Plan,
    secrets: &[SecretState],
    progress: &Progress,
    before: &[SecretStatus],
) -> Vec<SecretStatus> {
    let mut versions: Vec<SecretStatus> = Vec::new();
    for source in &plan.sources {
        if versions.iter().any(|version| version.name == source.secret) {
            continue;
        }
        let same = || {
            plan.sources
                .iter()
                .enumerate()
                .filter(|(_, other)| other.secret == source.secret)
        };
        let everywhere = same().all(|(index, _)| progress.everywhere.get(index) == Some(&true));
        let newest = same().find_map(|(index, _)| secrets.get(index)?.resource_version());
        let claimed = before.iter().find(|version| version.name == source.secret);
        let in_force = match (newest, claimed) {
            (Some(newest), _) if everywhere => Some(newest.to_owned()),
            (Some(newest), Some(claimed)) if claimed.resource_version != newest => {
                Some(claimed.resource_version.clone())
            }
            _ => None,
        };
        versions.extend(in_force.map(|resource_version| SecretStatus {
            name: source.secret.clone(),
            resource_version,
        }));
    }
    versions
}

/// A short name of a set of versions.
pub fn revision(versions: &[SecretStatus]) -> Option<String> {
    let mut hash = Sha256::new();
    for version in versions {
        hash.update(format!("{}={}\n", version.name, version.resource_version));
    }
    (!versions.is_empty()).then(|| hex::encode(&hash.finalize()[..6]))
}
