//! The fields of an OllamaService's spec, as its definition has them: pure.

use anyhow::{Context, Result};
use corral_operator::crd;
use serde_json::{Map, Value, json};

/// Stands for the type of what has fields of its own, which are tried one by one; as a whole it is only taken away.
pub(crate) const WHOLE: &str = "whole";

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Field(String),
    /// The first item of a list.
    Item,
}

/// A field, as a path from the spec and what the definition says of it.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) path: Vec<Segment>,
    pub(crate) schema: Value,
    /// Its parent can't be without it.
    pub(crate) required: bool,
}

impl Leaf {
    /// The path as text: `auth.jwt[].issuer`.
    pub(crate) fn name(&self) -> String {
        let mut name = String::new();
        for segment in &self.path {
            match segment {
                Segment::Field(field) if name.is_empty() => name.push_str(field),
                Segment::Field(field) => name.push_str(&format!(".{field}")),
                Segment::Item => name.push_str("[]"),
            }
        }
        name
    }

    /// The last field of the path.
    pub(crate) fn field(&self) -> &str {
        let fields = self.path.iter().rev().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field.as_str()),
            Segment::Item => None,
        });
        fields.into_iter().next().unwrap_or_default()
    }
}

/// The schema of the spec.
pub(crate) fn spec() -> Result<Value> {
    let definition = serde_json::to_value(crd::definition())?;
    let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
    schema.cloned().context("the definition has no spec")
}

/// Every field that is a value, a list or a map.
pub(crate) fn leaves(schema: &Value) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    walk(&mut leaves, &mut Vec::new(), schema, false);
    leaves
}

fn walk(leaves: &mut Vec<Leaf>, path: &mut Vec<Segment>, schema: &Value, required: bool) {
    if let Some(properties) = schema["properties"].as_object() {
        let needed = |field: &str| {
            let fields = schema["required"].as_array().into_iter().flatten();
            fields.into_iter().any(|one| one == field)
        };
        if !path.is_empty() && !required {
            leaves.push(Leaf {
                path: path.clone(),
                schema: json!({"type": WHOLE}),
                required,
            });
        }
        for (field, schema) in properties {
            path.push(Segment::Field(field.clone()));
            walk(leaves, path, schema, needed(field));
            path.pop();
        }
        return;
    }
    leaves.push(Leaf {
        path: path.clone(),
        schema: schema.clone(),
        required,
    });
    if schema["type"] == "array" {
        path.push(Segment::Item);
        walk(leaves, path, &schema["items"], true);
        path.pop();
    }
}

/// What a spec has there.
pub(crate) fn get<'a>(spec: &'a Value, path: &[Segment]) -> Option<&'a Value> {
    path.iter().try_fold(spec, |value, segment| match segment {
        Segment::Field(field) => value.get(field),
        Segment::Item => value.get(0),
    })
}

/// How much of the way to it a spec has.
pub(crate) fn depth(spec: &Value, path: &[Segment]) -> usize {
    let there = |length: &usize| get(spec, &path[..*length]).is_some();
    (1..=path.len()).take_while(there).count()
}

/// Puts a value there, or takes away what is there. What the path leads through is made as small as the schema allows.
pub(crate) fn set(spec: &mut Value, schema: &Value, path: &[Segment], value: Option<Value>) {
    let Some((first, rest)) = path.split_first() else {
        if let Some(value) = value {
            *spec = value;
        }
        return;
    };
    match first {
        Segment::Field(field) => {
            let schema = &schema["properties"][field];
            let Some(fields) = spec.as_object_mut() else {
                return;
            };
            match (rest.is_empty(), value) {
                (true, None) => drop(fields.remove(field)),
                (_, value) => {
                    let below = fields
                        .entry(field.clone())
                        .or_insert_with(|| smallest(field, schema));
                    set(below, schema, rest, value);
                }
            }
        }
        Segment::Item => {
            let schema = &schema["items"];
            let Some(items) = spec.as_array_mut() else { return };
            if items.is_empty() {
                items.push(smallest("", schema));
            }
            match (rest.is_empty(), value) {
                (true, None) => drop(items.remove(0)),
                (_, value) => set(&mut items[0], schema, rest, value),
            }
        }
    }
}

/// The smallest value that a schema allows, as far as that says it.
pub(crate) fn smallest(field: &str, schema: &Value) -> Value {
    if let Some(one) = schema["enum"].get(0) {
        return one.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.filter_map(Value::as_str);
            let fields =
                fields.map(|field| (field.to_owned(), smallest(field, &schema["properties"][field])));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Some("array") => json!([smallest(field, &schema["items"])]),
        Some("integer") => json!(
            schema["minimum"]
                .as_f64()
                .map_or(1, |minimum| minimum.max(1.0) as i64)
        ),
        Some("number") => json!(1),
        Some("boolean") => json!(true),
        Some(_) => json!(text(field)),
        None => json!(1),
    }
}

/// A text that means something in a field of that name.
fn text(field: &str) -> &'static str {
    match field {
        "issuer" => "https://idp.example",
        "jwksURI" => "https://idp.example/keys",
        "hosts" | "hostnames" => "ollama.example",
        "allowedCIDRs" | "trustedProxies" | "loadBalancerSourceRanges" => "10.0.0.0/8",
        "allowedOrigins" => "https://app.example",
        "topologyKey" => "kubernetes.io/zone",
        "mountPath" => "/sample",
        "size" | "sizeLimit" => "1Gi",
        "operator" => "Exists",
        "effect" => "NoSchedule",
        "keepAlive" | "loadTimeout" => "10m",
        "request" | "backendRequest" => "10s",
        "notAfter" => "2030-01-31T00:00:00Z",
        "httpsProxy" => "http://proxy.example:3128",
        "hsaOverrideGfxVersion" => "10.3.0",
        "digest" => "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "resourceName" => "example.com/gpu",
        "ip" | "nameservers" => "192.0.2.9",
        "secretName" | "name" | "key" => "sample",
        _ => "sample-text",
    }
}
