//! What a message asks for.

use super::{Case, case, check};
use crate::backend::Backend;
use crate::proxy::{ADMIN, Proxy, USER, get, request};

/// A request of a known client with this first line, but for the version.
fn line(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n\r\n")
}

/// First lines that all get this answer, and of which nothing arrives.
fn refused(status: &'static [u16], lines: &[(&'static str, &str)]) -> Vec<Case> {
    let cases = lines.iter().map(|(name, text)| case(name, line(text), status, 0));
    cases.collect()
}

#[test]
fn row_22_absolute_form() {
    check(refused(
        &[400],
        &[
            ("the same host", "GET http://a/api/tags"),
            ("another host", "DELETE http://evil/api/delete"),
            ("with a port", "GET http://a:80/api/tags"),
            ("HTTPS", "GET https://a/api/tags"),
            ("with a user", "GET http://u:p@a/api/tags"),
            ("another scheme", "GET file:///etc/passwd"),
            ("without a path", "GET http://a"),
            ("an authority", "GET a:80"),
        ],
    ));
}

#[test]
fn row_23_hosts() {
    let host = |headers: &str| format!("GET /api/tags HTTP/1.1\r\n{headers}x-api-key: {USER}\r\n\r\n");
    let refused = |name, headers: &str| case(name, host(headers), &[400], 0);
    check([
        refused("none", ""),
        refused("two", "Host: a\r\nHost: a\r\n"),
        refused("two that differ", "Host: a\r\nhost: b\r\n"),
        refused("a list", "Host: a, b\r\n"),
        refused("a user", "Host: u@a\r\n"),
        refused("a path", "Host: a/b\r\n"),
        refused("a scheme", "Host: http://a\r\n"),
        refused("a space", "Host: a b\r\n"),
        refused("a query", "Host: a?b\r\n"),
        refused("escaped", "Host: %61\r\n"),
        refused("a backslash", "Host: a\\b\r\n"),
        refused("no ASCII", "Host: \u{e4}\r\n"),
        case("with a port", host("Host: a:80\r\n"), &[200], 1),
    ]);
}

#[test]
fn row_24_connect_trace_and_the_asterisk() {
    check(refused(
        &[501],
        &[
            ("CONNECT", "CONNECT a:443"),
            ("TRACE", "TRACE /api/tags"),
            ("TRACE of nothing", "TRACE /nowhere"),
        ],
    ));
    check(refused(&[404], &[("OPTIONS", "OPTIONS *"), ("GET", "GET *")]));
}

#[test]
fn row_25_encoded_slashes() {
    check(refused(
        &[404],
        &[
            ("in capitals", "GET /api%2Ftags"),
            ("in small letters", "GET /api%2ftags"),
            ("twice encoded", "GET /api%252ftags"),
            ("of Unicode", "GET /api%ef%bc%8ftags"),
            ("a backslash", "GET /api%5ctags"),
        ],
    ));
}

#[test]
fn row_26_empty_segments() {
    check(refused(
        &[404],
        &[
            ("at the start", "GET //api/tags"),
            ("inside", "GET /api//tags"),
            ("like a host", "GET //a/api/tags"),
            ("very many", "GET ////////api/tags"),
        ],
    ));
}

#[test]
fn row_27_dot_segments() {
    check(refused(
        &[404],
        &[
            ("up and down", "GET /api/x/../tags"),
            ("above the root", "GET /../api/tags"),
            ("one dot", "GET /api/./tags"),
            ("at the end", "GET /api/tags/."),
            ("up at the end", "GET /api/tags/x/.."),
            ("with a parameter", "GET /api/x/..;/tags"),
            ("from an open route", "DELETE /api/tags/../delete"),
        ],
    ));
}

#[test]
fn row_28_encoded_dots() {
    check(refused(
        &[404],
        &[
            ("both", "GET /api/x/%2e%2e/tags"),
            ("in capitals", "GET /api/x/%2E%2E/tags"),
            ("one of two", "GET /api/x/.%2e/tags"),
            ("with the slash", "GET /api/x%2f..%2ftags"),
            ("twice encoded", "GET /api/x/%252e%252e/tags"),
            ("from an open route", "DELETE /api/tags/%2e%2e/delete"),
        ],
    ));
}

#[test]
fn row_29_parameters_of_segments() {
    check(refused(
        &[404],
        &[
            ("at the end", "GET /api/tags;a=b"),
            ("inside", "GET /api;a=b/tags"),
            ("nothing but the sign", "GET /api/tags;"),
            ("escaped", "GET /api/tags%3ba=b"),
        ],
    ));
}

#[test]
fn row_30_backslashes() {
    check(refused(
        &[404],
        &[
            ("for a slash", "GET /api\\tags"),
            ("at the end", "GET /api/tags\\"),
            ("up", "GET /api/x\\..\\tags"),
        ],
    ));
    check([case("first", line("GET \\api\\tags"), &[400], 0)]);
}

#[test]
fn row_31_another_case() {
    check(refused(
        &[404],
        &[
            ("capitals", "GET /API/TAGS"),
            ("one letter", "GET /api/Tags"),
            ("of the version", "GET /V1/models"),
            ("of a closed route", "DELETE /api/DELETE"),
        ],
    ));
}

