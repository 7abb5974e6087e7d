//! What is tried with each field: pure.

use serde_json::{Value, json};

use super::schema::{Leaf, Segment, WHOLE, smallest};
use crate::trial::SERVICE;

/// One value of one field.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The field and what is tried.
    pub(crate) name: String,
    pub(crate) leaf: Leaf,
    /// None takes the field away.
    pub(crate) value: Option<Value>,
    /// Where the API server takes it, the operator must not.
    pub(crate) is_illegal: bool,
}

impl Step {
    fn new(leaf: &Leaf, what: &str, value: Option<Value>) -> Self {
        Self {
            name: format!("{} {what}", leaf.name()),
            leaf: leaf.clone(),
            value,
            is_illegal: false,
        }
    }

    /// Takes the field away.
    pub(crate) fn unset(leaf: &Leaf) -> Self {
        Self::new(leaf, "unset", None)
    }
}

/// Every step with a field: those that the schema allows, those of them to values that mean something of their own, those
/// that it must refuse, and those that it can't tell from legal ones.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    pub(crate) allowed: Vec<Step>,
    pub(crate) meaningful: Vec<Step>,
    pub(crate) refused: Vec<Step>,
    pub(crate) beyond_the_schema: Vec<Step>,
}

/// Values that mean something, beside those at the edges.
fn meaningful(field: &str) -> Vec<Value> {
    match field {
        "replicas" => vec![json!(0), json!(1), json!(3)],
        "version" => vec![json!("no-such-version")],
        "image.repository" => vec![json!("registry.example/no/such/image")],
        "auth.apiKeys.secretRef.name" => vec![json!("missing"), json!("other-keys")],
        "auth.basic.secretRef.name" => vec![json!("users")],
        "gpu.count" => vec![json!(2), json!(64)],
        "resources" => vec![json!({"requests": {"cpu": "1000"}})],
        _ => Vec::new(),
    }
}

/// Beyond this, a number of replicas is only tried on the API server: each is a Pod.
const MOST_REPLICAS: f64 = 5.0;

impl Steps {
    pub(crate) fn of(leaf: &Leaf, now: Option<&Value>) -> Self {
        let mut steps = Self::default();
        if leaf.path.last() == Some(&Segment::Item) {
            // Its list says what happens without it.
        } else if leaf.required {
            steps.refuse(leaf, "without it", None);
        } else {
            steps.allowed.push(Step::unset(leaf));
        }
        for value in meaningful(&leaf.name()) {
            steps.mean(leaf, now, value);
        }
        match leaf.schema["type"].as_str() {
            Some("integer" | "number") => steps.numbers(leaf),
            Some("string") => steps.texts(leaf, now),
            Some("boolean") => {
                let other = now != Some(&json!(true));
                steps.allow(leaf, "the other way", Some(json!(other)));
                steps.refuse(leaf, "a text", Some(json!("perhaps")));
            }
            Some("array") => steps.lists(leaf, now),
            Some("object") => steps.maps(leaf, now),
            Some(WHOLE) => {}
            _ => steps.allow(leaf, "a number or a text", Some(json!(1))),
        }
        steps
    }

    fn allow(&mut self, leaf: &Leaf, what: &str, value: Option<Value>) {
        self.allowed.push(Step::new(leaf, what, value));
    }

    /// Unless it is so already.
    fn mean(&mut self, leaf: &Leaf, now: Option<&Value>, value: Value) {
        if now != Some(&value) {
            self.meaningful
                .push(Step::new(leaf, &value.to_string(), Some(value)));
        }
    }

    fn refuse(&mut self, leaf: &Leaf, what: &str, value: Option<Value>) {
        self.refused.push(Step::new(leaf, what, value));
    }

