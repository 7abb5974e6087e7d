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
use crate::text::cut;

/// Bytes of the longest note of an event (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1024;

/// How many events one recorder makes. It keeps each for six minutes, to count those that repeat, at two kilobytes and more, and
/// goes through all that it keeps for every new one.
const EVENTS_OF_A_RECORDER: usize = 128;

/// Speaks of OllamaServices.
pub struct Reporter {
    client: Client,
    recorder: Mutex<Renewed<Recorder>>,
}

impl Reporter {
    /// One that makes events in the speaker's name.
    pub fn new(client: Client, speaker: Speaker) -> Self {
        let of_recorder = client.clone();
        let make = move || Recorder::new(of_recorder.clone(), speaker.clone());
        Self {
            client,
            recorder: Mutex::new(Renewed::new(EVENTS_OF_A_RECORDER, make)),
        }
    }

    /// The recorder of the next event: a new one now and then, which counts anew.
    fn recorder(&self) -> Recorder {
        self.recorder
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next()
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
                note: Some(note(change.message)),
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

/// As much of a message as an event may say.
fn note(mut message: String) -> String {
    cut(&mut message, LONGEST_NOTE);
    message
}

/// Something that is made anew after so many uses.
struct Renewed<T> {
    uses: usize,
    make: Box<dyn Fn() -> T + Send>,
    current: T,
    used: usize,
}

impl<T: Clone> Renewed<T> {
    fn new(uses: usize, make: impl Fn() -> T + Send + 'static) -> Self {
        Self {
            uses,
            current: make(),
            make: Box::new(make),
            used: 0,
        }
    }

    /// For one use.
    fn next(&mut self) -> T {
        if self.used == self.uses {
            self.current = (self.make)();
            self.used = 0;
        }
        self.used += 1;
        self.current.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_note_is_cut_where_a_character_ends() {
        let cases = [
            ("short".to_owned(), 5),
            ("a".repeat(1024), 1024),
            ("a".repeat(1025), 1024),
            ("é".repeat(1000), 1024),
            (format!("a{}", "é".repeat(1000)), 1023),
            ("名".repeat(1000), 1023),
        ];
        for (message, expected) in cases {
            let note = note(message.clone());
            assert_eq!(note.len(), expected, "{message}");
            assert!(message.starts_with(&note), "{message}");
        }
    }

    #[test]
    fn a_recorder_is_made_anew_after_so_many_events() {
        let made = AtomicUsize::new(0);
        let mut recorder = Renewed::new(EVENTS_OF_A_RECORDER, move || made.fetch_add(1, Ordering::Relaxed));
        for event in 0..4 * EVENTS_OF_A_RECORDER {
            assert_eq!(recorder.next(), event / EVENTS_OF_A_RECORDER, "event {event}");
        }
    }
}
