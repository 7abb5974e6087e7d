//! What a message asks for.

use super::{case, check};
use crate::backend::Backend;
use crate::proxy::{Proxy, USER, get};

#[test]
fn targets() {
    let line = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n\r\n");
    let host = |headers: &str| format!("GET /api/tags HTTP/1.1\r\n{headers}x-api-key: {USER}\r\n\r\n");
    check(vec![
        case("22: absolute form", line("GET http://a/api/tags"), &[400], 0),
        case(
            "22: absolute form of another host",
            line("DELETE http://evil/api/delete"),
            &[400],
            0,
        ),
        case("23: no Host", host(""), &[400], 0),
        case("23: two Hosts", host("Host: a\r\nHost: a\r\n"), &[400], 0),
        case("23: a user in Host", host("Host: u@a\r\n"), &[400], 0),
        case("23: a path in Host", host("Host: a/b\r\n"), &[400], 0),
        case("24: CONNECT", line("CONNECT a:443"), &[501], 0),
        case("24: TRACE", line("TRACE /api/tags"), &[501], 0),
        case("24: an asterisk", line("OPTIONS *"), &[404], 0),
        case("25: an encoded slash", line("GET /api%2Ftags"), &[404], 0),
        case("26: two slashes", line("GET //api/tags"), &[404], 0),
        case("26: two slashes inside", line("GET /api//tags"), &[404], 0),
        case("27: up and down", line("GET /api/x/../tags"), &[404], 0),
        case("27: one dot", line("GET /api/./tags"), &[404], 0),
        case("28: encoded dots", line("GET /api/x/%2e%2e/tags"), &[404], 0),
        case("29: a parameter", line("GET /api/tags;a=b"), &[404], 0),
        case("30: a backslash", line("GET /api\\tags"), &[404], 0),
        case("31: another case", line("GET /API/tags"), &[404], 0),
        case("32: a slash at the end", line("GET /api/tags/"), &[404], 0),
        case(
            "33: an encoded fragment",
            line("GET /api/tags%23/api/delete"),
            &[404],
            0,
        ),
        case(
            "34: a query that looks like a path",
            line("GET /nowhere?/api/tags"),
            &[404],
            0,
        ),
        case("35: the profiler", line("GET /debug/pprof"), &[404], 0),
        case("36: HEAD of a POST", line("HEAD /api/generate"), &[405], 0),
        case("36: an unknown method", line("BREW /api/tags"), &[405], 0),
        case("36: a method in lower case", line("get /api/tags"), &[405], 0),
        case("37: an encoded NUL", line("GET /api/tags%00"), &[404], 0),
        case(
            "37: encoded line ends",
            line("GET /api/tags%0d%0aX:%20y"),
            &[404],
            0,
        ),
        case("37: overlong UTF-8", line("GET /api%c0%aftags"), &[404], 0),
        case(
            "37: a model that leads elsewhere",
            line("GET /v1/models/..%2f..%2fapi%2fdelete"),
            &[404],
            0,
        ),
    ]);
}

#[test]
fn the_fragment_of_a_target_is_not_forwarded() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    assert_eq!(proxy.exchange(get("/api/tags#/api/delete")).status, 200, "33");
    assert_eq!(backend.lines(), ["GET /api/tags HTTP/1.1"]);
}

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
}
