//! JSON objects in which no name stands twice. Where one does, two readers can read two things (RFC 8259, section 4),
//! and a token that was judged by one of them would be used by the other.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// A JSON object, with each name once at every depth.
pub(super) type Object = Map<String, Value>;

/// Reads one object and nothing after it.
///
/// # Errors
/// It isn't one JSON object in UTF-8, or a name stands twice. The message quotes nothing but a name.
pub(super) fn parse_object(text: &[u8]) -> Result<Object, serde_json::Error> {
    match serde_json::from_slice(text)? {
        Unique(Value::Object(object)) => Ok(object),
        Unique(_) => Err(serde_json::Error::custom("it must be an object")),
    }
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = sequence.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Object::new();
        while let Some(name) = map.next_key::<String>()? {
            let Unique(value) = map.next_value()?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{name}` stands twice")));
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_with_each_name_once_is_read_and_nothing_else() {
        let cases = [
            (
                "an object",
                r#"{"a":[1,-2,0.5,null,true,"x"],"b":{"a":{}}}"#,
                true,
            ),
            ("space around it", " {} \n", true),
            ("a name twice", r#"{"a":1,"a":1}"#, false),
            ("a name twice, once escaped", r#"{"a":1,"\u0061":1}"#, false),
            ("a name twice further down", r#"{"a":[{"b":1,"b":2}]}"#, false),
            ("names that differ in case", r#"{"a":1,"A":1}"#, true),
            ("something after it", "{}{}", false),
            ("an array", "[]", false),
            ("a string", "\"{}\"", false),
            ("nothing", "", false),
            ("a number that is too large", r#"{"a":1e999}"#, false),
            ("a comma at the end", r#"{"a":1,}"#, false),
            ("a single quote", "{'a':1}", false),
            ("half a pair of surrogates", r#"{"a":"\ud800"}"#, false),
        ];
        for (name, text, read) in cases {
            assert_eq!(parse_object(text.as_bytes()).is_ok(), read, "{name}");
        }
        assert!(parse_object(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
        let deep = "[".repeat(1000);
        assert!(
            parse_object(format!("{{\"a\":{deep}").as_bytes()).is_err(),
            "deep"
        );
    }
}
