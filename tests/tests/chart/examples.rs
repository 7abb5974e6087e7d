//! The examples as a whole: nobody who applies two of them has one change the other, and the list of them is current.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kube::ResourceExt;
use kube::core::DynamicObject;
use serde::Deserialize;

use crate::helm::repository;

/// Name and text of each.
pub(crate) fn examples() -> BTreeMap<String, String> {
    let files = fs::read_dir(repository().join("docs/examples")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let named = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    named
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

#[test]
fn no_two_of_them_are_about_the_same_object() {
    let mut seen = BTreeMap::new();
    for (file, text) in examples() {
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = DynamicObject::deserialize(document).unwrap();
            let what = (object.types.clone().map(|types| types.kind), object.name_any());
            if let Some(other) = seen.insert(what.clone(), file.clone()) {
                panic!("{what:?} stands in {other} and in {file}");
            }
        }
    }
}

#[test]
fn the_list_of_them_is_whole() {
    let list = fs::read_to_string(repository().join("docs/examples/README.md")).unwrap();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| ["));
    let listed: BTreeSet<_> = rows
        .filter_map(|row| Some(row.split_once(']')?.0.to_owned()))
        .collect();
    assert_eq!(listed, examples().into_keys().collect());
}
