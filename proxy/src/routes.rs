//! Ollama's routes by class (ollama/server/routes.go). What is not here is denied to everyone.

mod content;

use std::sync::OnceLock;

use http::Method;
use http::uri::PathAndQuery;
use serde::{Deserialize, Serialize};

pub(crate) use content::KEYS;
pub use content::{Content, Field, Length};

/// A route of Ollama.
#[derive(Debug)]
pub struct Route {
    /// The path, or its pattern where the last segment is a parameter; as in logs and metrics.
    pub pattern: &'static str,
    /// What may stand in the pattern's last segment; none where the pattern is the path itself.
    parameter: Option<fn(&str) -> bool>,
    /// The methods that Ollama answers there, as an `Allow` header has them.
    pub methods: &'static str,
    /// What it does.
    pub class: RouteClass,
    /// What its body says that rules may look at.
    pub content: Content,
    /// Whether its answers may be streams of events.
    pub events: Events,
    /// The pattern where it is the path, ready to be forwarded.
    path: OnceLock<PathAndQuery>,
}

/// Ollama's routes by what they do (ollama/server/routes.go). A route in no class is denied to everyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum RouteClass {
    /// Is it there: `/`, `/api/version`. Every client that has a valid credential may ask.
    Health,
    /// Look at models: list, show, what is loaded.
    Read,
    /// Use models: generate, chat, embed.
    Inference,
    /// Change models: pull, push, create, copy, delete, blobs.
    Manage,
    /// Ollama's own account and cloud routes.
    Account,
}

impl RouteClass {
    /// The name, as in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Health => "Health",
            Self::Read => "Read",
            Self::Inference => "Inference",
            Self::Manage => "Manage",
            Self::Account => "Account",
        }
    }
}

/// Whether answers may be streams of events (HTML, section 9.2). Ollama's own streams are lines of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Events {
    /// Never.
    None,
    /// They may.
    Sent,
    /// They may, and hold the answer's tokens where the request asks for them (`stream_options.include_usage`).
    SentWithUsage,
}

const fn exact(methods: &'static str, pattern: &'static str, class: RouteClass) -> Route {
    Route {
        pattern,
        parameter: None,
        methods,
        class,
        content: Content::Nothing,
        events: Events::None,
        path: OnceLock::new(),
    }
}

const fn with_parameter(
    methods: &'static str,
    pattern: &'static str,
    parameter: fn(&str) -> bool,
    class: RouteClass,
) -> Route {
    Route {
        pattern,
        parameter: Some(parameter),
        methods,
        class,
        content: Content::Nothing,
        events: Events::None,
        path: OnceLock::new(),
    }
}

impl Route {
    const fn with(mut self, content: Content) -> Self {
        self.content = content;
        self
    }

    const fn sending(mut self, events: Events) -> Self {
        self.events = events;
        self
    }
}

use RouteClass::{Account, Health, Inference, Manage, Read};

/// Every route, the busiest first. A path stands here once: all its methods are of one class.
pub static ROUTES: [Route; 32] = [
    exact("POST", "/api/chat", Inference).with(Content::Inference(Field::Messages)),
    exact("POST", "/api/generate", Inference).with(Content::Inference(Field::Prompt)),
    exact("POST", "/v1/chat/completions", Inference)
        .with(Content::Compatible(Length::MaxTokens))
        .sending(Events::SentWithUsage),
    exact("POST", "/v1/messages", Inference)
        .with(Content::Compatible(Length::MaxTokens))
        .sending(Events::Sent),
    exact("POST", "/v1/responses", Inference)
        .with(Content::Compatible(Length::MaxOutputTokens))
        .sending(Events::Sent),
    exact("POST", "/v1/completions", Inference)
        .with(Content::Compatible(Length::MaxTokens))
        .sending(Events::SentWithUsage),
    exact("POST", "/v1/embeddings", Inference).with(Content::Compatible(Length::None)),
    exact("POST", "/api/embed", Inference).with(Content::Inference(Field::Input)),
    exact("POST", "/api/embeddings", Inference).with(Content::Inference(Field::Prompt)),
    exact("POST", "/v1/audio/transcriptions", Inference).with(Content::Form),
    exact("POST", "/v1/images/generations", Inference).with(Content::Compatible(Length::None)),
    exact("POST", "/v1/images/edits", Inference).with(Content::Compatible(Length::None)),
    exact("GET, HEAD", "/", Health),
    exact("GET, HEAD", "/api/version", Health),
    exact("GET", "/api/status", Health),
    exact("GET, HEAD", "/api/tags", Read),
    exact("GET", "/api/ps", Read),
    exact("POST", "/api/show", Read).with(Content::Named),
    exact("GET", "/v1/models", Read),
    with_parameter("GET", "/v1/models/:model", is_model_segment, Read).with(Content::Path),
    exact("GET", "/api/experimental/model-recommendations", Read),
    exact("POST", "/api/pull", Manage).with(Content::Named),
    exact("POST", "/api/push", Manage).with(Content::Named),
    exact("POST", "/api/create", Manage).with(Content::Create),
    exact("POST", "/api/copy", Manage).with(Content::Copy),
    exact("DELETE", "/api/delete", Manage).with(Content::Named),
    with_parameter("HEAD, POST", "/api/blobs/:digest", is_digest, Manage).with(Content::Blob),
    exact("POST", "/api/me", Account),
    exact("POST", "/api/signout", Account),
    with_parameter("DELETE", "/api/user/keys/:key", is_key, Account),
    exact("POST", "/api/experimental/web_search", Account),
    exact("POST", "/api/experimental/web_fetch", Account),
];

