//! Requests of HTTP/2 in the form that those of HTTP/1.1 have, so that all that follows knows one form only.

use std::mem;

use http::header::HOST;
use http::{HeaderValue, Request, Uri};

/// Makes the target a path, and has whom it is for in `Host` alone (RFC 9113, section 8.3.1). Where `:authority` and
/// `Host` differ both stand there, which is refused with all else that is ambiguous.
pub(super) fn in_origin_form<B>(mut request: Request<B>) -> Request<B> {
    let uri = mem::take(request.uri_mut());
    if let Some(authority) = uri.authority() {
        let headers = request.headers_mut();
        let same = |host: &HeaderValue| {
            host.as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes())
        };
        if !headers.get(HOST).is_some_and(same) {
            // An authority has only characters that a header's value may have.
            let host = HeaderValue::from_str(authority.as_str());
            headers.append(HOST, host.unwrap_or(HeaderValue::from_static("unknown")));
        }
    }
    if let Some(path_and_query) = uri.into_parts().path_and_query {
        *request.uri_mut() = Uri::from(path_and_query);
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authority_and_host_become_one() {
        /// A name, `:authority`, the `Host` headers, and what they become.
        type Case = (
            &'static str,
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
        );
        let cases: &[Case] = &[
            ("only :authority", "https://a:1/api/tags?x=1", &[], &["a:1"]),
            ("only Host", "/api/tags?x=1", &["a:1"], &["a:1"]),
            ("both", "https://a:1/api/tags?x=1", &["a:1"], &["a:1"]),
            (
                "both, in other letters",
                "https://A:1/api/tags?x=1",
                &["a:1"],
                &["a:1"],
            ),
            ("neither", "/api/tags?x=1", &[], &[]),
            ("different ones", "https://a/api/tags?x=1", &["b"], &["b", "a"]),
            ("another port", "https://a:1/api/tags?x=1", &["a"], &["a", "a:1"]),
            ("two of Host", "https://a/api/tags?x=1", &["a", "a"], &["a", "a"]),
            ("a user", "https://u@a/api/tags?x=1", &["a"], &["a", "u@a"]),
        ];
        for (name, uri, hosts, expected) in cases {
            let mut request = Request::builder().uri(*uri);
            for host in *hosts {
                request = request.header(HOST, *host);
            }
            let request = in_origin_form(request.body(()).unwrap());
            assert_eq!(request.uri(), "/api/tags?x=1", "{name}");
            let seen: Vec<_> = request.headers().get_all(HOST).iter().collect();
            assert_eq!(seen, *expected, "{name}");
        }
    }

    #[test]
    fn connect_has_no_path() {
        let request = Request::builder().method("CONNECT").uri("example.com:443");
        let request = in_origin_form(request.body(()).unwrap());
        assert_eq!(
            (request.uri().path(), request.headers()[HOST].as_bytes()),
            ("/", &b"example.com:443"[..])
        );
    }
}
