//! Whether what there is already says all that should be said: then nothing is written.

use serde_json::{Map, Value};

/// Whether a live object has everything that the desired one says. What the API server and others add is left alone.
pub fn covers(live: &Value, desired: &Value) -> bool {
    covers_at(Some(live), desired, false)
}

fn covers_at(live: Option<&Value>, desired: &Value, quantities: bool) -> bool {
    match (live, desired) {
        (Some(Value::Object(live)), Value::Object(desired)) => covers_object(live, desired, quantities),
        (Some(Value::Array(live)), Value::Array(desired)) => covers_list(live, desired),
        (Some(Value::String(live)), Value::String(desired)) => {
            live == desired || quantities && same_quantity(live, desired)
        }
        (Some(live), desired) => live == desired,
        (None, desired) => is_empty(desired),
    }
}

fn covers_object(live: &Map<String, Value>, desired: &Map<String, Value>, quantities: bool) -> bool {
    desired.iter().all(|(field, desired)| {
        let quantities = quantities
            || matches!(
                field.as_str(),
                "averageValue" | "limits" | "requests" | "sizeLimit"
            );
        covers_at(live.get(field), desired, quantities) || is_dropped(field, live.get(field), desired)
    })
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

/// Lists of named things (containers, volumes, variables) may have more of them, as admission webhooks add; every other list
/// is a value as a whole.
fn covers_list(live: &[Value], desired: &[Value]) -> bool {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    if !desired.is_empty() && desired.iter().all(|one| name(one).is_some()) {
        return desired.iter().all(|desired| {
            let live = live.iter().find(|live| name(live) == name(desired));
            live.is_some_and(|live| covers_at(Some(live), desired, false))
        });
    }
    live.len() == desired.len()
        && live
            .iter()
            .zip(desired)
            .all(|(live, desired)| covers_at(Some(live), desired, false))
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

fn same_quantity(one: &str, other: &str) -> bool {
    matches!((quantity(one), quantity(other)), (Some(one), Some(other)) if one == other)
}

/// A Kubernetes quantity in thousandths, the smallest unit that the API server keeps (apimachinery/pkg/api/resource).
pub fn quantity(text: &str) -> Option<i128> {
    let digits = text
        .find(|one: char| !(one.is_ascii_digit() || one == '.'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (factor, divisor) = scale(suffix)?;
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let tens = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    Some(mantissa.checked_mul(1000)?.checked_mul(factor)? / tens.checked_mul(divisor)?)
}

fn scale(suffix: &str) -> Option<(i128, i128)> {
    const DECIMAL: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let power = |list: [&str; 7]| {
        list.iter()
            .position(|one| *one == suffix)
            .and_then(|power| u32::try_from(power).ok())
    };
    match suffix {
        "m" => Some((1, 1000)),
        _ => match (power(DECIMAL), power(BINARY)) {
            (Some(power), _) => Some((1000_i128.pow(power), 1)),
            (None, Some(power)) => Some((1024_i128.pow(power), 1)),
            (None, None) => {
                let exponent: u32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
                Some((10_i128.checked_pow(exponent)?, 1))
            }
        },
    }
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

    #[test]
    fn quantities_are_compared_by_value() {
        let cases = [
            ("1", Some(1000)),
            ("1000m", Some(1000)),
            ("0.5", Some(500)),
            ("1.5Gi", Some(1536 * 1024 * 1024 * 1000)),
            ("1536Mi", Some(1536 * 1024 * 1024 * 1000)),
            ("1k", Some(1_000_000)),
            ("1e3", Some(1_000_000)),
            ("1E", Some(10_i128.pow(21))),
            ("", None),
            ("Gi", None),
            ("1x", None),
            ("-1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(quantity(text), expected, "{text}");
        }
    }
}