#[test]
fn row_32_a_slash_at_the_end() {
    check(refused(
        &[404],
        &[
            ("one", "GET /api/tags/"),
            ("two", "GET /api/tags//"),
            ("before a query", "GET /api/tags/?a=b"),
            ("of a closed route", "DELETE /api/delete/"),
        ],
    ));
}

#[test]
fn row_33_fragments() {
    check(refused(
        &[404],
        &[
            ("encoded", "GET /api/tags%23/api/delete"),
            ("before the path ends", "GET /api#/tags"),
        ],
    ));
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for target in ["/api/tags#/api/delete", "/api/tags?a=b#/api/delete"] {
        assert_eq!(proxy.exchange(get(target)).status, 200, "{target}");
    }
    assert_eq!(
        backend.lines(),
        ["GET /api/tags HTTP/1.1", "GET /api/tags?a=b HTTP/1.1"],
        "a fragment isn't forwarded"
    );
}

#[test]
fn row_34_a_query_that_looks_like_a_path() {
    check(refused(
        &[404],
        &[
            ("of an open route", "GET /nowhere?/api/tags"),
            ("with a name", "GET /nowhere?path=/api/tags"),
            ("an escaped question mark", "GET /api/tags%3f"),
            ("of the whole target", "DELETE /nowhere?http://a/api/tags"),
        ],
    ));
    check([
        case(
            "behind a closed route",
            line("DELETE /api/delete?/api/tags"),
            &[403],
            0,
        ),
        case(
            "behind an open route",
            line("GET /api/tags?/api/delete"),
            &[200],
            1,
        ),
        case("a backslash in a query", line("GET /api/tags?a=b\\c"), &[400], 0),
        case("quotes in a query", line("GET /api/tags?a=\"b\""), &[400], 0),
    ]);
}

#[test]
fn row_35_what_is_no_route_of_ollamas() {
    check(refused(
        &[404],
        &[
            ("the profiler", "GET /debug/pprof"),
            ("a part of it", "GET /debug/pprof/heap"),
            ("variables", "GET /debug/vars"),
            ("metrics", "GET /metrics"),
            ("the proxy's own status", "GET /status"),
            ("its health", "GET /livez"),
            ("a file", "GET /etc/passwd"),
            ("a version to come", "GET /v2/models"),
        ],
    ));
}

#[test]
fn row_36_methods() {
    let overridden = |header: &str| {
        format!(
            "POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{header}: DELETE\r\nContent-Length: 2\r\n\r\n{{}}"
        )
    };
    check(refused(
        &[405],
        &[
            ("HEAD of a POST", "HEAD /api/generate"),
            ("GET of a POST", "GET /api/pull"),
            ("POST of a GET", "POST /api/tags"),
            ("POST of a DELETE", "POST /api/delete"),
            ("an unknown one", "BREW /api/tags"),
            ("of WebDAV", "PROPFIND /api/tags"),
            ("in small letters", "get /api/tags"),
        ],
    ));
    // None of these headers is forwarded: Ollama sees the method that was judged.
    check([
        case("an override", overridden("X-HTTP-Method-Override"), &[200], 1),
        case("another override", overridden("X-Method-Override"), &[200], 1),
        case(
            "one in the query",
            line("GET /api/tags?_method=DELETE"),
            &[200],
            1,
        ),
        case("no token", line("GET,POST /api/tags"), &[400], 0),
    ]);
}

#[test]
fn row_37_bytes_that_a_path_can_not_have() {
    check(refused(
        &[404],
        &[
            ("an encoded NUL", "GET /api/tags%00"),
            ("encoded line ends", "GET /api/tags%0d%0aX:%20y"),
            ("an encoded space", "GET /api/tags%20"),
            ("overlong UTF-8", "GET /api%c0%aftags"),
            ("overlong dots", "GET /api/%c0%ae%c0%ae/tags"),
            ("half an escape", "GET /api/tags%2"),
            ("an escape that is none", "GET /api/tags%zz"),
            ("an escaped letter", "GET /api/%74ags"),
            (
                "a model that leads elsewhere",
                "GET /v1/models/..%2f..%2fapi%2fdelete",
            ),
        ],
    ));
    let raw = |bytes: &[u8]| {
        [
            b"GET /api",
            bytes,
            b" HTTP/1.1\r\nHost: a\r\nx-api-key: ",
            USER.as_bytes(),
            b"\r\n\r\n",
        ]
        .concat()
    };
    check([
        case("raw overlong UTF-8", raw(b"\xc0\xaftags"), &[400], 0),
        case("raw Latin-1", raw(b"/t\xe4gs"), &[400], 0),
        case("raw UTF-8", raw("/t\u{e4}gs".as_bytes()), &[404], 0),
    ]);
}

/// What nobody has shown a credential for tells nothing of what there is.
#[test]
fn without_a_credential_every_target_gets_the_same_answer() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut bodies = Vec::new();
    for line in [
        "GET /api/tags",
        "DELETE /api/delete",
        "GET /nowhere",
        "GET http://evil/api/tags",
        "TRACE /api/tags",
        "OPTIONS *",
        "GET /api/%64elete",
        "PUT /api/chat",
    ] {
        let answer = proxy.exchange(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status, 401, "{line}");
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(
        bodies,
        ["{\"error\":\"unauthorized: a valid credential is needed\"}\n"]
    );
    assert_eq!(backend.lines().len(), 0);
    assert_eq!(
        proxy
            .exchange(request("DELETE", "/api/delete", ADMIN, "{}"))
            .status,
        200
    );
}
