//! What a reconcile says: the status, and events of what changed in it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::{Done, One, ReconcileError, TAKEN};
use crate::crd::{ModelStatus, OllamaServiceStatus};
use crate::metrics::Outcome;
use crate::plan::ModelProblem;
use crate::status::{Blocked, Known, patience, status, status_of_blocked, until_more};
use crate::watch::kept_of;

/// How often models that are on their way are looked at.
const PULLING: Duration = Duration::from_secs(2);
/// The same where all that aren't there have failed.
const FAILED: Duration = Duration::from_secs(30);

/// What came of a report.
pub(super) struct Said {
    /// After what time to look again at models that aren't there.
    pub(super) models_after: Option<Duration>,
    /// After what time there is more to say though nothing else happens.
    pub(super) more_after: Option<Duration>,
}

impl One<'_> {
    /// Writes what is known, if it is time to.
    pub(super) async fn report(&self, known: &Known<'_>) -> Result<Said, ReconcileError> {
        let now = now();
        let status = status(self.service, &self.before, known, now);
        let models_after = if known.replicas.is_empty() {
            None
        } else {
            until_models(&status.models, &known.plan.model_problems)
        };
        let patience = patience(&self.before, &status);
        let until_more = until_more(known, &status, now);
        let kept_back = self.write_status(status, patience).await?;
        Ok(Said {
            models_after,
            more_after: kept_back.into_iter().chain(until_more).min(),
        })
    }

    /// Says what a person must do first. Nothing of the OllamaService is touched.
    pub(super) async fn blocked(&self, blocked: &Blocked) -> Done {
        let status = status_of_blocked(self.service, &self.before, blocked, now());
        self.write_status(status, Duration::ZERO).await?;
        // What takes a name shows in no watch of ours, so it is looked at again.
        let look_after = match blocked {
            Blocked::Invalid(_) => None,
            Blocked::Taken(_) => Some(TAKEN),
        };
        Ok((Outcome::Blocked, look_after))
    }

    /// Whether the name hasn't come to another OllamaService while this one was looked at: that would be told what is true of
    /// this one. The API server goes by the name; of a status it heeds no uid.
    fn is_still_it(&self) -> bool {
        let kept = kept_of(&self.context.stores.services, &self.key);
        kept.is_some_and(|kept| kept.guarded().meta().uid.as_deref() == Some(&*self.uid))
    }

    /// Writes a status that says something new, unless it may be kept back: then it says for how long.
    async fn write_status(
        &self,
        status: OllamaServiceStatus,
        patience: Duration,
    ) -> Result<Option<Duration>, ReconcileError> {
        let (namespace, name) = (&self.key.0, &self.key.1);
        let context = self.context;
        // One that can't be read shows no status; then what was written last counts.
        if *self.service.status.as_ref().unwrap_or(&self.before) == status {
            context
                .memory
                .has_said_all(&self.key, self.service.status.is_some());
            return Ok(None);
        }
        // The store doesn't have it yet; once it does, it is looked at again.
        if self.before == status
            && let Some(left) = context.memory.is_on_its_way(&self.key)
        {
            return Ok(Some(left));
        }
        if let Some(left) = context.memory.keeps_back(&self.key, patience) {
            return Ok(Some(left));
        }
        if !self.is_still_it() {
            return Ok(None);
        }
        // Before it is sent: the watch may be faster than the answer.
        context
            .memory
            .writes_status(&self.key, self.service.meta(), status.clone());
        let written = context
            .reporter
            .write_status(&context.metrics, namespace, name, &status)
            .await;
        match written {
            Err(kube::Error::Api(answer)) if answer.is_not_found() => return Ok(None),
            Err(error) => {
                context.memory.has_not_written(&self.key);
                return Err(ReconcileError::Status(error));
            }
            Ok(()) => {}
        }
        context.reporter.events(self.service, &self.before, &status).await;
        Ok(None)
    }
}

/// After what time to look again at models: soon where one is on its way, more rarely where what isn't there has failed, can't be
/// made, or waits for such a one. Proxies try those again at growing pauses.
fn until_models(models: &[ModelStatus], problems: &[ModelProblem]) -> Option<Duration> {
    let missing = models.iter().filter(|model| model.state != "Ready");
    let (failed, others): (Vec<_>, Vec<_>) = missing.partition(|model| {
        model.state == "Failed" || problems.iter().any(|problem| problem.model == model.name)
    });
    let waits = |model: &&ModelStatus| model.state == "Pending" && model.message.is_some();
    match (failed.is_empty(), others.is_empty()) {
        (true, true) => None,
        (false, _) if others.iter().all(waits) => Some(FAILED),
        _ => Some(PULLING),
    }
}

/// To the second, as the API keeps times: what is read back would else never be what was written.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
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
            ("being pulled", vec![("a", "Pulling", None)], Some(PULLING)),
            ("about to be", vec![("a", "Pending", None)], Some(PULLING)),
            (
                "failed",
                vec![("a", "Failed", Some("words")), ("b", "Ready", None)],
                Some(FAILED),
            ),
            (
                "one failed, another is loaded",
                vec![("a", "Failed", None), ("b", "Loading", None)],
                Some(PULLING),
            ),
            (
                "it can't be made",
                vec![("unmade", "Pending", None)],
                Some(FAILED),
            ),
            ("it can't be made anew", vec![("unmade", "Ready", None)], None),
            (
                "it waits for one that failed",
                vec![("a", "Failed", None), ("b", "Pending", Some("waits for a"))],
                Some(FAILED),
            ),
            (
                "it waits for one that is there",
                vec![("a", "Ready", None), ("b", "Pending", Some("waits for a"))],
                Some(PULLING),
            ),
            (
                "it waits for one that is pulled",
                vec![("a", "Pulling", None), ("b", "Pending", Some("waits for a"))],
                Some(PULLING),
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
            assert_eq!(until_models(&models, &[problem("unmade")]), expected, "{what}");
        }
    }
}
