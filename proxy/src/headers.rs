//! The headers that cross the proxy. Pure functions.
//!
//! Of a request only what Ollama or its compatible APIs read is forwarded: a list of what to strip would always lack
//! the next credential or identity header. Of a response all but the hop-by-hop ones.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION,
    CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_TYPE, HOST, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    PRAGMA, RANGE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who called, for the upstream.
#[derive(Debug)]
pub struct Forwarded {
    /// The client's address.
    pub address: HeaderValue,
    /// `http` or `https`.
    pub protocol: HeaderValue,
    /// The Host that the client asked for.
    pub host: Option<HeaderValue>,
}

/// The headers of the forwarded request: those received, without what may not cross. `host` is the upstream's own.
pub fn for_upstream(received: HeaderMap, host: HeaderValue, forwarded: Forwarded) -> HeaderMap {
    let mut headers = received;
    let named = connection_options(&headers);
    let crosses = |name: &HeaderName| is_forwarded(name) && !names(&named, name);
    let kept_back = headers.keys().filter(|name| !crosses(name) && **name != HOST);
    for name in kept_back.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
    headers.insert(HOST, host);
    headers.insert(X_REAL_IP, forwarded.address.clone());
    headers.insert(X_FORWARDED_FOR, forwarded.address);
    headers.insert(X_FORWARDED_PROTO, forwarded.protocol);
    if let Some(host) = forwarded.host {
        headers.insert(X_FORWARDED_HOST, host);
    }
    headers
}

/// What Ollama and the APIs that it speaks read from a request, what describes its body, and what traces it.
/// `Content-Length` and `Transfer-Encoding` are the framing that hyper has checked and writes anew.
pub fn is_forwarded(name: &HeaderName) -> bool {
    static EXACT: [HeaderName; 15] = [
        ACCEPT,
        ACCEPT_ENCODING,
        ACCEPT_LANGUAGE,
        CACHE_CONTROL,
        CONTENT_DISPOSITION,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        PRAGMA,
        RANGE,
        TRANSFER_ENCODING,
        USER_AGENT,
    ];
    const BY_NAME: [&str; 4] = ["x-request-id", "traceparent", "tracestate", "idempotency-key"];
    const BY_PREFIX: [&str; 3] = ["anthropic-", "openai-", "x-stainless-"];
    EXACT.contains(name)
        || BY_NAME.contains(&name.as_str())
        || BY_PREFIX.iter().any(|prefix| name.as_str().starts_with(prefix))
}

/// The headers of the response, made fit for the client's connection. A stream asks proxies on its way not to
/// buffer it (`X-Accel-Buffering`, nginx ngx_http_proxy_module).
pub fn for_client(headers: &mut HeaderMap) {
    if headers.keys().any(|name| OF_ONE_HOP.contains(name)) {
        remove_those_of_one_hop(headers);
    }
    if !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
}

/// What speaks of one connection, not of the message (RFC 9110, section 7.6.1).
static OF_ONE_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

fn remove_those_of_one_hop(headers: &mut HeaderMap) {
    for option in connection_options(headers).iter().flat_map(options) {
        // Framing that an upstream calls hop-by-hop is still framing.
        if !option.eq_ignore_ascii_case("content-length") {
            headers.remove(option);
        }
    }
    for name in &OF_ONE_HOP {
        headers.remove(name);
    }
}

/// The media type of a `Content-Type`, without its parameters (RFC 9110, section 8.3.1).
pub fn media_type(content_type: &HeaderValue) -> Option<&str> {
    Some(content_type.to_str().ok()?.split(';').next()?.trim())
}

/// The values of `Connection`: what they name belongs to one hop (RFC 9110, section 7.6.1).
fn connection_options(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(CONNECTION).iter().cloned().collect()
}

fn options(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value
        .to_str()
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .filter(|option| !option.is_empty())
}

/// Framing can't be named away: a body without its length would be read as the next request.
fn names(connection: &[HeaderValue], name: &HeaderName) -> bool {
    if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
        return false;
    }
    connection
        .iter()
        .flat_map(options)
        .any(|option| option.eq_ignore_ascii_case(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        headers
    }

    fn forwarded() -> Forwarded {
        Forwarded {
            address: HeaderValue::from_static("192.0.2.1"),
            protocol: HeaderValue::from_static("http"),
            host: Some(HeaderValue::from_static("ollama.example")),
        }
    }

    #[test]
    fn a_request_header_crosses_or_not() {
        let cases: &[(&str, bool)] = &[
            ("content-type", true),
            ("content-length", true),
            ("content-encoding", true),
            ("accept", true),
            ("user-agent", true),
            ("anthropic-version", true),
            ("anthropic-beta", true),
            ("openai-organization", true),
            ("x-stainless-retry-count", true),
            ("x-request-id", true),
            ("traceparent", true),
            ("authorization", false),
            ("x-ollama-token", false),
            ("x-api-key", false),
            ("api-key", false),
            ("cookie", false),
            ("proxy-authorization", false),
            ("proxy-connection", false),
            ("origin", false),
            ("referer", false),
            ("sec-fetch-site", false),
            ("forwarded", false),
            ("x-forwarded-user", false),
            ("x-forwarded-uri", false),
            ("x-original-url", false),
            ("x-remote-user", false),
            ("x_api_key", false),
            ("x_forwarded_for", false),
            ("content_length", false),
            ("x-http-method-override", false),
            ("keep-alive", false),
            ("te", false),
            ("trailer", false),
            ("upgrade", false),
            ("expect", false),
            ("connection", false),
        ];
        for (name, crosses) in cases {
            let sent = for_upstream(
                headers(&[(name, "1")]),
                HeaderValue::from_static("localhost:11434"),
                forwarded(),
            );
            assert_eq!(sent.contains_key(*name), *crosses, "{name}");
        }
    }

    #[test]
    fn identity_is_written_afresh() {
        let received = headers(&[
            ("host", "evil"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "203.0.113.9"),
            (
                "connection",
                "x-forwarded-for, x-real-ip, host, content-length, accept",
            ),
            ("content-length", "3"),
            ("accept", "text/plain"),
            ("x-request-id", "one"),
            ("x-request-id", "two"),
        ]);
        let sent = for_upstream(received, HeaderValue::from_static("localhost:11434"), forwarded());
        let expected = [
            ("host", vec!["localhost:11434"]),
            ("x-forwarded-for", vec!["192.0.2.1"]),
            ("x-real-ip", vec!["192.0.2.1"]),
            ("x-forwarded-proto", vec!["http"]),
            ("x-forwarded-host", vec!["ollama.example"]),
            ("content-length", vec!["3"]),
            ("accept", vec![]),
            ("x-request-id", vec!["one", "two"]),
        ];
        for (name, values) in expected {
            let seen: Vec<_> = sent
                .get_all(name)
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect();
            assert_eq!(seen, values, "{name}");
        }
    }

    #[test]
    fn a_response_loses_its_hop() {
        let mut response = headers(&[
            ("connection", "keep-alive, x-internal"),
            ("keep-alive", "timeout=5"),
            ("x-internal", "1"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("content-type", "application/x-ndjson"),
        ]);
        for_client(&mut response);
        let left: Vec<_> = response.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-type", "x-accel-buffering"]);
    }
}
