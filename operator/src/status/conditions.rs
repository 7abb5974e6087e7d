//! From verdicts to conditions with stable times.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::exposure::EXPOSED;
use super::storage::STORAGE_READY;
use super::verdict::{Truth, Verdict, Verdicts};
use super::{credentials, models, scale};
use crate::crd::{OllamaService, OllamaServiceStatus, SecretStatus};
use crate::plan::endpoint;

/// The condition that says whether the newest credentials are in force on every replica.
pub(super) const SYNCED: &str = "CredentialsSynced";
/// The condition that is there only where callers need no credential.
const ANONYMOUS_ACCESS: &str = "AnonymousAccess";

/// Longest message that is written: the API's own limit is 32768 bytes.
const LONGEST_MESSAGE: usize = 4096;

pub(super) fn conditions(
    service: &OllamaService,
    before: &[Condition],
    verdicts: &Verdicts,
    now: Timestamp,
) -> Vec<Condition> {
    let mut all = vec![
        ("Ready", verdicts.ready(&endpoint(service))),
        ("Available", verdicts.available.clone()),
        (SYNCED, verdicts.credentials.clone()),
        ("ModelsReady", verdicts.models.clone()),
        ("Degraded", verdicts.degraded()),
    ];
    all.extend(verdicts.storage.clone().map(|verdict| (STORAGE_READY, verdict)));
    all.extend(verdicts.exposure.clone().map(|verdict| (EXPOSED, verdict)));
    all.extend(credentials::anonymous(service).map(|verdict| (ANONYMOUS_ACCESS, verdict)));
    written(service, before, all, now)
}

/// Nothing was looked at, so nothing is known.
pub(super) fn of_blocked(
    service: &OllamaService,
    before: &[Condition],
    verdict: &Verdict,
    now: Timestamp,
) -> Vec<Condition> {
    let unknown = || Verdict::unknown(verdict.reason, "Not looked at; see Ready");
    let all = vec![
        ("Ready", verdict.clone()),
        ("Available", unknown()),
        (SYNCED, unknown()),
        ("ModelsReady", unknown()),
        (
            "Degraded",
            Verdict {
                truth: Truth::True,
                ..verdict.clone()
            },
        ),
    ];
    written(service, before, all, now)
}

fn written(
    service: &OllamaService,
    before: &[Condition],
    verdicts: Vec<(&str, Verdict)>,
    now: Timestamp,
) -> Vec<Condition> {
    let condition = |(type_, verdict): (&str, Verdict)| {
        let status = verdict.truth.text();
        let earlier = before
            .iter()
            .find(|one| one.type_ == type_ && one.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: verdict.reason.to_owned(),
            message: shortened(verdict.message, LONGEST_MESSAGE),
            observed_generation: service.metadata.generation,
            last_transition_time: earlier.map_or(Time(now), |one| one.last_transition_time.clone()),
        }
    };
    verdicts.into_iter().map(condition).collect()
}

/// A message of at most so many characters, and a sign that there was more.
pub(super) fn shortened(message: String, longest: usize) -> String {
    match message.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

/// Something that has changed in a way worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The type of the condition that says it, or what it is about.
    pub condition: String,
    /// One word.
    pub reason: String,
    /// What a person should know and do.
    pub message: String,
    /// Something is wrong.
    pub warning: bool,
}

/// What of a status is worth an event.
pub fn changed(before: &OllamaServiceStatus, after: &OllamaServiceStatus) -> Vec<Changed> {
    let waits = after
        .pending_upgrade
        .as_ref()
        .filter(|_| before.pending_upgrade.is_none());
    let waits = waits.map(|message| Changed {
        condition: "Upgrade".to_owned(),
        reason: "UpgradeWaits".to_owned(),
        message: message.clone(),
        warning: false,
    });
    let mut changed = of_conditions(before, after);
    changed.extend(waits);
    let models = models::changed(&before.models, &after.models).into_iter();
    changed.extend(models.map(|message| Changed {
        condition: "Models".to_owned(),
        reason: "ModelChanged".to_owned(),
        message,
        warning: false,
    }));
    changed
}

/// Conditions worth an event: Degraded when it comes or has another reason, Ready when it comes or goes, credentials when they
/// or others are in force everywhere, and anonymous access when it comes.
fn of_conditions(before: &OllamaServiceStatus, after: &OllamaServiceStatus) -> Vec<Changed> {
    let rotated = rotated(before, after);
    let worth = |after: &&Condition| {
        let before = of_type(&before.conditions, &after.type_);
        let other_status = before.is_none_or(|before| before.status != after.status);
        let other_reason = before.is_none_or(|before| before.reason != after.reason);
        match (after.type_.as_str(), after.status.as_str()) {
            ("Degraded", "True") => other_status || other_reason,
            (SYNCED, "True") => other_status || rotated,
            ("Ready" | ANONYMOUS_ACCESS, "True") => other_status,
            ("Ready", "False") => before.is_some_and(|before| before.status == "True"),
            _ => false,
        }
    };
    let event = |condition: &Condition| Changed {
        condition: condition.type_.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        warning: matches!(condition.type_.as_str(), "Degraded" | ANONYMOUS_ACCESS)
            || (condition.status == "False" && !scale::is_asked_for(&condition.reason)),
    };
    after.conditions.iter().filter(worth).map(event).collect()
}

/// Whether other versions are in force than were.
pub(super) fn rotated(before: &OllamaServiceStatus, after: &OllamaServiceStatus) -> bool {
    !versions(before).is_empty() && versions(before) != versions(after)
}

/// The versions that are said to be in force.
pub(super) fn versions(status: &OllamaServiceStatus) -> &[SecretStatus] {
    let credentials = status.credentials.as_ref();
    credentials.map_or(&[], |credentials| &credentials.secrets)
}

pub(super) fn of_type<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}
