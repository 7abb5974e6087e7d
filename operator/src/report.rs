//! What is said to people: the status, and events on what matters in it.

use std::sync::{Mutex, PoisonError};

use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::events::{Event, EventType, Recorder, Reporter as Speaker};
use kube::{Client, Resource};
use serde_json::json;

use crate::apply::namespace_goes;
use crate::crd::{OllamaService, OllamaServiceStatus};
use crate::metrics::Metrics;
use crate::plan::MANAGER;
use crate::status::changed;

/// Longest note of an event (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1000;

/// How many events one recorder makes. It keeps each for six minutes, to count those that repeat, at two kilobytes and more, and
/// goes through all that it keeps for every new one.
const EVENTS_OF_A_RECORDER: usize = 128;

/// Speaks of OllamaServices.
pub struct Reporter {
    client: Client,
    speaker: Speaker,
    /// Makes events, and has made so many.
    recorder: Mutex<(Recorder, usize)>,
}

impl Reporter {
    /// One that makes events in the speaker's name.
    pub fn new(client: Client, speaker: Speaker) -> Self {
        let recorder = Recorder::new(client.clone(), speaker.clone());
        Self {
            client,
            speaker,
            recorder: Mutex::new((recorder, 0)),
        }
    }

    /// The recorder of the next event: a new one now and then, which counts anew.
    fn recorder(&self) -> Recorder {
        let mut current = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorder, made) = &mut *current;
        if *made == EVENTS_OF_A_RECORDER {
            *recorder = Recorder::new(self.client.clone(), self.speaker.clone());
            *made = 0;
        }
        *made += 1;
        recorder.clone()
    }

    /// Writes the status.
    ///
    /// # Errors
    /// When the API server refuses it or doesn't answer.
    pub async fn write_status(
        &self,
        metrics: &Metrics,
        namespace: &str,
        name: &str,
        status: &OllamaServiceStatus,
    ) -> Result<(), kube::Error> {
        metrics.write("OllamaService/status", "patch");
        let patch = json!({
            "apiVersion": OllamaService::api_version(&()),
            "kind": OllamaService::kind(&()),
            "status": status,
        });
        // Metadata alone comes back: the object itself may be one that can't be read.
        let api: Api<PartialObjectMeta<OllamaService>> = Api::namespaced(self.client.clone(), namespace);
        let parameters = PatchParams::apply(&format!("{MANAGER}-status")).force();
        api.patch_status(name, &parameters, &Patch::Apply(&patch))
            .await
            .map(drop)
    }

    /// Makes events of what changed in the status. One that can't be made is no reason to do anything else again.
    pub async fn events(
        &self,
        service: &impl Resource<DynamicType = ()>,
        before: &OllamaServiceStatus,
        after: &OllamaServiceStatus,
    ) {
        for change in changed(before, after) {
            let event = Event {
                type_: if change.warning {
                    EventType::Warning
                } else {
                    EventType::Normal
                },
                reason: change.reason,
                note: Some(change.message.chars().take(LONGEST_NOTE).collect()),
                action: change.condition,
                secondary: None,
            };
            match self.recorder().publish(&event, &service.object_ref(&())).await {
                // Nobody is left to read it.
                Err(error) if namespace_goes(&error) => return,
                Err(error) => tracing::warn!(%error, "an event could not be made"),
                Ok(()) => {}
            }
        }
    }
}
