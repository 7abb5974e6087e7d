//! What a request asks for, parsed once into the canonical form that rules see and that is forwarded. Nothing is
//! decoded: a path that needs decoding is no path of Ollama's.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Version};
use thiserror::Error;

use crate::routes::RouteClass;
use crate::routes::{Content, Events, Route};

/// Method and route of a request, as rules see them and as they are forwarded.
#[derive(Clone, Debug)]
pub struct Target {
    method: Method,
    route: &'static Route,
    path_and_query: PathAndQuery,
}

/// Why a request asks for nothing that could be forwarded.
#[derive(Clone, Copy, Debug, Error)]
pub enum TargetError {
    /// Ollama has no such route, or it is in no class.
    #[error("no such route")]
    NotFound,
    /// The route has other methods.
    #[error("the method isn't allowed here, only {}", .0.methods)]
    MethodNotAllowed(&'static Route),
    /// No route has this method.
    #[error("the method isn't supported")]
    MethodNotSupported,
    /// The message is ambiguous or not one that HTTP allows.
    #[error("{0}")]
    Malformed(&'static str),
}

impl Target {
    /// Reads the head of a request.
    ///
    /// # Errors
    /// The request asks for no route of Ollama's, or in a form that two readers could understand differently.
    pub fn parse(head: &Parts) -> Result<Self, TargetError> {
        check_framing(&head.headers)?;
        check_host(&head.headers, head.version)?;
        check_upgrade(&head.headers)?;
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(TargetError::MethodNotSupported);
        }
        if head.uri.scheme().is_some() || head.uri.authority().is_some() {
            return Err(TargetError::Malformed("the request target must be a path"));
        }
        let path_and_query = head.uri.path_and_query().ok_or(TargetError::NotFound)?;
        let route = Route::find(path_and_query.path()).ok_or(TargetError::NotFound)?;
        if !route.allows(&head.method) {
            return Err(TargetError::MethodNotAllowed(route));
        }
        if !path_and_query.query().is_none_or(is_plain_query) {
            return Err(TargetError::Malformed(
                "the query has characters that a query can't have",
            ));
        }
        Ok(Self {
            method: head.method.clone(),
            route,
            path_and_query: canonical(route, path_and_query),
        })
    }

    /// The method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The route's pattern, for logs and metrics.
    pub const fn route(&self) -> &'static str {
        self.route.pattern
    }

    /// Whether the route's answers may be streams of events.
    pub const fn events(&self) -> Events {
        self.route.events
    }

    /// What the route does.
    pub const fn class(&self) -> RouteClass {
        self.route.class
    }

    /// What the body says that rules may look at.
    pub const fn content(&self) -> Content {
        self.route.content
    }

    /// The model that the path names.
    pub fn model(&self) -> Option<&str> {
        (self.route.content == Content::Path)
            .then(|| self.route.parameter(self.path_and_query.path()))
            .flatten()
    }

    /// The path and query to forward.
    pub const fn path_and_query(&self) -> &PathAndQuery {
        &self.path_and_query
    }
}

/// Forwarded is the path of our own table where there is one; a parameter or a query is forwarded as it was checked.
fn canonical(route: &'static Route, received: &PathAndQuery) -> PathAndQuery {
    let own = route.path().filter(|_| received.query().is_none());
    own.unwrap_or(received).clone()
}

/// RFC 3986, section 3.4. The parser is more lenient.
fn is_plain_query(query: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte);
    query.bytes().all(plain)
}

/// hyper has decided where the body ends, and refuses what is plainly wrong (RFC 9112, section 6). Refused here is
/// what it lets pass and another reader could understand differently.
fn check_framing(headers: &HeaderMap) -> Result<(), TargetError> {
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(TargetError::Malformed("Content-Length must stand there once"));
    }
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else {
        return Ok(());
    };
    if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(TargetError::Malformed(
            "the only Transfer-Encoding is one \"chunked\"",
        ));
    }
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(TargetError::Malformed(
            "Content-Length and Transfer-Encoding exclude each other",
        ));
    }
    Ok(())
}

/// RFC 9112, section 3.2: exactly one Host in HTTP/1.1, and nothing in it but host and port.
fn check_host(headers: &HeaderMap, version: Version) -> Result<(), TargetError> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (None, None) if version < Version::HTTP_11 => Ok(()),
        (Some(_), None) => Err(TargetError::Malformed(
            "the Host header must be HOST or HOST:PORT",
        )),
        _ => Err(TargetError::Malformed("exactly one Host header is needed")),
    }
}

fn is_host(value: &HeaderValue) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte);
    value.as_bytes().iter().all(plain)
}

