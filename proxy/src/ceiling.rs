//! The most that a body may ask of a model, and how a body that asks for more is held to it. Pure.
//!
//! A field without a value means what the server or the model has by default, which the operator of the service has
//! chosen; except that an answer without a length has no end, so that its ceiling is put in.

use std::convert::identity;
use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::ask::{AskError, KeepAlive, Object};
use crate::config::{Ceilings, OnExcess};
use crate::routes::{Content, Length};

/// Ceilings, ready to be held against bodies.
#[derive(Debug)]
pub struct Ceiling {
    num_ctx: Option<u32>,
    num_predict: Option<u32>,
    keep_alive: Option<(KeepAlive, String)>,
    on_excess: OnExcess,
}

/// A body asks for more than it may.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("may not have `{field}` over {most}")]
pub struct Over {
    field: &'static str,
    most: String,
}

/// Why a body isn't forwarded.
#[derive(Debug, PartialEq, Eq)]
pub enum CeilingError {
    /// It can't be read in one way only.
    Ask(AskError),
    /// It asks for too much.
    Over(Over),
}

impl From<AskError> for CeilingError {
    fn from(error: AskError) -> Self {
        Self::Ask(error)
    }
}

/// Fields of a body's object.
const KEYS: [&str; 5] = [
    "options",
    "keep_alive",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
];
/// Fields of `options`.
const OPTION_KEYS: [&str; 2] = ["num_ctx", "num_predict"];

/// A part of a body, and what stands there instead.
type Edit = (Range<usize>, String);

impl Ceiling {
    /// A time that can't be read is left out: validation has refused it before.
    pub fn new(ceilings: &Ceilings) -> Self {
        let Ceilings {
            num_ctx,
            num_predict,
            keep_alive,
            on_excess,
        } = ceilings;
        let time = |text: &String| Some((KeepAlive::parse(text)?, text.clone()));
        Self {
            num_ctx: num_ctx.map(Into::into),
            num_predict: num_predict.map(Into::into),
            keep_alive: keep_alive.as_ref().and_then(time),
            on_excess: *on_excess,
        }
    }

    /// The body, held to the ceilings: byte for byte as it came, but for values that are over, or missing.
    ///
    /// # Errors
    /// It asks for too much and is to be refused, or it can't be read in one way only.
    pub fn hold(&self, content: Content, body: Bytes) -> Result<Bytes, CeilingError> {
        if body.is_empty() {
            return Ok(body);
        }
        let text = std::str::from_utf8(&body).map_err(|_| AskError::NotUtf8)?;
        let edits = match content {
            Content::Inference(_) => self.edits_of_native(text)?,
            Content::Compatible(length) => self.edits_of_compatible(length, text)?,
            _ => vec![],
        };
        Ok(if edits.is_empty() {
            body
        } else {
            edited(text, edits).into()
        })
    }

    fn edits_of_native(&self, text: &str) -> Result<Vec<Edit>, CeilingError> {
        let object = Object::parse(text, &KEYS)?;
        let [options, keep_alive, ..] = object.values;
        let inner = match options.filter(|options| options.get() != NULL) {
            Some(options) => Some((options.get(), Object::parse(options.get(), &OPTION_KEYS)?)),
            None => None,
        };
        let [num_ctx, num_predict] = inner.as_ref().map_or([None; 2], |(_, inner)| inner.values);
        let mut edits = vec![
            self.held_time(text, keep_alive)?,
            self.held(text, OPTION_KEYS[0], num_ctx, self.num_ctx, identity)?,
            self.held(text, OPTION_KEYS[1], num_predict, self.num_predict, endless)?,
        ];
        if let Some(most) = self.num_predict {
            edits.push(match inner {
                Some((options, inner)) => put(
                    text,
                    options,
                    &inner,
                    "num_predict",
                    num_predict,
                    &most.to_string(),
                ),
                None => put(
                    text,
                    text,
                    &object,
                    "options",
                    options,
                    &format!("{{\"num_predict\":{most}}}"),
                ),
            });
        }
        Ok(edits.into_iter().flatten().collect())
    }

