//! What the Pods are made of that a user has asked for: a change of it replaces the Pods, whatever the upgrade policy is.

use std::fs;

use corral_operator::render::render;
use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::{folder, of_kind, options};

/// Annotations of the Deployment: of what a user asks of the Pods, and of how the Pods are made.
fn annotations(text: &str, object: &Value) -> Option<[String; 2]> {
    let rendered = render(&serde_yaml::to_string(object).unwrap(), &options(text)).ok()?;
    let deployment: Value = serde_yaml::from_str(of_kind(&rendered, "Deployment")?).unwrap();
    let annotation = |name: &str| {
        deployment["metadata"]["annotations"][name]
            .as_str()
            .unwrap()
            .to_owned()
    };
    Some([
        annotation("corral.dev/requested"),
        annotation("corral.dev/template"),
    ])
}

/// The object with one member or element less, in each way, and where that was.
fn with_one_less(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    match value {
        Value::Mapping(members) => {
            for (key, member) in members {
                let name = key.as_str().unwrap_or_default();
                let without: Mapping = members
                    .iter()
                    .filter(|(other, _)| *other != key)
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                all.push((format!(".{name}"), without.into()));
                for (path, less) in with_one_less(member) {
                    let mut changed = members.clone();
                    changed.insert(key.clone(), less);
                    all.push((format!(".{name}{path}"), changed.into()));
                }
            }
        }
        Value::Sequence(elements) => {
            for (index, element) in elements.iter().enumerate() {
                let mut without = elements.clone();
                without.remove(index);
                all.push((format!("[{index}]"), without.into()));
                for (path, less) in with_one_less(element) {
                    let mut changed = elements.clone();
                    changed[index] = less;
                    all.push((format!("[{index}]{path}"), changed.into()));
                }
            }
        }
        _ => {}
    }
    all
}

#[test]
fn what_was_asked_for_is_whatever_changes_the_pods_and_nothing_else() {
    let (mut changes, mut unasked, mut needless) = (0, Vec::new(), Vec::new());
    for case in fs::read_dir(folder("cases")).unwrap() {
        let path = case.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let mut object = Value::deserialize(document).unwrap();
            let Some([asked, made]) = annotations(&text, &object) else {
                continue;
            };
            for (place, spec) in with_one_less(&object["spec"].clone()) {
                object["spec"] = spec;
                // Many are no longer valid.
                let Some([asked_then, made_then]) = annotations(&text, &object) else {
                    continue;
                };
                changes += usize::from(made != made_then);
                let what = || format!("{} without spec{place}", path.display());
                match (made == made_then, asked == asked_then) {
                    (false, true) => unasked.push(what()),
                    (true, false) => needless.push(what()),
                    _ => {}
                }
            }
        }
    }
    assert!(unasked.is_empty(), "{unasked:#?}");
    assert!(needless.is_empty(), "{needless:#?}");
    assert!(changes > 100, "only {changes}");
}

/// What can change besides being left out.
#[test]
fn what_leaves_the_pods_as_they_are_was_not_asked_of_them() {
    let cases = [
        (
            "a claim's size",
            "{storage: {size: 1Gi}}",
            "{storage: {size: 2Gi}}",
        ),
        (
            "what becomes of it",
            "{storage: {size: 1Gi, retain: Retain}}",
            "{storage: {size: 1Gi, retain: Delete}}",
        ),
        (
            "heartbeats",
            "{streams: {heartbeatSeconds: 10}}",
            "{streams: {heartbeatSeconds: 20}}",
        ),
        ("a volume of each Pod's own", "{}", "{storage: {ephemeral: {}}}"),
    ];
    for (name, before, after) in cases {
        let [before, after] = [before, after].map(|spec| {
            let text = format!(
                "{{apiVersion: corral.dev/v1alpha1, kind: OllamaService, metadata: {{name: x}}, spec: {spec}}}"
            );
            let object = serde_yaml::from_str(&text).unwrap();
            annotations(&text, &object).unwrap()
        });
        assert_eq!(before, after, "{name}");
    }
}

#[test]
fn a_secret_that_serves_otherwise_was_asked_for() {
    let cases = [
        ("for keys, for passwords", "apiKeys", "basic"),
        ("for passwords, for keys of ollama", "basic", "ollamaKeys"),
    ];
    for (name, before, after) in cases {
        let [before, after] = [before, after].map(|means| {
            let spec = format!("{{auth: {{{means}: {{secretRef: {{name: s}}}}}}}}");
            let text = format!(
                "{{apiVersion: corral.dev/v1alpha1, kind: OllamaService, metadata: {{name: x}}, spec: {spec}}}"
            );
            let object = serde_yaml::from_str(&text).unwrap();
            annotations(&text, &object).unwrap()
        });
        assert_ne!(before[1], after[1], "{name}: the Pods");
        assert_ne!(before[0], after[0], "{name}: what was asked");
    }
}
