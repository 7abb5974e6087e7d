//! What an upstream may answer, as it stands on the wire.

use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::backend::{Backend, Exchange, Then};
use crate::proxy::{ADMIN, Proxy, get, request, within};

const SOON: Duration = Duration::from_secs(5);

/// What a client sees of a response, and whether the connection that it came on is used again.
type Seen = (u16, &'static str, bool, bool);

/// Answers every request of a client's with these bytes, all at once or one by one.
fn answering(response: &'static str, piece: usize, ends: bool) -> Backend {
    Backend::answering(move |exchange: &mut Exchange| {
        exchange.read_body()?;
        for piece in response.as_bytes().chunks(piece) {
            exchange.stream.write_all(piece)?;
        }
        Ok(if ends { Then::Close } else { Then::KeepAlive })
    })
}

/// Whether more has come on a connection on which a client's request did.
fn is_used_again(backend: &Backend) -> bool {
    let connections = backend.connections();
    connections.iter().any(|bytes| {
        let text = String::from_utf8_lossy(bytes);
        let heads: Vec<_> = text.split(" HTTP/1.1\r\n").skip(1).collect();
        heads
            .split_last()
            .is_some_and(|(_, earlier)| earlier.iter().any(|head| head.contains("x-forwarded-for:")))
    })
}

#[test]
fn responses_are_read_as_they_are_framed() {
    const BROKEN: Seen = (
        502,
        "{\"error\":\"the upstream gave no valid response\"}\n",
        true,
        false,
    );
    let cases: [(&str, &str, &str, bool, Seen); 19] = [
        (
            "a length",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            false,
            (200, "{}", true, true),
        ),
        (
            "no content",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            false,
            (200, "", true, true),
        ),
        (
            "chunks, extensions, trailers",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\n{\r\n01\r\n}\r\n0\r\nX: y\r\n\r\n",
            false,
            (200, "{}", true, true),
        ),
        (
            "the end of the connection",
            "GET",
            "HTTP/1.1 200 OK\r\n\r\n{}",
            true,
            (200, "{}", true, false),
        ),
        (
            "HTTP/1.0",
            "GET",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}",
            false,
            (200, "{}", true, false),
        ),
        (
            "a connection that says it closes",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
            false,
            (200, "{}", true, false),
        ),
        (
            "more than the response",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
            false,
            (200, "{}", true, false),
        ),
        (
            "interim responses",
            "POST",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx",
            false,
            (201, "x", true, true),
        ),
        (
            "the answer to HEAD",
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n",
            false,
            (200, "", true, true),
        ),
        (
            "204",
            "POST",
            "HTTP/1.1 204 No Content\r\n\r\n",
            false,
            (204, "", true, true),
        ),
        (
            "304",
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            false,
            (304, "", true, true),
        ),
        (
            "too little",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
            true,
            (200, "{}", false, false),
        ),
        (
            "chunks without an end",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
            true,
            (200, "{}", false, false),
        ),
        (
            "chunks that are none",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nx\r\n",
            false,
            (200, "{}", false, false),
        ),
        (
            "two framings",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            false,
            BROKEN,
        ),
        (
            "two lengths",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 1\r\n\r\n{}",
            false,
            BROKEN,
        ),
        (
            "a coding that nobody knows",
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            false,
            BROKEN,
        ),
        (
            "another protocol",
            "GET",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            false,
            BROKEN,
        ),
        (
            "half a head",
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Le",
            true,
            BROKEN,
        ),
    ];
    for (name, method, response, ends, (status, body, complete, kept)) in cases {
        for piece in [response.len(), 1] {
            let backend = answering(response, piece, ends);
            let proxy = Proxy::start(&backend);
            let mut client = proxy.client();
            let question = if method == "POST" {
                request("POST", "/api/chat", ADMIN, "{}")
            } else {
                request(method, "/api/tags", ADMIN, "")
            };
            client.send(&question);
            let has_body = method != "HEAD" && ![204, 304].contains(&status);
            let answer = if has_body { client.answer() } else { client.head() }.unwrap();
            let seen = (answer.status, answer.body.as_str(), answer.complete || !has_body);
            assert_eq!(seen, (status, body, complete), "{name}, pieces of {piece}");
            let ask_again = || {
                let mut client = proxy.client();
                client.send(get("/api/tags"));
                assert!(client.head().is_some());
                is_used_again(&backend)
            };
            if kept {
                // The proxy's own questions may have a connection that would be taken else.
                within(SOON, name, ask_again);
            } else {
                assert!(!ask_again(), "{name}, pieces of {piece}");
            }
        }
    }
}

/// An upstream that has enough of a body answers before it has all of it, and hangs up.
#[test]
fn an_early_answer_reaches_the_client() {
    let backend = Backend::answering(|exchange| {
        exchange.read_some(1)?;
        exchange.answer("413 Content Too Large", "{\"error\":\"enough\"}")?;
        // What was sent meanwhile is read: closed with it unread, the connection would be reset, and the answer lost.
        let _ = exchange.read_body();
        Ok(Then::Close)
    });
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    let blob = format!("/api/blobs/sha256:{}", "a".repeat(64));
    client.send(format!(
        "POST {blob} HTTP/1.1\r\nHost: a\r\nx-api-key: {ADMIN}\r\nContent-Length: 1000000\r\n\r\n"
    ));
    client.send(vec![b'x'; 1000]);
    let head = client.head().unwrap();
    assert_eq!(head.status, 413);
}

/// A question that changes nothing is asked again; what may have been done is not done twice.
#[test]
fn what_a_closed_connection_took_with_it() {
    let cases = [
        ("GET", "/api/tags", "", (200, 4)),
        ("HEAD", "/api/tags", "", (200, 4)),
        ("POST", "/api/chat", "{}", (502, 3)),
        ("POST", "/api/chat", "", (502, 3)),
        ("DELETE", "/api/delete", "", (502, 3)),
    ];
    for (method, path, body, (status, requests)) in cases {
        let both = Barrier::new(2);
        let count = AtomicUsize::new(0);
        let backend = Backend::answering(move |exchange| {
            exchange.read_body()?;
            match count.fetch_add(1, Ordering::SeqCst) {
                // Two connections are kept: the proxy's own questions need one now and then.
                0 | 1 => drop(both.wait()),
                2 => return Ok(Then::Close),
                _ => {}
            }
            exchange.answer("200 OK", "{}")
        });
        let proxy = Proxy::start(&backend);
        let mut clients = [proxy.client(), proxy.client()];
        for client in &mut clients {
            client.send(get("/api/tags"));
        }
        for client in &mut clients {
            assert_eq!(client.answer().unwrap().status, 200);
        }
        let mut client = proxy.client();
        client.send(request(method, path, ADMIN, body));
        let answer = client.head().unwrap();
        assert_eq!(
            (answer.status, backend.lines().len()),
            (status, requests),
            "{method} {body:?}"
        );
    }
}
