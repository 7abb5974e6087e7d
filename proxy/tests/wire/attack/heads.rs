//! What a head may be.

use super::{SMUGGLED, case, check, get_with, post};
use crate::proxy::{USER, get};

#[test]
fn row_18_folded_lines() {
    check([
        case("a header", get_with("Accept: a\r\n b"), &[400], 0),
        case("a header, with a tab", get_with("Accept: a\r\n\tb"), &[400], 0),
        case("a length", post("Content-Length:\r\n 2", "{}"), &[400], 0),
        case(
            "an empty line with a space",
            get_with("Accept: a\r\n \r\nX: b"),
            &[400],
            0,
        ),
        case(
            "the first line",
            format!("GET /api/tags HTTP/1.1\r\n Host: a\r\nx-api-key: {USER}\r\n\r\n"),
            &[400],
            0,
        ),
        case(
            "the credential",
            format!("GET /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key:\r\n {USER}\r\n\r\n"),
            &[400],
            0,
        ),
    ]);
}

#[test]
fn row_19_space_before_a_colon() {
    check([
        case("a space", get_with("Accept : a"), &[400], 0),
        case("a tab", get_with("Accept\t: a"), &[400], 0),
        case("of a length", post("Content-Length : 2", "{}"), &[400], 0),
        case(
            "of a second length",
            post("Content-Length: 2\r\nContent-Length : 30", "{}"),
            &[400],
            0,
        ),
        case("of Host", get("/api/tags").replace("Host:", "Host :"), &[400], 0),
        case(
            "of the credential",
            get("/api/tags").replace("key:", "key :"),
            &[400],
            0,
        ),
        case("a name with a space in it", get_with("Acc ept: a"), &[400], 0),
        case("no name", get_with(": a"), &[400], 0),
    ]);
}

#[test]
fn row_20_control_characters_and_malformed_lines() {
    let line = |line: &str| get("/api/tags").replace("GET /api/tags HTTP/1.1", line);
    check([
        case(
            "a bare carriage return in a header",
            get_with("Accept: a\rb"),
            &[400],
            0,
        ),
        case(
            "one that ends a header",
            get_with("Accept: a\rContent-Length: 5"),
            &[400],
            0,
        ),
        case(
            "one in the first line",
            line("GET /api/tags\r HTTP/1.1"),
            &[400],
            0,
        ),
        case(
            "one before the end of the head",
            get_with("Accept: a\r\r"),
            &[400],
            0,
        ),
        case("a NUL", get_with("Accept: a\0b"), &[400], 0),
        case("a NUL in a name", get_with("Acc\0ept: a"), &[400], 0),
        case(
            "a NUL in the first line",
            line("GET /api/tags\0 HTTP/1.1"),
            &[400],
            0,
        ),
        case("a DEL", get_with("Accept: a\x7f"), &[400], 0),
        case("an escape", get_with("Accept: \x1b[31m"), &[400], 0),
        case("no colon", get_with("Accept"), &[400], 0),
        case(
            "two spaces in the first line",
            line("GET  /api/tags HTTP/1.1"),
            &[400],
            0,
        ),
        case(
            "a tab in the first line",
            line("GET\t/api/tags HTTP/1.1"),
            &[400],
            0,
        ),
        case("a space in the path", line("GET /api/tags x HTTP/1.1"), &[400], 0),
        case(
            "a space behind the first line",
            line("GET /api/tags HTTP/1.1 "),
            &[400],
            0,
        ),
        case("HTTP/1.2", line("GET /api/tags HTTP/1.2"), &[400], 0),
        case("HTTP/1.10", line("GET /api/tags HTTP/1.10"), &[400], 0),
        case("http/1.1", line("GET /api/tags http/1.1"), &[400], 0),
        case("HTTP/0.9", "GET /api/tags\r\n\r\n", &[400], 0),
        case(
            "the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[],
            0,
        ),
        case(
            "no HTTP at all",
            b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03".to_vec(),
            &[400],
            0,
        ),
        // RFC 9112, section 2.2, has empty lines before a request ignored, and lets lines end with a bare line feed:
        // it arrives as every other head does.
        case(
            "empty lines before",
            format!("\r\n\r\n{}", get("/api/tags")),
            &[200],
            1,
        ),
        case(
            "bare line feeds",
            get("/api/tags").replace("\r\n", "\n"),
            &[200],
            1,
        ),
        case(
            "bare line feeds before a request of nobody",
            get("/api/tags").replace("\r\n", "\n") + SMUGGLED,
            &[200, 401],
            1,
        ),
    ]);
}

#[test]
fn row_78_heads_that_are_too_large() {
    let headers = |count: usize| vec!["A: b"; count].join("\r\n");
    // Host and the credential are two more.
    check([
        case(
            "as many headers as there may be",
            get_with(&headers(98)),
            &[200],
            1,
        ),
        case("one more", get_with(&headers(99)), &[431], 0),
        case("very many", get_with(&headers(5000)), &[431], 0),
        case(
            "a large header",
            get_with(&format!("Accept: {}", "a".repeat(40_000))),
            &[431],
            0,
        ),
        case(
            "a large name",
            get_with(&format!("{}: a", "a".repeat(70_000))),
            &[431],
            0,
        ),
        case(
            "a large credential",
            get("/api/tags").replace(USER, &"a".repeat(40_000)),
            &[431],
            0,
        ),
        case(
            "a large target",
            get(&format!("/api/tags?{}", "a".repeat(70_000))),
            &[431],
            0,
        ),
        case(
            "a large method",
            format!("{} /api/tags HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(70_000)),
            &[431],
            0,
        ),
    ]);
}
