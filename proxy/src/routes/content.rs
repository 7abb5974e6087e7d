//! What the bodies of requests say that rules may look at.

/// What a body says that rules may look at (ollama/api/types.go).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Nothing,
    /// A layer of a model: any size, and never looked into.
    Blob,
    /// Nothing: the path names a model.
    Path,
    /// A form that names a model.
    Form,
    /// JSON of Ollama's own inference: `model`, `keep_alive`, and in this field what to answer.
    Inference(Field),
    /// JSON that names a `model`, of the compatible APIs, and perhaps how long the answer may be.
    Compatible(Length),
    /// JSON that names a `model`, which was once called `name`.
    Named,
    /// JSON that names the model to make, and in `from` another.
    Create,
    /// JSON that names models as `source` and `destination`.
    Copy,
}

/// Where a body of the compatible APIs says how many tokens its answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Nowhere: the answer isn't written by a model, or has no end that can be chosen.
    None,
    /// `max_tokens`.
    MaxTokens,
    /// `max_output_tokens`.
    MaxOutputTokens,
}

impl Length {
    /// The field's key, which every version of Ollama that has the route knows.
    pub const fn key(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::MaxTokens => Some("max_tokens"),
            Self::MaxOutputTokens => Some("max_output_tokens"),
        }
    }
}

/// A field of Ollama's own bodies that is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The model.
    Model,
    /// Its old word.
    Name,
    /// What a new model is made from.
    From,
    /// What is copied.
    Source,
    /// What a copy will be called.
    Destination,
    /// How long the model stays in memory.
    KeepAlive,
    /// What to answer.
    Prompt,
    /// What to answer.
    Messages,
    /// What to embed.
    Input,
}

/// The key of each field, in the order of [`Field`].
pub(crate) const KEYS: [&str; 9] = [
    "model",
    "name",
    "from",
    "source",
    "destination",
    "keep_alive",
    "prompt",
    "messages",
    "input",
];

impl Field {
    /// The field's key.
    pub(crate) const fn key(self) -> &'static str {
        KEYS[self as usize]
    }
}
