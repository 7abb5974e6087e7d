//! From a changed object to the OllamaServices that it concerns.

use k8s_openapi::api::core::v1::Pod;
use kube::Resource;
use kube::api::PartialObjectMeta;
use kube::runtime::reflector::Store;

use super::kept::{Came, Keep};
use super::{Guarded, Index, KeptService, kept_of};
use crate::memory::{Key, Memory, key_of};
use crate::plan::service_of;
use crate::queue::Urgency;

/// Whom a change concerns, and how urgently: one that is ready soon, unless it can wait.
pub(super) struct Concerned {
    pub(super) keys: Vec<Key>,
    pub(super) urgency: Urgency,
}

/// An OllamaService concerns itself, but for the operator's own word on it.
pub(super) fn itself(service: &Guarded, services: &Store<KeptService>, memory: &Memory) -> Concerned {
    let key = key_of(service);
    let Ok(readable) = &service.0 else {
        return Concerned {
            keys: vec![key],
            urgency: Urgency::Asked,
        };
    };
    let observed = readable
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    let urgency = if observed == readable.metadata.generation {
        Urgency::Starting
    } else {
        Urgency::Asked
    };
    let is_gone = kept_of(services, &key).is_none();
    let echo = !is_gone && memory.is_echo(&key, readable);
    Concerned {
        keys: if echo { Vec::new() } else { vec![key] },
        urgency,
    }
}

/// A child or a Pod: the one that it belongs to.
pub(super) fn by_service<T: Keep>(object: &Came<T>) -> Concerned {
    let (namespace, _) = key_of(object);
    let keys = object.service().map(|service| (namespace, service.to_owned()));
    Concerned {
        keys: keys.into_iter().collect(),
        urgency: Urgency::Starting,
    }
}

/// A Pod: the one that it belongs to. Just after kubelets were told to refresh mounts it is mostly the operator's own word to them
/// that is seen, and others may have to be told yet.
pub(super) fn by_pod(pod: &Came<Pod>, memory: &Memory) -> Concerned {
    let concerned = by_service(pod);
    let told = concerned.keys.iter().any(|key| memory.has_just_told(key));
    Concerned {
        urgency: if told { Urgency::Later } else { concerned.urgency },
        ..concerned
    }
}

/// A Secret or ConfigMap: every OllamaService in its namespace that names it, or for which it was made.
pub(super) fn by_reference<T: Resource<DynamicType = ()>>(
    naming: &Index,
    object: &PartialObjectMeta<T>,
) -> Concerned {
    let (namespace, name) = key_of(object);
    let naming = naming.naming(&namespace, &name).into_iter();
    let urgency = if service_of(&object.metadata).is_some() {
        Urgency::Starting
    } else {
        Urgency::Asked
    };
    Concerned {
        keys: naming.map(|service| (namespace.clone(), service)).collect(),
        urgency,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(labels: &Value) -> Came<Pod> {
        let sent = json!({"metadata": {"name": "a-1", "namespace": "ml", "labels": labels}});
        serde_json::from_value(sent).unwrap()
    }

    #[test]
    fn what_is_seen_of_pods_that_were_just_told_can_wait() {
        let of = |service: &str| json!({"app.kubernetes.io/instance": service});
        let key = |service: &str| ("ml".to_owned(), service.to_owned());
        let cases = [
            ("never told", of("a"), None, vec![key("a")], Urgency::Starting),
            ("just told", of("a"), Some("a"), vec![key("a")], Urgency::Later),
            (
                "another was told",
                of("a"),
                Some("b"),
                vec![key("a")],
                Urgency::Starting,
            ),
            ("a Pod of none", json!({}), Some("a"), vec![], Urgency::Starting),
        ];
        for (what, labels, told, keys, urgency) in cases {
            let memory = Memory::default();
            if let Some(told) = told {
                memory.tells(&key(told));
            }
            let concerned = by_pod(&pod(&labels), &memory);
            assert_eq!(concerned.keys, keys, "{what}");
            assert_eq!(concerned.urgency, urgency, "{what}");
        }
    }
}
