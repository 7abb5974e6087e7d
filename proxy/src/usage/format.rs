//! Where the answers of each route hold their numbers.

/// Stands in a path for any element of an array.
pub(super) const ELEMENT: &str = "[]";

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The model that answers.
    Model,
    /// Tokens read.
    Input,
    /// Tokens written.
    Output,
    /// Whether a native stream is through.
    Done,
    /// Why a choice ended; null while it goes on.
    FinishReason,
    /// Which event it is.
    Event,
}

/// A place in a document.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) path: &'static [&'static str],
    pub(super) field: Field,
}

const fn place(path: &'static [&'static str], field: Field) -> Place {
    Place { path, field }
}

/// The shapes of answers that hold numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// ollama/api/types.go, `GenerateResponse` and `ChatResponse`.
    Native,
    /// ollama/api/types.go, `EmbedResponse`.
    Embed,
    /// ollama/openai/openai.go, `ChatCompletion`, `Completion`, their chunks, and `EmbeddingList`.
    Completions,
    /// ollama/openai/responses.go.
    Responses,
    /// ollama/anthropic/anthropic.go.
    Messages,
}

const NATIVE: &[Place] = &[
    place(&["model"], Field::Model),
    place(&["done"], Field::Done),
    place(&["prompt_eval_count"], Field::Input),
    place(&["eval_count"], Field::Output),
];

const COMPLETIONS: &[Place] = &[
    place(&["model"], Field::Model),
    place(&["choices", ELEMENT, "finish_reason"], Field::FinishReason),
    place(&["usage", "prompt_tokens"], Field::Input),
    place(&["usage", "completion_tokens"], Field::Output),
];

const RESPONSES: &[Place] = &[
    place(&["type"], Field::Event),
    place(&["model"], Field::Model),
    place(&["usage", "input_tokens"], Field::Input),
    place(&["usage", "output_tokens"], Field::Output),
    place(&["response", "model"], Field::Model),
    place(&["response", "usage", "input_tokens"], Field::Input),
    place(&["response", "usage", "output_tokens"], Field::Output),
];

const MESSAGES: &[Place] = &[
    place(&["type"], Field::Event),
    place(&["model"], Field::Model),
    place(&["usage", "input_tokens"], Field::Input),
    place(&["usage", "output_tokens"], Field::Output),
    place(&["message", "model"], Field::Model),
    place(&["message", "usage", "input_tokens"], Field::Input),
];

impl Format {
    /// The format of a route's answers. `/api/embeddings`, transcriptions and images have no numbers.
    pub(super) fn of(route: &str) -> Option<Self> {
        match route {
            "/api/generate" | "/api/chat" => Some(Self::Native),
            "/api/embed" => Some(Self::Embed),
            "/v1/chat/completions" | "/v1/completions" | "/v1/embeddings" => Some(Self::Completions),
            "/v1/responses" => Some(Self::Responses),
            "/v1/messages" => Some(Self::Messages),
            _ => None,
        }
    }

    /// Where the numbers are.
    pub(super) const fn places(self) -> &'static [Place] {
        match self {
            Self::Native | Self::Embed => NATIVE,
            Self::Completions => COMPLETIONS,
            Self::Responses => RESPONSES,
            Self::Messages => MESSAGES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::ROUTES;
    use crate::routes::RouteClass;

    #[test]
    fn each_inference_route_has_a_format_or_is_known_to_have_none() {
        let without = [
            "/api/embeddings",
            "/v1/audio/transcriptions",
            "/v1/images/generations",
            "/v1/images/edits",
        ];
        for route in &ROUTES {
            let has_format = Format::of(route.pattern).is_some();
            let expected = route.class == RouteClass::Inference && !without.contains(&route.pattern);
            assert_eq!(has_format, expected, "{}", route.pattern);
        }
    }
}
