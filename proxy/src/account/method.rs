//! Names of methods, as log and metrics have them.

use http::Method;

/// A method that no standard knows, or none.
pub(super) const OTHER: &str = "OTHER";

/// Names of methods are words of the client's: only the known ones are repeated.
pub(super) fn name(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 9] = [
        (&Method::GET, "GET"),
        (&Method::POST, "POST"),
        (&Method::HEAD, "HEAD"),
        (&Method::DELETE, "DELETE"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::OPTIONS, "OPTIONS"),
        (&Method::CONNECT, "CONNECT"),
        (&Method::TRACE, "TRACE"),
    ];
    KNOWN
        .iter()
        .find(|(known, _)| *known == method)
        .map_or(OTHER, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_methods_are_named() {
        let cases = [
            ("GET", "GET"),
            ("DELETE", "DELETE"),
            ("get", "OTHER"),
            ("SECRET-KEY", "OTHER"),
        ];
        for (method, expected) in cases {
            assert_eq!(
                name(&Method::from_bytes(method.as_bytes()).unwrap()),
                expected,
                "{method}"
            );
        }
    }
}
