//! Calls from pages of other origins (Fetch standard, section 3.3, "CORS protocol"). Pure.
//!
//! A browser asks first, without a credential, whether a page may send what it wants to, and shows the page an answer
//! only if the answer names the page's origin. `Access-Control-Allow-Credentials` is never sent: a page has the
//! credential itself, or none.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use crate::config::Cors;
use crate::headers::is_forwarded;
use crate::identify::CREDENTIAL_HEADERS;
use crate::routes::Route;

const EVERY: HeaderValue = HeaderValue::from_static("*");

/// Which origins may call.
#[derive(Debug)]
pub struct CorsRules {
    /// None: every one.
    origins: Option<Vec<OriginPattern>>,
    max_age: HeaderValue,
}

/// A page's leave to call. Only [`CorsRules::grant`] makes one.
#[derive(Debug)]
pub struct Grant {
    origin: HeaderValue,
    max_age: HeaderValue,
}

impl CorsRules {
    /// The rules of a validated configuration.
    pub fn new(cors: &Cors) -> Self {
        let Cors {
            allowed_origins,
            max_age_seconds,
        } = cors;
        let every = allowed_origins.iter().any(|origin| EVERY == origin.as_str());
        let origins = || {
            allowed_origins
                .iter()
                .filter_map(|text| OriginPattern::parse(text))
        };
        Self {
            origins: (!every).then(|| origins().collect()),
            max_age: (*max_age_seconds).into(),
        }
    }

    /// What a request's page may; none where no page calls, or one that may not.
    pub fn grant(&self, headers: &HeaderMap) -> Option<Grant> {
        let mut said = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (said.next(), said.next()) else {
            return None;
        };
        let origin = match &self.origins {
            None => EVERY,
            Some(origins) => {
                let text = origin.to_str().ok()?;
                origins.iter().find(|pattern| pattern.matches(text))?;
                origin.clone()
            }
        };
        Some(Grant {
            origin,
            max_age: self.max_age.clone(),
        })
    }
}

impl Grant {
    /// Lets the page see an answer, whatever it is.
    pub fn note(self, headers: &mut HeaderMap) {
        if self.origin != EVERY {
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EVERY);
    }

    /// The answer to a browser that asks what the page may; none where it asks for something else, or for what is no
    /// route.
    pub fn preflight(&self, head: &Parts) -> Option<Response<Bytes>> {
        let asked = &head.headers;
        if head.method != Method::OPTIONS || !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let route = Route::find(head.uri.path())?;
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            VARY,
            HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(route.methods),
        );
        if let Some(allowed) = allowed_headers(asked) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        Some(response)
    }
}

/// Those of the headers asked for that carry a credential or go on to Ollama.
fn allowed_headers(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let names: Vec<_> = asked
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| CREDENTIAL_HEADERS.contains(name) || is_forwarded(name))
        .collect();
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::try_from(names.join(", "))
        .ok()
        .filter(|list| !list.is_empty())
}

/// An origin, or all those that differ in the first label of their host.
#[derive(Debug, PartialEq, Eq)]
pub struct OriginPattern {
    /// The whole origin, or all up to the label.
    before: String,
    /// All behind the label; none where there is no such label.
    after: Option<String>,
}

impl OriginPattern {
    /// Reads `SCHEME://[*.]HOST[:PORT]`; none where no browser writes an origin so.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (is_any, authority) = match rest.strip_prefix("*.") {
            Some(authority) => (true, authority),
            None => (false, rest),
        };
        if !is_scheme(scheme) || !is_authority(scheme, authority) {
            return None;
        }
        Some(if is_any {
            Self {
                before: format!("{scheme}://"),
                after: Some(format!(".{authority}")),
            }
        } else {
            Self {
                before: text.to_owned(),
                after: None,
            }
        })
    }

    fn matches(&self, origin: &str) -> bool {
        let Self { before, after } = self;
        let Some(after) = after else {
            return origin == before;
        };
        origin
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after))
            .is_some_and(is_label)
    }
}

fn is_scheme(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(plain)
}

/// A host, with a port where it isn't the scheme's own.
fn is_authority(scheme: &str, text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (is_host, port) = match bracketed {
        Some((address, rest)) => (
            address.parse::<std::net::Ipv6Addr>().is_ok(),
            (!rest.is_empty()).then_some(rest),
        ),
        None => {
            let end = text.find(':').unwrap_or(text.len());
            let (host, rest) = text.split_at(end);
            (host.split('.').all(is_label), (!rest.is_empty()).then_some(rest))
        }
    };
    is_host && port.is_none_or(|port| is_port(scheme, port))
}

fn is_port(scheme: &str, text: &str) -> bool {
    let own = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let port = text
        .strip_prefix(':')
        .and_then(|digits| digits.parse::<u16>().ok());
    port.is_some_and(|port| text == format!(":{port}") && Some(port) != own)
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests;