impl Route {
    /// The route of a path, byte for byte.
    pub fn find(path: &str) -> Option<&'static Self> {
        ROUTES.iter().find(|route| route.matches(path))
    }

    fn matches(&self, path: &str) -> bool {
        let Some(parameter) = self.parameter else {
            return self.pattern == path;
        };
        let fixed = self
            .pattern
            .rfind(':')
            .map_or(self.pattern, |colon| &self.pattern[..colon]);
        path.strip_prefix(fixed).is_some_and(parameter)
    }

    /// The path's part that the pattern leaves open.
    pub fn parameter<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.parameter?;
        path.rsplit_once('/').map(|(_, parameter)| parameter)
    }

    /// Whether Ollama answers `method` here.
    pub fn allows(&self, method: &Method) -> bool {
        let mut allowed = self.methods.split(',').map(str::trim_start);
        allowed.any(|allowed| allowed == method.as_str())
    }

    /// The path where the pattern is one, with no parameter in it.
    pub fn path(&self) -> Option<&PathAndQuery> {
        let path = || self.path.get_or_init(|| PathAndQuery::from_static(self.pattern));
        self.parameter.is_none().then(path)
    }
}

/// A model without host and namespace: Ollama's router takes one segment here, and no slash in any spelling.
fn is_model_segment(segment: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    let first = segment.as_bytes().first();
    segment.len() <= 200
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        && segment.bytes().all(character)
        && !segment.contains("..")
}

/// `sha256:HEX` or `sha256-HEX` (ollama/manifest/paths.go).
fn is_digest(segment: &str) -> bool {
    let hexadecimal = segment
        .strip_prefix("sha256:")
        .or_else(|| segment.strip_prefix("sha256-"));
    hexadecimal.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A public key in URL-safe base64 (ollama/api/client.go, `Disconnect`).
fn is_key(segment: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    (1..=512).contains(&segment.len()) && segment.bytes().all(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_match_exactly_or_not_at_all() {
        let digest = format!("/api/blobs/sha256:{}", "a".repeat(64));
        let dashed = format!("/api/blobs/sha256-{}", "A".repeat(64));
        let cases = [
            ("/", Some("/")),
            ("/api/tags", Some("/api/tags")),
            ("/api/tags/", None),
            ("/API/tags", None),
            ("/api//tags", None),
            ("/api", None),
            ("", None),
            ("/v1/models", Some("/v1/models")),
            ("/v1/models/", None),
            ("/v1/models/gemma3:270m", Some("/v1/models/:model")),
            ("/v1/models/llama3.2", Some("/v1/models/:model")),
            ("/v1/models/user/model", None),
            ("/v1/models/user%2Fmodel", None),
            ("/v1/models/..", None),
            ("/v1/models/a..b", None),
            ("/v1/models/.a", None),
            ("/v1/models/:model", None),
            (&digest, Some("/api/blobs/:digest")),
            (&dashed, Some("/api/blobs/:digest")),
            ("/api/blobs/sha256:abc", None),
            ("/api/blobs/../delete", None),
            ("/api/user/keys/AAAA-_", Some("/api/user/keys/:key")),
            ("/api/user/keys/", None),
            ("/debug/pprof", None),
        ];
        for (path, expected) in cases {
            assert_eq!(Route::find(path).map(|route| route.pattern), expected, "{path}");
        }
    }

    #[test]
    fn every_route_is_documented_with_its_class() {
        let (_, section) = include_str!("../../docs/security.md")
            .split_once("## Classes of routes")
            .unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        for class in [Health, Read, Inference, Manage, Account] {
            let of_class = ROUTES.iter().filter(|route| route.class == class);
            let routes: Vec<_> = of_class
                .map(|route| format!("`{} {}`", route.methods, route.pattern))
                .collect();
            let name = class.name();
            let row = section
                .lines()
                .find(|line| line.starts_with(&format!("| {name} |")))
                .expect(name);
            let expected = format!("| {} |", routes.join(", "));
            assert!(row.ends_with(&expected), "{name}: {expected}");
        }
    }

    #[test]
    fn a_path_stands_once() {
        for route in &ROUTES {
            assert_eq!(
                ROUTES
                    .iter()
                    .filter(|other| other.pattern == route.pattern)
                    .count(),
                1,
                "{}",
                route.pattern
            );
        }
    }

    #[test]
    fn methods_are_the_listed_ones() {
        let cases = [
            ("/api/tags", Method::HEAD, true),
            ("/api/tags", Method::POST, false),
            ("/api/delete", Method::DELETE, true),
            ("/api/delete", Method::POST, false),
            ("/api/chat", Method::HEAD, false),
            ("/", Method::OPTIONS, false),
        ];
        for (path, method, expected) in cases {
            assert_eq!(
                Route::find(path).unwrap().allows(&method),
                expected,
                "{method} {path}"
            );
        }
    }
}