    fn numbers(&mut self, leaf: &Leaf) {
        let makes_pods = leaf.name().to_lowercase().contains("replicas");
        for (bound, what, beyond) in [("minimum", "at the least", -1.0), ("maximum", "at the most", 1.0)] {
            let Some(edge) = leaf.schema[bound].as_f64() else {
                continue;
            };
            let number = |number: f64| Some(json!(number as i64));
            if !makes_pods || edge <= MOST_REPLICAS {
                self.allow(leaf, what, number(edge));
            }
            self.refuse(leaf, &format!("beyond {bound}"), number(edge + beyond));
        }
        self.refuse(leaf, "a text", Some(json!("many")));
    }

    fn texts(&mut self, leaf: &Leaf, now: Option<&Value>) {
        if let Some(values) = leaf.schema["enum"].as_array() {
            for value in values {
                self.mean(leaf, now, value.clone());
            }
            self.refuse(leaf, "none of its values", Some(json!("NoneOfThem")));
            return;
        }
        let sample = smallest(leaf.field(), &leaf.schema);
        self.allow(leaf, &sample.to_string(), Some(sample));
        if leaf.schema["pattern"].is_string() {
            self.refuse(leaf, "against its pattern", Some(json!("not \u{7f} one")));
        }
        if leaf.schema["minLength"].as_u64().is_some_and(|least| least > 0) {
            self.refuse(leaf, "empty", Some(json!("")));
        }
        if let Some(most) = leaf.schema["maxLength"].as_u64() {
            let long = "a".repeat(usize::try_from(most).unwrap_or_default() + 1);
            self.refuse(leaf, "too long", Some(json!(long)));
        }
        self.refuse(leaf, "a number", Some(json!(7)));
    }

    fn lists(&mut self, leaf: &Leaf, now: Option<&Value>) {
        let items = now.and_then(Value::as_array).cloned().unwrap_or_default();
        let one = smallest(leaf.field(), &leaf.schema["items"]);
        let least = leaf.schema["minItems"].as_u64().unwrap_or(0);
        if least > 0 {
            self.refuse(leaf, "empty", Some(json!([])));
        } else {
            self.allow(leaf, "empty", Some(json!([])));
        }
        if leaf.name() == "podTemplate.volumes" {
            self.beyond_the_schema.push(Step {
                name: "podTemplate.volumes with the credentials of the service".to_owned(),
                leaf: leaf.clone(),
                value: Some(with_credentials(&items)),
                is_illegal: true,
            });
        }
        let mut more = items.clone();
        more.push(one.clone());
        self.allow(leaf, "one more", Some(json!(more)));
        if items.len() > 1 {
            self.allow(leaf, "one less", Some(json!(items[1..])));
            let backwards: Vec<_> = items.iter().rev().cloned().collect();
            self.allow(leaf, "in another order", Some(json!(backwards)));
        }
        if leaf.schema["x-kubernetes-list-type"] == "map" {
            self.refuse(leaf, "the same twice", Some(json!([one, one])));
        }
        if let Some(most) = leaf.schema["maxItems"].as_u64() {
            let many = vec![one; usize::try_from(most).unwrap_or_default() + 1];
            self.refuse(leaf, "too many", Some(json!(many)));
        }
    }

    fn maps(&mut self, leaf: &Leaf, now: Option<&Value>) {
        let mut entries = now.and_then(Value::as_object).cloned().unwrap_or_default();
        self.allow(leaf, "empty", Some(json!({})));
        let value = match leaf.schema["additionalProperties"]["type"].as_str() {
            Some("string") => json!("sample"),
            _ => json!("1"),
        };
        let key = if leaf.path.len() > 1 && leaf.name().contains("resources") {
            "example.com/sample"
        } else {
            "sample"
        };
        entries.insert(key.to_owned(), value);
        self.allow(leaf, "one more", Some(Value::Object(entries)));
        self.refuse(leaf, "a list", Some(json!(["sample"])));
    }
}

/// Volumes of which one that has a Secret has the one that the operator has made for the service.
fn with_credentials(volumes: &[Value]) -> Value {
    let mut volumes = volumes.to_vec();
    for volume in volumes.iter_mut().filter(|volume| volume["secret"].is_object()) {
        volume["secret"]["secretName"] = json!(format!("{SERVICE}-credentials"));
    }
    json!(volumes)
}
