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

use crate::trace::X_REQUEST_ID;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const PROXY_AUTHENTICATE: HeaderName = HeaderName::from_static("proxy-authenticate");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
static REQUEST_ID: HeaderName = X_REQUEST_ID;
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who called, for the upstream.
#[derive(Debug)]
pub struct Forwarded<'request> {
    /// What its log may call the request.
    pub request_id: &'request HeaderValue,
    /// The client's address.
    pub address: HeaderValue,
    /// `http` or `https`.
    pub protocol: HeaderValue,
    /// The Host that the client asked for.
    pub host: Option<&'request HeaderValue>,
}

/// The headers of the forwarded request: those received, without what may not cross. `host` is the upstream's own. How
/// the body is framed is said where it is sent.
pub fn for_upstream<'request>(
    received: &'request HeaderMap,
    host: &'request HeaderValue,
    forwarded: &'request Forwarded<'_>,
) -> impl Iterator<Item = (&'request HeaderName, &'request HeaderValue)> {
    let Forwarded {
        request_id,
        address,
        protocol,
        host: asked_for,
    } = forwarded;
    let named = connection_options(received);
    let crosses = move |name: &HeaderName| is_forwarded(name) && *name != REQUEST_ID && !names(&named, name);
    let own = [
        (&HOST, host),
        (&REQUEST_ID, *request_id),
        (&X_REAL_IP, address),
        (&X_FORWARDED_FOR, address),
        (&X_FORWARDED_PROTO, protocol),
    ];
    let asked_for = asked_for.iter().map(|host| (&X_FORWARDED_HOST, *host));
    own.into_iter()
        .chain(asked_for)
        .chain(received.iter().filter(move |(name, _)| crosses(name)))
}

/// What Ollama and the APIs that it speaks read from a request, what describes its body, and what traces it.
pub fn is_forwarded(name: &HeaderName) -> bool {
    static EXACT: [HeaderName; 13] = [
        ACCEPT,
        ACCEPT_ENCODING,
        ACCEPT_LANGUAGE,
        CACHE_CONTROL,
        CONTENT_DISPOSITION,
        CONTENT_ENCODING,
        CONTENT_LANGUAGE,
        CONTENT_TYPE,
        IF_MODIFIED_SINCE,
        IF_NONE_MATCH,
        PRAGMA,
        RANGE,
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

fn names(connection: &[HeaderValue], name: &HeaderName) -> bool {
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

    /// What is sent for what was received.
    fn sent(received: &[(&str, &str)]) -> HeaderMap {
        let host = HeaderValue::from_static("localhost:11434");
        let (id, asked_for) = (
            HeaderValue::from_static("an-id"),
            HeaderValue::from_static("ollama.example"),
        );
        let received = headers(received);
        let forwarded = Forwarded {
            request_id: &id,
            address: HeaderValue::from_static("192.0.2.1"),
            protocol: HeaderValue::from_static("http"),
            host: Some(&asked_for),
        };
        let mut sent = HeaderMap::new();
        for (name, value) in for_upstream(&received, &host, &forwarded) {
            sent.append(name, value.clone());
        }
        sent
    }

    #[test]
    fn a_request_header_crosses_or_not() {
        let cases: &[(&str, bool)] = &[
            ("content-type", true),
            ("content-encoding", true),
            ("accept", true),
            ("user-agent", true),
            ("anthropic-version", true),
            ("anthropic-beta", true),
            ("openai-organization", true),
            ("x-stainless-retry-count", true),
            ("traceparent", true),
            ("content-length", false),
            ("transfer-encoding", false),
            ("x-request-id", false),
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
            let sent = sent(&[(name, "1")]);
            let received = sent.get_all(*name).iter().any(|value| value == "1");
            assert_eq!(received, *crosses, "{name}");
        }
    }

    #[test]
    fn identity_is_written_afresh() {
        let sent = sent(&[
            ("host", "evil"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "203.0.113.9"),
            ("connection", "x-forwarded-for, x-real-ip, host, accept"),
            ("accept", "text/plain"),
            ("x-request-id", "one"),
            ("x-request-id", "two"),
        ]);
        let expected = [
            ("host", vec!["localhost:11434"]),
            ("x-forwarded-for", vec!["192.0.2.1"]),
            ("x-real-ip", vec!["192.0.2.1"]),
            ("x-forwarded-proto", vec!["http"]),
            ("x-forwarded-host", vec!["ollama.example"]),
            ("accept", vec![]),
            ("x-request-id", vec!["an-id"]),
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
