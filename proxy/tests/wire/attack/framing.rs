//! Where a message ends, and what its head may be.

use super::{Case, case, check, post};
use crate::backend::Backend;
use crate::proxy::{Proxy, USER, get};

/// What an attacker would like to see arrive.
const SMUGGLED: &str = "DELETE /api/delete HTTP/1.1\r\nHost: a\r\n\r\n";

fn get_with(headers: &str) -> String {
    format!("GET /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{headers}\r\n\r\n")
}

/// A body whose fault shows only when it is read: the head may have been forwarded by then, but never the end.
fn broken(name: &'static str, body: &str) -> Case {
    let request = post("Transfer-Encoding: chunked", body);
    Case {
        name,
        request,
        statuses: &[400],
        arrive: 0..=1,
    }
}

#[test]
fn framing() {
    let chunk = "2\r\n{}\r\n0\r\n\r\n";
    check(vec![
        // The encoding counts, the length is dropped, and the connection isn't used again (RFC 9112, section 6.3).
        case(
            "1: length before encoding",
            post(
                "Content-Length: 5\r\nTransfer-Encoding: chunked",
                &format!("0\r\n\r\n{SMUGGLED}"),
            ),
            &[200],
            1,
        ),
        case(
            "2: encoding before length",
            post(
                "Transfer-Encoding: chunked\r\nContent-Length: 5",
                &format!("0\r\n\r\n{SMUGGLED}"),
            ),
            &[200],
            1,
        ),
        case(
            "3: two lengths",
            post("Content-Length: 2\r\nContent-Length: 3", "{}x"),
            &[400],
            0,
        ),
        case(
            "3: one length twice",
            post("Content-Length: 2\r\nContent-Length: 2", "{}"),
            &[200],
            1,
        ),
        case("4: a plus", post("Content-Length: +2", "{}"), &[400], 0),
        case(
            "5: a list of lengths",
            post("Content-Length: 2, 2", "{}"),
            &[400],
            0,
        ),
        case(
            "6: a negative length",
            post("Content-Length: -1", "{}"),
            &[400],
            0,
        ),
        case(
            "6: a hexadecimal length",
            post("Content-Length: 0x2", "{}"),
            &[400],
            0,
        ),
        case(
            "6: a huge length",
            post("Content-Length: 99999999999999999999", "{}"),
            &[400],
            0,
        ),
        case("6: an empty length", post("Content-Length: ", "{}"), &[400], 0),
        case(
            "6: a length with a space in it",
            post("Content-Length: 1 2", "{}"),
            &[400],
            0,
        ),
        case(
            "7: two encodings",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunk),
            &[400],
            0,
        ),
        case(
            "7: another encoding first",
            post("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", chunk),
            &[400],
            0,
        ),
        case(
            "8: xchunked",
            post("Transfer-Encoding: xchunked", chunk),
            &[400],
            0,
        ),
        case(
            "8: a list",
            post("Transfer-Encoding: gzip, chunked", chunk),
            &[400],
            0,
        ),
        case(
            "8: identity",
            post("Transfer-Encoding: identity", chunk),
            &[400],
            0,
        ),
        case(
            "8: a comma",
            post("Transfer-Encoding: chunked,", chunk),
            &[400],
            0,
        ),
        case(
            "8: a vertical tab",
            post("Transfer-Encoding: \x0bchunked", chunk),
            &[400],
            0,
        ),
        case(
            "8: a quoted word",
            post("Transfer-Encoding: \"chunked\"", chunk),
            &[400],
            0,
        ),
        case(
            "8: a tab before",
            post("Transfer-Encoding:\tchunked", chunk),
            &[200],
            1,
        ),
        case(
            "9: chunked isn't last",
            post("Transfer-Encoding: chunked, identity", chunk),
            &[400],
            0,
        ),
        case(
            "10: an encoding in HTTP/1.0",
            post("Transfer-Encoding: chunked", chunk).replace("1.1", "1.0"),
            &[400],
            0,
        ),
        case(
            "10: no length in HTTP/1.0",
            post("Connection: close", SMUGGLED).replace("1.1\r\nHost", "1.0\r\nHost"),
            &[200],
            1,
        ),
        case(
            "11: an upgrade and another request",
            get_with("Connection: upgrade\r\nUpgrade: websocket") + SMUGGLED,
            &[400],
            0,
        ),
        case(
            "11: an upgrade to h2c is ignored",
            get_with(
                "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
            ),
            &[200],
            1,
        ),
        case(
            "12: a body after a refusal",
            format!("POST /api/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n{SMUGGLED}"),
            &[401],
            0,
        ),
        broken("14: chunks with bare line feeds", "2\n{}\n0\n\n"),
        broken("15: a huge chunk", "fffffffffffffffff\r\n{}"),
        broken("15: a chunk size with a prefix", "0x2\r\n{}\r\n0\r\n\r\n"),
        broken("15: a negative chunk", "-2\r\n{}\r\n0\r\n\r\n"),
        broken("15: a chunk longer than its size", "1\r\n{}\r\n0\r\n\r\n"),
        broken(
            "15: 64 KiB of chunk extension",
            &format!("2;{}\r\n{{}}\r\n0\r\n\r\n", "a".repeat(65536)),
        ),
        case(
            "17: trailers",
            post(
                "Transfer-Encoding: chunked",
                "2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nContent-Length: 9\r\nHost: b\r\n\r\n",
            ),
            &[200],
            1,
        ),
        case("18: a folded line", get_with("Accept: a\r\n b"), &[400], 0),
        case(
            "18: a folded first line",
            format!("GET /api/tags HTTP/1.1\r\n Host: a\r\nx-api-key: {USER}\r\n\r\n"),
            &[400],
            0,
        ),
        case("19: a space before the colon", get_with("Accept : a"), &[400], 0),
        case("20: a bare carriage return", get_with("Accept: a\rb"), &[400], 0),
        case("20: a NUL", get_with("Accept: a\0b"), &[400], 0),
        case("20: a NUL in a name", get_with("Acc\0ept: a"), &[400], 0),
        case("20: no colon", get_with("Accept"), &[400], 0),
        case(
            "20: two spaces in the first line",
            get("/api/tags").replace("GET /", "GET  /"),
            &[400],
            0,
        ),
        case("20: HTTP/1.2", get("/api/tags").replace("1.1", "1.2"), &[400], 0),
        case("20: HTTP/0.9", "GET /api/tags\r\n\r\n", &[400], 0),
        case(
            "20: the preface of HTTP/2",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &[],
            0,
        ),
    ]);
}

