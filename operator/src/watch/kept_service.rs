//! OllamaServices as the watch keeps them: as text too, since a tree of one and its status takes ten times as much memory.

use kube::core::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::Lookup;

use super::Guarded;
use super::kept::Came;
use super::packed::{Packed, Template};
use super::stored::Stored;
use crate::crd::OllamaService;

/// An OllamaService of which this is kept. Copies share its text.
pub type KeptService = Stored<Came<OllamaService>, Service>;

/// What is kept of an OllamaService.
#[derive(Clone, Debug)]
pub struct Service {
    ready: bool,
    packed: Packed,
}

/// What OllamaServices are packed against: the first that is ready, and the first that isn't, of whose status there is little.
#[derive(Default)]
pub(super) struct Templates {
    ready: Option<Template>,
    others: Option<Template>,
}

impl KeptService {
    /// Packs an OllamaService.
    pub(super) fn pack(came: Came<OllamaService>, templates: &mut Templates) -> Self {
        let (metadata, text) = came.parts();
        let ready = serde_json::from_str::<Guarded>(&text).is_ok_and(|service| service.is_ready());
        let template = if ready {
            &mut templates.ready
        } else {
            &mut templates.others
        };
        let packed = Packed::new(&text, template);
        Self::new(metadata, Service { ready, packed })
    }

    /// Whether its status says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.held.ready
    }

    /// The OllamaService.
    pub fn guarded(&self) -> Guarded {
        let text = self.held.packed.unpacked().map_err(|error| error.to_string());
        let service = text.and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        // Never in practice: the text was written and packed here.
        service.unwrap_or_else(|error| {
            let metadata = ObjectMeta {
                name: self.name().map(Into::into),
                namespace: self.namespace().map(Into::into),
                ..ObjectMeta::default()
            };
            Guarded(Err(InvalidObject { error, metadata }))
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::memory::key_of;

    fn sent(name: &str, spec: &Value, ready: Option<&str>) -> Value {
        let mut sent = json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "spec": spec,
            "metadata": {"name": name, "namespace": "ml", "uid": "u", "generation": 2}});
        if let Some(status) = ready {
            sent["status"] = json!({"replicas": 1, "conditions": [{"type": "Ready", "status": status, "reason": "R",
                "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        }
        sent
    }

    #[test]
    fn what_is_kept_is_what_came() {
        let mut templates = Templates::default();
        let (plain, wrong) = (json!({}), json!({"models": "many"}));
        let cases = [
            ("new", &plain, None, false),
            ("not ready", &plain, Some("False"), false),
            ("ready", &plain, Some("True"), true),
            ("another that is ready", &plain, Some("True"), true),
            ("unreadable", &wrong, Some("True"), false),
        ];
        for (name, spec, status, ready) in cases {
            let sent = sent(name, spec, status);
            let mut written = sent.clone();
            written["metadata"]["managedFields"] = json!([{"manager": "m"}]);
            let kept = KeptService::pack(serde_json::from_value(written).unwrap(), &mut templates);
            assert_eq!(key_of(&kept), ("ml".to_owned(), name.to_owned()));
            assert_eq!(kept.is_ready(), ready, "{name}");
            match (
                kept.guarded().0,
                serde_json::from_value::<Guarded>(sent).unwrap().0,
            ) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found.metadata, expected.metadata, "{name}");
                    assert_eq!(found.status, expected.status, "{name}");
                    assert_eq!(
                        serde_json::to_value(&found.spec).unwrap(),
                        serde_json::to_value(&expected.spec).unwrap(),
                        "{name}"
                    );
                }
                (Err(found), Err(expected)) => {
                    assert_eq!(found.error, expected.error, "{name}");
                    assert_eq!(found.metadata, expected.metadata, "{name}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
