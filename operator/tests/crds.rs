//! The committed definition is the one that the types make.

use std::fs;
use std::path::Path;

use corral_operator::crd::{self, GPU_RESOURCES, OWNED_VARIABLES, OWNED_VOLUMES};

#[test]
fn the_committed_definition_is_current() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/ollamaservices.corral.dev.yaml");
    let current = serde_yaml::to_string(&crd::definition()).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&committed, &current).unwrap();
    }
    let committed = fs::read_to_string(committed).unwrap_or_default();
    assert!(
        committed == current,
        "UPDATE_GOLDEN=1 cargo test -p corral-operator writes it anew"
    );
}

#[test]
fn rules_name_every_name_that_is_the_operators() {
    let definition = serde_json::to_value(crd::definition()).unwrap();
    let cases = [
        ("runtime/properties/env", OWNED_VARIABLES.as_slice()),
        ("resources", &GPU_RESOURCES),
        ("podTemplate/properties/volumes", &OWNED_VOLUMES),
    ];
    for (field, owned) in cases {
        let rule = definition.pointer(&format!(
            "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/{field}/x-kubernetes-validations/0"
        ));
        let rule = rule.unwrap();
        for name in owned {
            assert!(
                rule["rule"].as_str().unwrap().contains(&format!("'{name}'")),
                "{field}: {name}"
            );
            assert!(
                rule["message"].as_str().unwrap().contains(name),
                "{field}: {name}"
            );
        }
    }
}

/// Of a variable that is given twice one would be ignored without a word.
#[test]
fn the_rule_on_variables_given_twice_names_every_field() {
    let owned = ["contextLength", "env", "keepAlive", "numParallel"];
    let definition = serde_json::to_value(crd::definition()).unwrap();
    let runtime = definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/runtime")
        .unwrap();
    let rule = runtime["x-kubernetes-validations"][0]["rule"].as_str().unwrap();
    let fields = runtime["properties"].as_object().unwrap().keys();
    for field in fields.filter(|field| !owned.contains(&field.as_str())) {
        assert!(rule.contains(&format!("has(self.{field})")), "{field}");
    }
}
