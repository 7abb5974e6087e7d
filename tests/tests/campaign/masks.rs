//! What differs between two runs that are the same: pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::ground::NAMESPACE;
use crate::trial::SERVICE;

/// Fields that are random, or say when and not what.
const MASKED: [&str; 19] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "digestSince",
    "lastTransitionTime",
    "lastUpdateTime",
    "clusterIP",
    "clusterIPs",
    "nodePort",
    "healthCheckNodePort",
    // Which of the trial's volumes a claim has got.
    "volumeName",
    "pv.kubernetes.io/bound-by-controller",
    // Of versions of Secrets.
    "revision",
    "corral.dev/nudge",
    // Digests of what has uids in it, and the namespace.
    "corral.dev/plan",
    "corral.dev/requested",
    "corral.dev/template",
];

/// Fields that count how often something has changed: they tell paths apart that lead to the same place.
const COUNTERS: [&str; 4] = [
    "generation",
    "observedGeneration",
    "deployment.kubernetes.io/revision",
    "collisionCount",
];

/// Whether the counters are compared too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counters {
    /// Both runs took the same steps.
    Compared,
    /// They came there by different ways.
    Masked,
}

/// Objects by kind and name, without what may differ.
pub(crate) fn masked(objects: &[Value], namespace: &str, counters: Counters) -> BTreeMap<String, Value> {
    let mask = Mask { namespace, counters };
    objects
        .iter()
        .map(|object| {
            let kind = object["kind"].as_str().unwrap_or_default();
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let mut object = mask.value(object);
            match (kind, object.as_object_mut()) {
                ("Secret", _) => without_content(&mut object),
                ("OllamaService", _) => {}
                // What others say of it names their own objects; what of it matters is in the OllamaService's.
                (_, Some(fields)) => drop(fields.remove("status")),
                (_, None) => {}
            }
            (format!("{kind} {name}"), object)
        })
        .collect()
}

/// Which very objects there are, by kind and name.
pub(crate) fn uids(objects: &[Value]) -> BTreeMap<String, Value> {
    let uid = |object: &Value| {
        let kind = object["kind"].as_str().unwrap_or_default();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        (format!("{kind} {name}"), object["metadata"]["uid"].clone())
    };
    objects.iter().map(uid).collect()
}

struct Mask<'a> {
    namespace: &'a str,
    counters: Counters,
}

impl Mask<'_> {
    fn value(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(self.fields(fields)),
            Value::Array(list) => list.iter().map(|one| self.value(one)).collect(),
            Value::String(text) => without_hashes(&text.replace(self.namespace, NAMESPACE)).into(),
            other => other.clone(),
        }
    }

    fn fields(&self, fields: &Map<String, Value>) -> Map<String, Value> {
        let counts = |field: &str| self.counters == Counters::Masked && COUNTERS.contains(&field);
        let kept = fields
            .iter()
            .filter(|(field, _)| !MASKED.contains(&field.as_str()) && !counts(field));
        kept.map(|(field, value)| (field.clone(), self.value(value)))
            .collect()
    }
}

/// Messages name Pods and ReplicaSets, whose names have hashes in them: `x-575fb56bd9-p2648`.
fn without_hashes(text: &str) -> String {
    let words = text.split_inclusive(|one: char| !(one.is_ascii_alphanumeric() || one == '-'));
    let masked = words.map(|word| {
        let hash = word.strip_prefix(SERVICE).and_then(|rest| rest.strip_prefix('-'));
        let hash = hash.and_then(|rest| rest.split('-').next());
        match hash {
            Some(hash) if is_hash(hash) => "a Pod ",
            _ => word,
        }
    });
    masked.collect()
}

/// Kubernetes writes hashes without vowels, so that they spell nothing (k8s.io/apimachinery/pkg/util/rand).
fn is_hash(word: &str) -> bool {
    (5..=10).contains(&word.len())
        && word
            .chars()
            .all(|one| "bcdfghjklmnpqrstvwxz2456789".contains(one))
}

/// Of generated content only the length is the same each time.
fn without_content(secret: &mut Value) {
    for (_, content) in secret["data"].as_object_mut().into_iter().flatten() {
        *content = content.as_str().map_or(0, str::len).into();
    }
}

/// Where two sets of objects differ, as paths with both values.
pub(crate) fn differences(
    expected: &BTreeMap<String, Value>,
    found: &BTreeMap<String, Value>,
) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, one) in expected {
        match found.get(name) {
            None => differences.push(format!("{name} is missing")),
            Some(other) => compare(name, one, other, &mut differences),
        }
    }
    let added = found.keys().filter(|name| !expected.contains_key(*name));
    differences.extend(added.map(|name| format!("{name} should not be there")));
    differences
}

fn compare(path: &str, one: &Value, other: &Value, differences: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (field, value) in one {
                let path = format!("{path}.{field}");
                compare(
                    &path,
                    value,
                    other.get(field).unwrap_or(&Value::Null),
                    differences,
                );
            }
            let added = other.iter().filter(|(field, _)| !one.contains_key(*field));
            differences.extend(added.map(|(field, value)| format!("{path}.{field} is {value}, not there")));
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}[{index}]"), one, other, differences);
            }
        }
        (one, other) if one == other => {}
        (one, other) => differences.push(format!("{path} is {other}, not {one}")),
    }
}
