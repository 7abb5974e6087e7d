//! OllamaServices as the watch keeps them: as text too, since a tree of one and its status takes ten times as much memory.

use std::fmt::Display;

use kube::Resource;
use kube::core::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::Lookup;
use serde::de::Error;

use super::Guarded;
use super::packed::{Packed, Template};
use super::stored::Stored;
use crate::crd::OllamaService;

/// An OllamaService of which this is kept. Copies share its text.
pub type KeptService = Stored<OllamaService, Service>;

/// What is kept of an OllamaService.
#[derive(Clone, Debug)]
pub struct Service {
    ready: bool,
    /// All of it, where it can be read.
    packed: Result<Packed, Box<InvalidObject>>,
}

/// What OllamaServices are packed against: the first that is ready, and the first that isn't, of whose status there is little.
#[derive(Default)]
pub(super) struct Templates {
    ready: Option<Template>,
    others: Option<Template>,
}

impl KeptService {
    /// Packs an OllamaService.
    pub(super) fn pack(came: &Guarded, templates: &mut Templates) -> Self {
        let ready = came.is_ready();
        let template = if ready {
            &mut templates.ready
        } else {
            &mut templates.others
        };
        let packed = match &came.0 {
            Ok(service) => serde_json::to_string(service)
                .map(|text| Packed::new(&text, template))
                .map_err(|error| never(error, service.metadata.clone())),
            Err(invalid) => Err(invalid.clone()),
        };
        let packed = packed.map_err(Box::new);
        Self::new(came.meta(), Service { ready, packed })
    }

    /// Whether its status says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.held.ready
    }

    /// The OllamaService.
    pub fn guarded(&self) -> Guarded {
        Guarded(match &self.held.packed {
            Ok(packed) => read(packed).map_err(|error| never(error, self.metadata())),
            Err(invalid) => Err(InvalidObject::clone(invalid)),
        })
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: self.name().map(Into::into),
            namespace: self.namespace().map(Into::into),
            ..ObjectMeta::default()
        }
    }
}

fn read(packed: &Packed) -> Result<OllamaService, serde_json::Error> {
    let text = packed.unpacked().map_err(serde_json::Error::custom)?;
    serde_json::from_str(&text)
}

/// Never in practice: what was read from JSON has a JSON form, and the text was written and packed here.
fn never(error: impl Display, metadata: ObjectMeta) -> InvalidObject {
    InvalidObject {
        error: error.to_string(),
        metadata,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde::Deserialize;
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
            let kept = KeptService::pack(&serde_json::from_value(written).unwrap(), &mut templates);
            assert_eq!(key_of(&kept), ("ml".to_owned(), name.to_owned()));
            assert_eq!(kept.is_ready(), ready, "{name}");
            match (
                kept.guarded().0,
                serde_json::from_value::<Guarded>(sent).unwrap().0,
            ) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{name}"),
                (Err(found), Err(expected)) => {
                    assert_eq!(found.error, expected.error, "{name}");
                    assert_eq!(found.metadata, expected.metadata, "{name}");
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }

    /// It is written anew, and nothing may be lost by that.
    #[test]
    fn nothing_of_a_spec_is_lost() {
        let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
        let mut kept = 0;
        for case in fs::read_dir(cases).unwrap() {
            let text = fs::read_to_string(case.unwrap().path()).unwrap();
            let documents = serde_yaml::Deserializer::from_str(&text);
            let objects = documents.map(|document| Value::deserialize(document).unwrap());
            for object in objects.filter(|object| object["kind"] == "OllamaService") {
                let came: Guarded = serde_json::from_value(object).unwrap();
                let found = KeptService::pack(&came, &mut Templates::default()).guarded();
                assert_eq!(found.0.unwrap(), came.0.unwrap());
                kept += 1;
            }
        }
        assert!(kept >= 10, "only {kept} cases");
    }
}
