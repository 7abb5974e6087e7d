//! What is done for streamed answers of the compatible APIs.

use serde::{Deserialize, Serialize};

/// Streams of server-sent events: those of `/v1/chat/completions`, `/v1/completions`, `/v1/responses` and
/// `/v1/messages`. Ollama's own streams (`/api/chat`, `/api/generate`) are lines of JSON, which have no room for
/// anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Streams {
    /// After so many seconds of silence a line that clients ignore is sent, so that what lies between doesn't take the
    /// stream for dead while a model loads or thinks. Nothing without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 3600)))]
    pub heartbeat_seconds: Option<u32>,
    /// Whether Ollama is asked for the tokens of a stream of completions whose client doesn't ask. The client sees
    /// nothing of it.
    pub ask_for_usage: bool,
}

impl Streams {
    /// Most seconds between two heartbeats: whatever cuts silent streams does so much earlier.
    pub const MOST_HEARTBEAT_SECONDS: u32 = 3600;
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            heartbeat_seconds: None,
            ask_for_usage: true,
        }
    }
}