#[test]
fn bodies_where_none_is_expected() {
    let body = |method: &str, length: usize, rest: &str| {
        format!(
            "{method} /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nContent-Length: {length}\r\n\r\n{rest}"
        )
    };
    let length = SMUGGLED.len();
    check(vec![
        case("21: GET with a body", body("GET", length, SMUGGLED), &[200], 1),
        case(
            "21: GET with a chunked body",
            get_with("Transfer-Encoding: chunked") + "0\r\n\r\n",
            &[200],
            1,
        ),
        case(
            "21: OPTIONS with a body",
            body("OPTIONS", length, SMUGGLED),
            &[405],
            0,
        ),
        case(
            "21: GET with no length and bytes after it",
            get("/api/tags") + SMUGGLED,
            &[200, 401],
            1,
        ),
    ]);
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    client.send(body("HEAD", length, SMUGGLED));
    let head = client.head().unwrap();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("2")),
        "21: HEAD with a body"
    );
    assert_eq!(
        client.exchange(get("/api/tags")).status,
        200,
        "21: HEAD with a body, then another request"
    );
    assert_eq!(
        backend.lines(),
        ["HEAD /api/tags HTTP/1.1", "GET /api/tags HTTP/1.1"]
    );
}

#[test]
fn a_body_that_ends_early_never_arrives_whole() {
    let cases = [
        ("16: of known length", post("Content-Length: 100", "{}")),
        ("16: in chunks", post("Transfer-Encoding: chunked", "64\r\n{}")),
    ];
    for (name, request) in cases {
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let backend = Backend::answering(move |exchange| {
            let read = exchange.read_body();
            tell.lock().unwrap().send(read.is_err()).unwrap();
            exchange.answer("200 OK", "{}")
        });
        let proxy = Proxy::start(&backend);
        // What must be judged first isn't forwarded before it is whole.
        let mut client = proxy.client();
        client.send(&request);
        assert!(client.is_quiet(), "{name}");
        drop(client);
        assert_eq!(backend.lines().len(), 0, "{name}");
        let mut client = proxy.client();
        client.send(request.replace("/api/chat", "/v1/chat/completions"));
        assert!(client.is_quiet(), "{name}");
        drop(client);
        assert!(told.recv().unwrap(), "{name}: the backend sees that it is broken");
    }
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let many = "A: b\r\n".repeat(120);
    let large = format!("Accept: {}", "a".repeat(40_000));
    let path = format!("/api/tags?{}", "a".repeat(70_000));
    check(vec![
        case("78: many headers", get_with(many.trim_end()), &[431], 0),
        case("78: a large header", get_with(&large), &[431], 0),
        case("78: a large target", get(&path), &[431], 0),
    ]);
}