/// No route of Ollama's has an upgrade. `h2c` is what Java's client offers with every request: RFC 9113, section 3.1,
/// has it ignored.
fn check_upgrade(headers: &HeaderMap) -> Result<(), TargetError> {
    let harmless = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"h2c");
    if headers.get_all(UPGRADE).iter().all(harmless) {
        return Ok(());
    }
    Err(TargetError::Malformed(
        "Upgrade isn't supported: no route of Ollama's has one",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_target_is_forwarded_as_it_was_judged_or_refused() {
        const MALFORMED: &str = "malformed";
        let cases: &[(&str, &str, Result<&str, &str>)] = &[
            ("POST", "/api/chat", Ok("/api/chat")),
            ("GET", "/api/tags?ts=1795315645", Ok("/api/tags?ts=1795315645")),
            ("POST", "/v1/messages?beta=true", Ok("/v1/messages?beta=true")),
            ("GET", "/v1/models/gemma3:270m", Ok("/v1/models/gemma3:270m")),
            ("GET", "/api/tags?", Ok("/api/tags?")),
            ("GET", "/api/tags?a=%00", Ok("/api/tags?a=%00")),
            ("GET", "/api/tags?a=b\\c", Err(MALFORMED)),
            ("GET", "http://evil/api/tags", Err(MALFORMED)),
            ("GET", "/api/tags#x", Ok("/api/tags")),
            ("DELETE", "/api/%64elete", Err("404")),
            ("DELETE", "/api%2Fdelete", Err("404")),
            ("DELETE", "//api/delete", Err("404")),
            ("DELETE", "/api/./delete", Err("404")),
            ("DELETE", "/x/../api/delete", Err("404")),
            ("DELETE", "/api/delete/", Err("404")),
            ("DELETE", "/api/delete;a=b", Err("404")),
            ("DELETE", "/api/DELETE", Err("404")),
            ("GET", "/api/tags%23", Err("404")),
            ("GET", "/debug/pprof?x=/api/tags", Err("404")),
            ("GET", "/api/delete?x=/api/tags", Err("405")),
            ("GET", "/api/chat", Err("405")),
            ("HEAD", "/api/generate", Err("405")),
            ("PATCH", "/api/tags", Err("405")),
            ("OPTIONS", "*", Err("404")),
            ("TRACE", "/api/tags", Err("501")),
            ("CONNECT", "example.com:443", Err("501")),
        ];
        for (method, target, expected) in cases {
            let parsed = Target::parse(&head(method, target, &[("host", "a")]));
            let seen = match &parsed {
                Ok(target) => Ok(target.path_and_query().as_str()),
                Err(TargetError::NotFound) => Err("404"),
                Err(TargetError::MethodNotAllowed(_)) => Err("405"),
                Err(TargetError::MethodNotSupported) => Err("501"),
                Err(TargetError::Malformed(_)) => Err(MALFORMED),
            };
            assert_eq!(seen, *expected, "{method} {target}");
        }
    }

    /// A name, headers, and whether they are accepted.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);

    #[test]
    fn ambiguous_heads_are_refused() {
        let cases: &[Case<'_>] = &[
            ("one Host", &[("host", "a:1")], true),
            ("an IPv6 Host", &[("host", "[::1]:8080")], true),
            ("no Host", &[], false),
            ("two Hosts", &[("host", "a"), ("host", "a")], false),
            ("a user in Host", &[("host", "u@a")], false),
            ("a path in Host", &[("host", "a/b")], false),
            ("two hosts in one", &[("host", "a, b")], false),
            (
                "chunked",
                &[("host", "a"), ("transfer-encoding", "chunked")],
                true,
            ),
            (
                "Chunked",
                &[("host", "a"), ("transfer-encoding", "Chunked")],
                true,
            ),
            (
                "chunked twice",
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                false,
            ),
            (
                "gzip, chunked",
                &[("host", "a"), ("transfer-encoding", "gzip, chunked")],
                false,
            ),
            (
                "both framings",
                &[
                    ("host", "a"),
                    ("transfer-encoding", "chunked"),
                    ("content-length", "1"),
                ],
                false,
            ),
            (
                "one length twice",
                &[("host", "a"), ("content-length", "1"), ("content-length", "1")],
                false,
            ),
            ("a WebSocket", &[("host", "a"), ("upgrade", "websocket")], false),
            ("h2c", &[("host", "a"), ("upgrade", "h2c")], true),
            (
                "h2c and more",
                &[("host", "a"), ("upgrade", "h2c, websocket")],
                false,
            ),
        ];
        for (name, headers, accepted) in cases {
            let parsed = Target::parse(&head("GET", "/api/tags", headers));
            assert_eq!(parsed.is_ok(), *accepted, "{name}: {parsed:?}");
        }
        let mut old = head("GET", "/api/tags", &[]);
        old.version = Version::HTTP_10;
        assert!(Target::parse(&old).is_ok(), "HTTP/1.0 has no Host");
    }
}
