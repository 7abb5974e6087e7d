//! What a request may take, and what a client may use.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::routes::{Content, RouteClass};

/// What a request may take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: BodyLimits,
    /// How long the proxy waits. There is no limit on an answer: a generation takes what it takes. Written only where
    /// it says something, as proxies of earlier versions don't know it.
    #[serde(skip_serializing_if = "Timeouts::is_default")]
    pub timeouts: Timeouts,
}

/// Bytes of a request's body, by what the route does. The layers of models that Manage uploads have no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BodyLimits {
    /// Inference: prompts, with images and sound in them.
    pub inference: u64,
    /// Manage: a model's template, system prompt and messages.
    pub manage: u64,
    /// All others.
    pub read: u64,
}

impl BodyLimits {
    /// The most that a body of a route may have; none where there is no limit.
    pub fn of(&self, class: RouteClass, content: Content) -> Option<u64> {
        match class {
            _ if content == Content::Blob => None,
            RouteClass::Inference => Some(self.inference),
            RouteClass::Manage => Some(self.manage),
            RouteClass::Health | RouteClass::Read | RouteClass::Account => Some(self.read),
        }
    }
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            inference: 64 << 20,
            manage: 4 << 20,
            read: 64 << 10,
        }
    }
}

/// How long the proxy waits, in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// For the whole head of a request, from the accept or the end of the response before it; for HTTP/2, how long a
    /// connection may have no request. Read at start only.
    pub head_seconds: u32,
    /// For the next byte of a request's body, while nothing but the client holds it up.
    pub body_idle_seconds: u32,
    /// For a connection to the upstream. Read at start only.
    pub connect_seconds: u32,
}

impl Timeouts {
    /// The most of each.
    pub const MOST_SECONDS: u32 = 3600;

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// For the whole head of a request.
    pub const fn head(&self) -> Duration {
        Duration::from_secs(self.head_seconds as u64)
    }

    /// For the next byte of a request's body.
    pub const fn body_idle(&self) -> Duration {
        Duration::from_secs(self.body_idle_seconds as u64)
    }

    /// For a connection to the upstream.
    pub const fn connect(&self) -> Duration {
        Duration::from_secs(self.connect_seconds as u64)
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head_seconds: 60,
            body_idle_seconds: 60,
            connect_seconds: 5,
        }
    }
}

/// How much each client of a rule may use: every client has all of it for itself, whatever others of the rule use, and
/// under whatever means it shows who it is. Health routes count nowhere. What is over a limit gets 429.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.burst) || has(self.requestsPerMinute)",
    "message": "burst goes with requestsPerMinute, which says how fast it comes back",
}])))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientLimits {
    /// Requests a minute, evenly: at 60, another one each second (the generic cell rate algorithm).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = ClientLimits::MOST_REQUESTS)))]
    pub requests_per_minute: Option<NonZeroU32>,
    /// How many requests a client may make at once after a pause, before it is held to `requestsPerMinute`; as many as
    /// that without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = ClientLimits::MOST_REQUESTS)))]
    pub burst: Option<NonZeroU32>,
    /// Requests on their way at once. One is on its way until its answer's last byte, or until the client leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = ClientLimits::MOST_REQUESTS)))]
    pub concurrent: Option<NonZeroU32>,
    /// Tokens a minute, read and written, evenly: at 6000, another 100 each second. They are known when an answer has
    /// ended, so that an answer may take more than is left; the next one then waits until that is paid off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = ClientLimits::MOST_TOKENS_PER_MINUTE)))]
    pub tokens_per_minute: Option<NonZeroU64>,
    /// Tokens a day, read and written, from midnight to midnight by UTC. The answer that takes the last of them goes on to
    /// its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = ClientLimits::MOST_TOKENS_PER_DAY)))]
    pub tokens_per_day: Option<NonZeroU64>,
}

/// The most that a request may ask of a model. A field that a request doesn't have means the default of the server or the
/// model; only an answer without a length has no end, so that such a request gets `numPredict`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ceilings {
    /// Tokens of context: `options.num_ctx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = Ceilings::MOST_TOKENS)))]
    pub num_ctx: Option<NonZeroU32>,
    /// Tokens of an answer: `options.num_predict`, and `max_tokens`, `max_completion_tokens`, `max_output_tokens` of the
    /// compatible APIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = Ceilings::MOST_TOKENS)))]
    pub num_predict: Option<NonZeroU32>,
    /// How long a model stays in memory after the request, as in 30m or 1h30m: `keep_alive`, of which a negative one is
    /// for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(max = 32), regex(pattern = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"))
    )]
    pub keep_alive: Option<String>,
    /// What becomes of a request that asks for more: 403, or it is forwarded with the ceiling in place of its number.
    #[serde(default)]
    pub on_excess: OnExcess,
}

/// What becomes of a request that asks for more than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum OnExcess {
    /// 403, which names the field and the ceiling.
    #[default]
    Refuse,
    /// It is forwarded with the ceiling in place of its number.
    Clamp,
}

impl Ceilings {
    /// The highest ceiling of tokens.
    pub const MOST_TOKENS: u32 = 1_000_000_000;
}

impl ClientLimits {
    /// The highest limit of requests.
    pub const MOST_REQUESTS: u32 = 1_000_000;
    /// The highest limit of tokens a minute.
    pub const MOST_TOKENS_PER_MINUTE: u64 = 1_000_000_000;
    /// The highest limit of tokens a day.
    pub const MOST_TOKENS_PER_DAY: u64 = 1_000_000_000_000;

    /// Whether tokens have a limit.
    pub const fn counts_tokens(&self) -> bool {
        self.tokens_per_minute.is_some() || self.tokens_per_day.is_some()
    }

    /// How many requests may come at once; none where their rate has no limit.
    pub fn burst(&self) -> Option<NonZeroU32> {
        self.requests_per_minute
            .map(|per_minute| self.burst.unwrap_or(per_minute))
    }
}
