//! Bodies: where they end, when they come, and where there should be none.

use std::sync::{Mutex, mpsc};

use super::{Case, SMUGGLED, arrivals, case, check, get_with, post};
use crate::backend::Backend;
use crate::proxy::{Proxy, USER, get};

/// A body whose fault shows only when it is read: what rules look into isn't forwarded before that.
fn broken(name: &'static str, body: impl AsRef<str>) -> Case {
    let request = post("Transfer-Encoding: chunked", body.as_ref());
    case(name, request, &[400], 0)
}

/// Nobody is let in by what comes as the body of a request that is refused already.
#[test]
fn row_12_a_body_behind_a_refusal() {
    let rest = get("/api/tags");
    let nobody =
        |headers: &str, body: &str| format!("POST /api/chat HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}");
    let length = format!("Content-Length: {}", rest.len());
    check([
        case("at once", nobody(&length, &rest), &[401], 0),
        case(
            "in chunks",
            nobody(
                "Transfer-Encoding: chunked",
                &format!("{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()),
            ),
            &[401],
            0,
        ),
        case(
            "broken",
            nobody("Transfer-Encoding: chunked", &format!("zz\r\n{rest}")),
            &[401],
            0,
        ),
    ]);
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    let refused = client.exchange(nobody(&length, ""));
    assert_eq!(
        (refused.status, refused.header("connection")),
        (401, Some("close")),
        "it says that no request can follow"
    );
    let _ = client.try_send(rest.as_bytes());
    assert!(
        client.answer().is_none(),
        "the body comes after the refusal and is no request"
    );
    assert_eq!(backend.lines().len(), 0);
    let mut client = proxy.client();
    let refused = client.exchange(nobody(&length, &rest));
    assert_eq!((refused.status, refused.header("connection")), (401, None));
    assert_eq!(
        client.exchange(get("/api/tags")).status,
        200,
        "a body that has come leaves room for the next request"
    );
}

#[test]
fn row_13_expect() {
    let expect = |value: &str| post(&format!("Expect: {value}\r\nContent-Length: 2"), "{}");
    check([
        case("another expectation", expect("200-ok"), &[200], 1),
        case("something before it", expect("y 100-continue"), &[200], 1),
        case(
            "a GET that expects",
            get_with("Expect: 100-continue") + SMUGGLED,
            &[200, 401],
            1,
        ),
        case(
            "without a credential, and with one in the body",
            format!(
                "POST /api/chat HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n{}",
                get("/api/tags").len(),
                get("/api/tags")
            ),
            &[401],
            0,
        ),
    ]);
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    let head = post("Expect: 100-continue\r\nContent-Length: 2", "");
    assert_eq!(client.exchange(&head).status, 100, "the body is asked for");
    assert_eq!(backend.lines().len(), 0, "and judged before anything arrives");
    assert_eq!(client.exchange("{}").status, 200);
    assert_eq!(backend.lines(), ["POST /api/chat HTTP/1.1"]);
    let mut client = proxy.client();
    let refused = client.exchange(head.replace(USER, "wrong-key-0123456789"));
    assert_eq!(refused.status, 401, "no body is asked for");
    assert!(client.answer().is_none());
    assert_eq!(arrivals(&backend, "expect").len(), 1);
}

#[test]
fn row_14_chunks_with_bare_line_feeds() {
    check([
        broken("everywhere", "2\n{}\n0\n\n"),
        broken("behind a size", "2\n{}\r\n0\r\n\r\n"),
        broken("behind a chunk", "2\r\n{}\n0\r\n\r\n"),
        broken("behind the last size", "2\r\n{}\r\n0\n\r\n"),
        broken("in an extension", "2;a\nb\r\n{}\r\n0\r\n\r\n"),
        // Taken for the beginning of trailers, which go nowhere.
        case(
            "in place of the last line",
            post(
                "Transfer-Encoding: chunked",
                &format!("2\r\n{{}}\r\n0\r\n\n{SMUGGLED}"),
            ),
            &[200],
            1,
        ),
        broken("a bare carriage return behind a size", "2\r{}\r\n0\r\n\r\n"),
    ]);
}

#[test]
fn row_15_a_chunk_size_that_is_none() {
    let long = "a".repeat(65536);
    let many: String = (0..20_000).map(|_| "1;a\r\nx\r\n").collect();
    check([
        broken("too large", "fffffffffffffffff\r\n{}"),
        broken("one that comes to two", "10000000000000002\r\n{}\r\n0\r\n\r\n"),
        broken("a prefix", "0x2\r\n{}\r\n0\r\n\r\n"),
        broken("negative", "-2\r\n{}\r\n0\r\n\r\n"),
        broken("a plus", "+2\r\n{}\r\n0\r\n\r\n"),
        broken("an underscore", "0_2\r\n{}\r\n0\r\n\r\n"),
        broken("empty", "\r\n{}\r\n0\r\n\r\n"),
        broken("a space before it", " 2\r\n{}\r\n0\r\n\r\n"),
        broken("no hexadecimal digit", "g\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk longer than its size", "1\r\n{}\r\n0\r\n\r\n"),
        broken("a chunk shorter than its size", "3\r\n{}\r\n0\r\n\r\n"),
        broken("64 KiB of extension", format!("2;{long}\r\n{{}}\r\n0\r\n\r\n")),
        broken("an extension for each byte", many + "0\r\n\r\n"),
    ]);
}

#[test]
fn row_16_a_body_that_ends_early() {
    let cases = [
        ("of known length", post("Content-Length: 100", "{}")),
        ("in chunks", post("Transfer-Encoding: chunked", "64\r\n{}")),
        (
            "before the last chunk",
            post("Transfer-Encoding: chunked", "2\r\n{}\r\n"),
        ),
    ];
    for (name, request) in cases {
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let backend = Backend::answering(move |exchange| {
            let read = exchange.read_body();
            if exchange.is("POST ") {
                tell.lock().unwrap().send(read.is_err()).unwrap();
            }
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
        let arrived = arrivals(&backend, name);
        assert!(arrived.len() == 1 && !arrived[0].whole, "{name}: {arrived:?}");
        assert_eq!(
            proxy.exchange(get("/api/tags")).status,
            200,
            "{name}: the next request"
        );
    }
}

#[test]
fn row_17_trailers() {
    let trailers = "2\r\n{}\r\n0\r\nAuthorization: Bearer x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
    let post = |path: &str, headers: &str| post(headers, trailers).replace("/api/chat", path);
    let chunked = "Transfer-Encoding: chunked";
    let announced = "Transfer-Encoding: chunked\r\nTrailer: Authorization, Content-Length";
    // The strict reader takes no trailer, so that none has arrived.
    check([
        case("a body that is judged", post("/api/chat", chunked), &[200], 1),
        case(
            "a body that streams",
            post("/v1/chat/completions", chunked),
            &[200],
            1,
        ),
        case("announced", post("/v1/chat/completions", announced), &[200], 1),
        case(
            "one that hides a request",
            super::post(chunked, &format!("2\r\n{{}}\r\n0\r\nA: b\r\n\r\n{SMUGGLED}")),
            &[200, 401],
            1,
        ),
        case(
            "a broken one",
            super::post(chunked, "2\r\n{}\r\n0\r\nno trailer\r\n\r\n"),
            &[400],
            0,
        ),
    ]);
}

/// A method that usually has no body can have one: it is read as one, and never as the next request.
#[test]
fn row_21_bodies_where_none_is_expected() {
    let body = |method: &str, framing: &str| {
        format!("{method} /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{framing}\r\n\r\n{SMUGGLED}")
    };
    let length = format!("Content-Length: {}", SMUGGLED.len());
    check([
        case("GET", body("GET", &length), &[200], 1),
        case(
            "GET in chunks",
            get_with("Transfer-Encoding: chunked") + "0\r\n\r\n" + SMUGGLED,
            &[200, 401],
            1,
        ),
        case(
            "GET with a length of nothing",
            body("GET", "Content-Length: 0"),
            &[200, 401],
            1,
        ),
        case(
            "GET without a length",
            get("/api/tags") + SMUGGLED,
            &[200, 401],
            1,
        ),
        case("OPTIONS", body("OPTIONS", &length), &[405], 0),
        case("DELETE", body("DELETE", &length), &[405], 0),
    ]);
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    client.send(body("HEAD", &length));
    let head = client.head().unwrap();
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("2")),
        "HEAD"
    );
    assert_eq!(
        client.exchange(get("/api/tags")).status,
        200,
        "HEAD, then another request"
    );
    assert_eq!(
        backend.lines(),
        ["HEAD /api/tags HTTP/1.1", "GET /api/tags HTTP/1.1"]
    );
    let arrived = arrivals(&backend, "HEAD");
    assert!(
        arrived
            .iter()
            .any(|request| request.whole && request.body == SMUGGLED.as_bytes()),
        "{arrived:?}"
    );
}