    /// Versions of Ollama know one or more of the names that the length of an answer has.
    fn edits_of_compatible(&self, length: Length, text: &str) -> Result<Vec<Edit>, CeilingError> {
        let (Some(most), Some(own)) = (self.num_predict, length.key()) else {
            return Ok(vec![]);
        };
        let object = Object::parse(text, &KEYS)?;
        let (mut edits, mut least, mut given) = (vec![], most, None);
        for (key, value) in KEYS.into_iter().zip(object.values).skip(2) {
            edits.push(self.held(text, key, value, self.num_predict, endless)?);
            let number = number(key, value)?.map(endless);
            least = number
                .filter(|number| *number < f64::from(least))
                .map_or(least, |number| number as u32);
            given = given.or(value.filter(|_| key == own));
        }
        edits.push(put(text, text, &object, own, given, &least.to_string()));
        Ok(edits.into_iter().flatten().collect())
    }

    /// What stands in place of a number, where `meant` by it is more than `most`.
    fn held(
        &self,
        text: &str,
        key: &'static str,
        value: Option<&RawValue>,
        most: Option<u32>,
        meant: fn(f64) -> f64,
    ) -> Result<Option<Edit>, CeilingError> {
        match (value, number(key, value)?, most) {
            (Some(value), Some(number), Some(most)) if meant(number) > most.into() => {
                self.over(key, most.to_string(), place(text, value.get()))
            }
            _ => Ok(None),
        }
    }

    fn held_time(&self, text: &str, value: Option<&RawValue>) -> Result<Option<Edit>, CeilingError> {
        let (Some(value), Some((most, words))) = (value, &self.keep_alive) else {
            return Ok(None);
        };
        let time: Option<KeepAlive> =
            serde_json::from_str(value.get()).map_err(|_| AskError::Type("keep_alive", KeepAlive::SHAPE))?;
        if time.is_none_or(|time| time <= *most) {
            return Ok(None);
        }
        self.over("keep_alive", format!("\"{words}\""), place(text, value.get()))
    }

    fn over(
        &self,
        field: &'static str,
        most: String,
        place: Range<usize>,
    ) -> Result<Option<Edit>, CeilingError> {
        match self.on_excess {
            OnExcess::Refuse => Err(CeilingError::Over(Over { field, most })),
            OnExcess::Clamp => Ok(Some((place, most))),
        }
    }
}

const NULL: &str = "null";

/// Ollama takes a length of nothing, or less, for one without an end.
fn endless(length: f64) -> f64 {
    if length < 1.0 { f64::INFINITY } else { length }
}

/// Null is no number, to Ollama too.
fn number(key: &'static str, value: Option<&RawValue>) -> Result<Option<f64>, AskError> {
    let number = value.map(|value| serde_json::from_str(value.get()));
    number
        .transpose()
        .map(Option::flatten)
        .map_err(|_| AskError::Type(key, "a number"))
}

/// Gives an object's field a value, where it has none.
fn put<const FIELDS: usize>(
    text: &str,
    object: &str,
    fields: &Object<'_, FIELDS>,
    key: &str,
    value: Option<&RawValue>,
    put: &str,
) -> Option<Edit> {
    if let Some(value) = value {
        return (value.get() == NULL).then(|| (place(text, value.get()), put.to_owned()));
    }
    let first = place(text, object).start + object.find('{')? + 1;
    let comma = if fields.is_empty { "" } else { "," };
    Some((first..first, format!("\"{key}\":{put}{comma}")))
}

/// Where a part of a text is in it.
fn place(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|(place, _)| place.start);
    let (mut held, mut after) = (String::with_capacity(text.len() + 64), 0);
    for (place, instead) in edits {
        held += &text[after..place.start];
        held += &instead;
        after = place.end;
    }
    held + &text[after..]
}

#[cfg(test)]
mod tests;
