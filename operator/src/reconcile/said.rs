//! What a reconcile says: the status, and events of what changed in it.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Resource;

use super::{Done, One, ReconcileError, TAKEN};
use crate::crd::OllamaServiceStatus;
use crate::metrics::Outcome;
use crate::status::{Blocked, Known, patience, status, status_of_blocked, until_more};
use crate::watch::kept_of;

impl One<'_> {
    /// Writes what is known, if it is time to; after what time there is more to say though nothing else happens.
    pub(super) async fn report(&self, known: &Known<'_>) -> Result<Option<Duration>, ReconcileError> {
        let now = now();
        let status = status(self.service, &self.before, known, now);
        let patience = patience(&self.before, &status);
        let until_more = until_more(known, &status, now);
        let kept_back = self.write_status(status, patience).await?;
        Ok(kept_back.into_iter().chain(until_more).min())
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

/// To the second, as the API keeps times: what is read back would else never be what was written.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
