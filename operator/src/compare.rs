//! Whether what there is already says all that should be said: then nothing is written.

use serde_json::{Map, Value};

use crate::quantity;

/// Whether a live object has everything that the desired one says. What the API server and others add is left alone.
pub fn covers(live: &Value, desired: &Value) -> bool {
    covers_at(Some(live), desired, "", None)
}

/// How a text is read where it is a quantity.
type Read = fn(&str) -> Option<i128>;

/// The field is that in which the values are; none, for the elements of a list.
fn covers_at(live: Option<&Value>, desired: &Value, field: &str, read: Option<Read>) -> bool {
    match (live, desired) {
        (Some(Value::Object(live)), Value::Object(desired)) => covers_object(live, desired, read),
        (Some(Value::Array(live)), Value::Array(desired)) => covers_list(live, desired, field),
        (Some(Value::String(live)), Value::String(desired)) => {
            live == desired || read.is_some_and(|read| same_quantity(live, desired, read))
        }
        (Some(live), desired) => live == desired,
        (None, desired) => is_empty(desired),
    }
}

fn covers_object(live: &Map<String, Value>, desired: &Map<String, Value>, read: Option<Read>) -> bool {
    desired.iter().all(|(field, desired)| {
        let read = read_of(field).or(read);
        covers_at(live.get(field), desired, field, read) || is_dropped(field, live.get(field), desired)
    })
}

/// How quantities in a field are read: with the precision in which the API server keeps them.
fn read_of(field: &str) -> Option<Read> {
    match field {
        "limits" | "requests" => Some(quantity::thousandths),
        "averageValue" | "divisor" | "sizeLimit" | "tolerance" => Some(quantity::billionths),
        _ => None,
    }
}

/// The API server drops maps that are empty, which only their names tell from objects without a field: those stay.
fn is_dropped(field: &str, live: Option<&Value>, desired: &Value) -> bool {
    const MAPS: [&str; 6] = [
        "annotations",
        "labels",
        "limits",
        "matchLabels",
        "nodeSelector",
        "requests",
    ];
    live.is_none() && MAPS.contains(&field) && desired.as_object().is_some_and(Map::is_empty)
}

/// Lists of things that have a key (containers, volumes, variables) may have more of them, as admission webhooks add; every
/// other list is a value as a whole. Whatever has the key of a wanted thing has to be as that is: of two variables of one
/// name, the last counts.
fn covers_list(live: &[Value], desired: &[Value], field: &str) -> bool {
    let covers = |live: &Value, desired: &Value| covers_at(Some(live), desired, "", None);
    let by_key =
        key_in(field).filter(|key| !desired.is_empty() && desired.iter().all(|one| one[*key].is_string()));
    let Some(key) = by_key else {
        return live.len() == desired.len()
            && live
                .iter()
                .zip(desired)
                .all(|(live, desired)| covers(live, desired));
    };
    desired.iter().all(|desired| {
        let mut same = live.iter().filter(|live| live[key] == desired[key]).peekable();
        same.peek().is_some() && same.all(|live| covers(live, desired))
    })
}

/// What tells the elements of a list apart, as server-side apply does (`x-kubernetes-list-map-keys`). Names do in most, even
/// where it goes by ports; in some lists of what has names nothing does.
fn key_in(field: &str) -> Option<&'static str> {
    match field {
        "backendRefs" | "parentRefs" => None,
        "ownerReferences" => Some("uid"),
        "volumeMounts" => Some("mountPath"),
        _ => Some("name"),
    }
}

/// The API server drops empty lists, maps and texts.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

