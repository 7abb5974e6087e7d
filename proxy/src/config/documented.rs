//! docs/standalone.md is true: its file is one that can work, and it has every field that there is.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::Value;

use super::Config;
use super::validate::validate;

/// What the operator alone writes, for models whose Modelfile it couldn't read.
const FOR_THE_OPERATOR: [&str; 1] = ["models[].problem"];
/// A field that no section has.
const UNKNOWN: &str = "no such field";

fn document() -> &'static str {
    let text = include_str!("../../../docs/standalone.md");
    let (_, rest) = text.split_once("```yaml\n").unwrap();
    rest.split_once("```").unwrap().0
}

fn read() -> Config {
    serde_yaml::from_str(document()).unwrap()
}

#[test]
fn the_documented_file_can_work() {
    validate(&read()).unwrap();
}

#[test]
fn the_documented_defaults_are_those_that_there_are() {
    let documented = read();
    let default = Config::default();
    assert_eq!(documented.listen, default.listen);
    assert_eq!(documented.upstream, default.upstream);
    assert_eq!(documented.credentials.require, default.credentials.require);
    assert_eq!(
        documented.credentials.anonymous,
        Some(super::Anonymous::default())
    );
    assert_eq!(documented.limits, default.limits);
    assert_eq!(documented.network.proxy_protocol, default.network.proxy_protocol);
    assert_eq!(documented.streams.ask_for_usage, default.streams.ask_for_usage);
    assert_eq!(documented.parallel_pulls, default.parallel_pulls);
    assert_eq!(documented.prune_models, default.prune_models);
    assert_eq!(documented.log, default.log);
    assert_eq!(documented.shutdown, default.shutdown);
}

#[test]
fn the_documented_file_has_every_field() {
    let whole: Value = serde_yaml::from_str(document()).unwrap();
    let mut sections = BTreeMap::new();
    compare(&whole, &|value| value, "", &mut sections);
    let missing: Vec<_> = sections
        .iter()
        .flat_map(|(section, Section { known, shown })| {
            known
                .difference(shown)
                .map(move |field| format!("{section}{field}"))
        })
        .filter(|field| !FOR_THE_OPERATOR.contains(&field.as_str()))
        .collect();
    assert!(missing.is_empty(), "docs/standalone.md lacks {missing:?}");
    assert!(sections.len() > 20, "only {:?}", sections.keys());
}

/// The fields of a section, over all items where it stands in a list.
#[derive(Default)]
struct Section {
    known: BTreeSet<String>,
    shown: BTreeSet<String>,
}

/// Notes the fields of the section `value` at `path` and of all below it. `within` puts a section in its place in the file.
fn compare(
    value: &Value,
    within: &dyn Fn(Value) -> Value,
    path: &str,
    sections: &mut BTreeMap<String, Section>,
) {
    match value {
        Value::Mapping(fields) => {
            let mut wrong = fields.clone();
            wrong.insert(UNKNOWN.into(), Value::Null);
            let error = serde_yaml::from_value::<Config>(within(Value::Mapping(wrong)))
                .expect_err(path)
                .to_string();
            let section = sections.entry(path.to_owned()).or_default();
            section.known.extend(expected(&error));
            section
                .shown
                .extend(fields.keys().filter_map(Value::as_str).map(str::to_owned));
            for (name, below) in fields {
                let within = |value| {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), value);
                    within(Value::Mapping(fields))
                };
                compare(
                    below,
                    &within,
                    &format!("{path}{}.", name.as_str().unwrap()),
                    sections,
                );
            }
        }
        Value::Sequence(items) => {
            let path = format!("{}[].", path.trim_end_matches('.'));
            for item in items {
                compare(
                    item,
                    &|value| within(Value::Sequence(vec![value])),
                    &path,
                    sections,
                );
            }
        }
        _ => {}
    }
}

/// The fields that serde names when it refuses one that it doesn't know.
fn expected(error: &str) -> impl Iterator<Item = String> {
    let (_, names) = error
        .split_once(&format!("unknown field `{UNKNOWN}`, expected "))
        .unwrap_or_else(|| panic!("{error}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned)
}
