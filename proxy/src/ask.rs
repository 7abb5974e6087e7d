//! What a JSON body asks for, as far as rules look at it. Pure.
//!
//! Ollama's decoder takes the last of several equal keys, and a key in any case for the one that it knows
//! (Go, encoding/json). A body in which that would matter is refused: what was judged is what Ollama sees.

mod keep_alive;
mod object;

use serde::Deserialize;
use thiserror::Error;

use crate::models::name::CanonicalName;
use crate::routes::{Content, Field, KEYS};
pub(crate) use keep_alive::KeepAlive;
pub(crate) use object::Object;

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The models that it names.
    pub models: Vec<CanonicalName>,
    /// There is nothing to answer, and the model is to leave the memory.
    pub unloads: bool,
}

/// Why a body isn't forwarded: it can't be read, or two readers could read it differently.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AskError {
    /// It isn't UTF-8, which JSON is (RFC 8259, section 8.1).
    #[error("the body must be JSON in UTF-8")]
    NotUtf8,
    /// It isn't one JSON object, or one in which a key stands twice or in other letters.
    #[error("the body must be one JSON object, each key once: {0}")]
    Malformed(String),
    /// A field has a value of another kind.
    #[error("`{0}` must be {1}")]
    Type(&'static str, &'static str),
    /// Two names of the model, and they differ.
    #[error("`model` and `name` must be one model: `name` is the old word for `model`")]
    Differ,
}

impl Ask {
    /// Reads a whole body. One without a byte asks for nothing, as Ollama says itself.
    ///
    /// # Errors
    /// It can't be read in one way only.
    pub fn of_body(content: Content, body: &[u8]) -> Result<Self, AskError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let text = std::str::from_utf8(body).map_err(|_| AskError::NotUtf8)?;
        let fields = Fields(Object::parse(text, &KEYS)?);
        Ok(Self {
            models: fields.models(content)?,
            unloads: fields.unloads(content)?,
        })
    }

    /// Reads the model that a path names.
    pub fn of_path(model: Option<&str>) -> Self {
        Self {
            models: model.and_then(CanonicalName::parse).into_iter().collect(),
            unloads: false,
        }
    }
}

/// The fields of a body.
struct Fields<'a>(Object<'a, { KEYS.len() }>);

impl Fields<'_> {
    fn models(&self, content: Content) -> Result<Vec<CanonicalName>, AskError> {
        let named = match content {
            Content::Nothing | Content::Path | Content::Blob | Content::Form => vec![],
            Content::Inference(_) | Content::Compatible(_) => vec![self.name(Field::Model)?],
            Content::Named => vec![self.model_or_name()?],
            Content::Create => vec![self.model_or_name()?, self.name(Field::From)?],
            Content::Copy => vec![self.name(Field::Source)?, self.name(Field::Destination)?],
        };
        Ok(named.into_iter().flatten().collect())
    }

    fn model_or_name(&self) -> Result<Option<CanonicalName>, AskError> {
        match (self.name(Field::Model)?, self.name(Field::Name)?) {
            (Some(model), Some(name)) if model != name => Err(AskError::Differ),
            (model, name) => Ok(model.or(name)),
        }
    }

    /// An empty name is none, to Ollama too.
    fn name(&self, field: Field) -> Result<Option<CanonicalName>, AskError> {
        const SHAPE: &str = "a model as in `ollama pull`: [HOST/][NAMESPACE/]NAME[:TAG]";
        let wrong = || AskError::Type(field.key(), SHAPE);
        let text: Option<String> = self.value(field, SHAPE)?;
        match text.as_deref() {
            None | Some("") => Ok(None),
            Some(name) => CanonicalName::parse(name).map(Some).ok_or_else(wrong),
        }
    }

    fn unloads(&self, content: Content) -> Result<bool, AskError> {
        let Content::Inference(input) = content else {
            return Ok(false);
        };
        let keep_alive: Option<KeepAlive> = self.value(Field::KeepAlive, KeepAlive::SHAPE)?;
        Ok(self.is_empty(input) && keep_alive.is_some_and(KeepAlive::is_none))
    }

    /// Whether there is nothing in it to answer. An empty string has one spelling only.
    fn is_empty(&self, field: Field) -> bool {
        let Some(value) = self.0.values[field as usize] else {
            return true;
        };
        let inner = value
            .get()
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        matches!(value.get(), "\"\"" | "null") || inner.is_some_and(|inner| inner.trim_ascii().is_empty())
    }

    fn value<'a, T: Deserialize<'a>>(
        &'a self,
        field: Field,
        shape: &'static str,
    ) -> Result<Option<T>, AskError> {
        match self.0.values[field as usize] {
            None => Ok(None),
            Some(value) => serde_json::from_str(value.get()).map_err(|_| AskError::Type(field.key(), shape)),
        }
    }
}

#[cfg(test)]
mod tests;
