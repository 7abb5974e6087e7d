//! The fields of a JSON object that are looked at, in the one way in which it can be read.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::AskError;

/// The text of each field's value, in the order of their keys; of the rest nothing is kept.
pub(crate) struct Object<'a, const FIELDS: usize> {
    /// The values.
    pub(crate) values: [Option<&'a RawValue>; FIELDS],
    /// Whether it has no field at all.
    pub(crate) is_empty: bool,
}

impl<'a, const FIELDS: usize> Object<'a, FIELDS> {
    /// Reads the fields with these keys, which are lower-case ASCII, from a whole text.
    ///
    /// # Errors
    /// It isn't one object, or one of the keys stands twice or in other letters.
    pub(crate) fn parse(text: &'a str, keys: &'static [&'static str; FIELDS]) -> Result<Self, AskError> {
        let mut reader = serde_json::Deserializer::from_str(text);
        Fields(keys)
            .deserialize(&mut reader)
            .and_then(|object| reader.end().map(|()| object))
            .map_err(|error| AskError::Malformed(error.to_string()))
    }
}

struct Fields<const FIELDS: usize>(&'static [&'static str; FIELDS]);

impl<'de, const FIELDS: usize> DeserializeSeed<'de> for Fields<FIELDS> {
    type Value = Object<'de, FIELDS>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const FIELDS: usize> Visitor<'de> for Fields<FIELDS> {
    type Value = Object<'de, FIELDS>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self(keys) = self;
        let mut object = Object {
            values: [None; FIELDS],
            is_empty: true,
        };
        while let Some(field) = map.next_key_seed(Key(keys))? {
            object.is_empty = false;
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if object.values[field].is_some() {
                return Err(Error::custom(format_args!("`{}` stands twice", keys[field])));
            }
            object.values[field] = Some(map.next_value()?);
        }
        Ok(object)
    }
}

/// A key: its place among those that are looked at, if it is one of them.
struct Key(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        let Self(keys) = self;
        match keys.iter().position(|known| folds_to(key, known)) {
            Some(field) if key != keys[field] => Err(E::custom(format_args!(
                "`{}` must be written like this",
                keys[field]
            ))),
            field => Ok(field),
        }
    }
}

/// Whether Go takes a key for the known one, which is lower-case ASCII (encoding/json/fold.go).
fn folds_to(key: &str, known: &str) -> bool {
    let fold = |character: char| match character {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(fold).eq(known.chars())
}