fn same_quantity(one: &str, other: &str, read: Read) -> bool {
    matches!((read(one), read(other)), (Some(one), Some(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_live_object_covers_what_it_says_already() {
        let cases = [
            ("the same", json!({"a": 1}), json!({"a": 1}), true),
            ("a default added", json!({"a": 1, "b": 2}), json!({"a": 1}), true),
            ("another value", json!({"a": 2}), json!({"a": 1}), false),
            ("a field gone", json!({}), json!({"a": 1}), false),
            ("an empty text dropped", json!({}), json!({"a": ""}), true),
            ("an empty list dropped", json!({}), json!({"a": []}), true),
            (
                "an empty map dropped",
                json!({}),
                json!({"matchLabels": {}}),
                true,
            ),
            ("a map gone", json!({}), json!({"matchLabels": {"a": "b"}}), false),
            (
                "an empty object is something",
                json!({}),
                json!({"emptyDir": {}}),
                false,
            ),
            (
                "a quantity in canonical form",
                json!({"limits": {"cpu": "1"}}),
                json!({"limits": {"cpu": "1000m"}}),
                true,
            ),
            (
                "another quantity",
                json!({"limits": {"cpu": "1"}}),
                json!({"limits": {"cpu": "1001m"}}),
                false,
            ),
            (
                "no quantity elsewhere",
                json!({"value": "1"}),
                json!({"value": "1000m"}),
                false,
            ),
            (
                "a size",
                json!({"sizeLimit": "1Gi"}),
                json!({"sizeLimit": "1024Mi"}),
                true,
            ),
            (
                "an autoscaler's target",
                json!({"averageValue": "1k"}),
                json!({"averageValue": "1000"}),
                true,
            ),
            (
                "a request, which is kept in thousandths",
                json!({"requests": {"cpu": "1m"}}),
                json!({"requests": {"cpu": "0.5m"}}),
                true,
            ),
            (
                "a size, which is kept more exactly",
                json!({"sizeLimit": "1m"}),
                json!({"sizeLimit": "0.5m"}),
                false,
            ),
            (
                "a divisor",
                json!({"divisor": "1Mi"}),
                json!({"divisor": "1024Ki"}),
                true,
            ),
            (
                "a tolerance",
                json!({"tolerance": "100m"}),
                json!({"tolerance": "0.10"}),
                true,
            ),
            (
                "one volume at two paths",
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]}),
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]}),
                true,
            ),
            (
                "a path less",
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}),
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]}),
                false,
            ),
            (
                "a path of another volume's",
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]}),
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "a", "mountPath": "/b"}]}),
                false,
            ),
            (
                "a mount added",
                json!({"volumeMounts": [{"name": "a", "mountPath": "/b"}, {"name": "a", "mountPath": "/a"}]}),
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}),
                true,
            ),
            (
                "two listeners of one Gateway",
                json!({"parentRefs": [{"name": "g", "sectionName": "a", "group": "d"}, {"name": "g", "sectionName": "b"}]}),
                json!({"parentRefs": [{"name": "g", "sectionName": "a"}, {"name": "g", "sectionName": "b"}]}),
                true,
            ),
            (
                "a Gateway beside one of its listeners",
                json!({"parentRefs": [{"name": "g", "sectionName": "a"}]}),
                json!({"parentRefs": [{"name": "g", "sectionName": "a"}, {"name": "g"}]}),
                false,
            ),
            (
                "a way to something else added",
                json!({"backendRefs": [{"name": "a"}, {"name": "b"}]}),
                json!({"backendRefs": [{"name": "a"}]}),
                false,
            ),
            (
                "another owner of the same name",
                json!({"ownerReferences": [{"name": "x", "uid": "2"}, {"name": "x", "uid": "1"}]}),
                json!({"ownerReferences": [{"name": "x", "uid": "1"}]}),
                true,
            ),
            (
                "a variable said twice",
                json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
                json!({"env": [{"name": "A", "value": "1"}]}),
                false,
            ),
            (
                "a container added",
                json!([{"name": "a"}, {"name": "b"}]),
                json!([{"name": "b"}]),
                true,
            ),
            (
                "a container gone",
                json!([{"name": "a"}]),
                json!([{"name": "b"}]),
                false,
            ),
            ("an argument added", json!(["a", "b"]), json!(["a"]), false),
            (
                "a rule added",
                json!([{"ports": []}, {"ports": []}]),
                json!([{"ports": []}]),
                false,
            ),
            (
                "a default in a list",
                json!([{"port": 1, "protocol": "TCP"}]),
                json!([{"port": 1}]),
                true,
            ),
        ];
        for (name, live, desired, expected) in cases {
            assert_eq!(covers(&live, &desired), expected, "{name}");
        }
    }
}
