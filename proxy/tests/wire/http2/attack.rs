//! Clients that make the proxy work for answers that nobody reads. In every case the connection is closed, the backend
//! has seen few of the requests, and the next valid request succeeds.

use super::frames::{self, Connection, END_HEADERS, END_STREAM, block, frame};
use crate::backend::{Backend, Then};
use crate::proxy::{Proxy, SOON, USER, get, within};

/// Streams of an attack.
const STREAMS: u32 = 2000;
/// How many of them may reach the backend: as many as may be open at once, and those that the proxy left before.
const MOST_ARRIVE: usize = 300;

/// A request of [`USER`] as the frame that opens this stream.
pub(crate) fn ask(stream: u32, method: &str, path: &str) -> Vec<u8> {
    frame(
        frames::HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &head(method, path),
    )
}

pub(super) fn head(method: &str, path: &str) -> Vec<u8> {
    block(&[
        (":method", method),
        (":scheme", "http"),
        (":authority", "ollama"),
        (":path", path),
        ("x-api-key", USER),
    ])
}

/// The numbers of a client's streams.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| 2 * number + 1)
}

fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(frames::RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// A backend whose answers take longer than the test.
fn slow() -> Backend {
    Backend::answering(|exchange| {
        if exchange.is("GET /api/tags ") {
            return exchange.answer_at_once();
        }
        exchange.read_body()?;
        exchange.is_left();
        Ok(Then::Close)
    })
}

/// What is sent on each stream.
type Attack = fn(u32) -> Vec<u8>;

#[test]
fn row_80_rapid_reset() {
    check(&[("resets", |stream| {
        [ask(stream, "POST", "/api/generate"), reset(stream)].concat()
    })]);
}

#[test]
fn row_82_made_you_reset() {
    check(&[
        ("a window that grows by nothing", |stream| {
            let nothing = frame(frames::WINDOW_UPDATE, 0, stream, &[0; 4]);
            [ask(stream, "POST", "/api/generate"), nothing].concat()
        }),
        ("a window that grows too large", |stream| {
            let most = frame(frames::WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes());
            [ask(stream, "POST", "/api/generate"), most].concat()
        }),
        ("data after the end", |stream| {
            let data = frame(frames::DATA, END_STREAM, stream, b"{}");
            [ask(stream, "POST", "/api/generate"), data].concat()
        }),
        ("a head after the end", |stream| {
            ask(stream, "POST", "/api/generate").repeat(2)
        }),
        ("a stream that depends on itself", |stream| {
            let itself = frame(
                frames::PRIORITY,
                0,
                stream,
                &[&stream.to_be_bytes()[..], &[1]].concat(),
            );
            [ask(stream, "POST", "/api/generate"), itself].concat()
        }),
        ("a malformed head", |stream| {
            frame(
                frames::HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &block(&[(":method", "GET")]),
            )
        }),
        ("more data than was announced", |stream| {
            let length = block(&[("content-length", "1")]);
            let head = [head("POST", "/api/generate"), length].concat();
            let begin = frame(frames::HEADERS, END_HEADERS, stream, &head);
            [begin, frame(frames::DATA, 0, stream, b"{}")].concat()
        }),
    ]);
}

fn check(cases: &[(&str, Attack)]) {
    for (name, attack) in cases {
        let backend = slow();
        let proxy = Proxy::start(&backend);
        let mut connection = Connection::open(proxy.address);
        let _ = streams(STREAMS).all(|stream| connection.try_send(&attack(stream)));
        connection.end();
        connection.ended();
        let arrived = backend.lines().len();
        assert!(arrived <= MOST_ARRIVE, "{name}: {arrived} of {STREAMS}");
        assert_eq!(
            proxy.exchange(get("/api/tags")).status,
            200,
            "{name}: the next request"
        );
        assert_eq!(
            backend.lines().last().unwrap(),
            "GET /api/tags HTTP/1.1",
            "{name}"
        );
    }
}

/// Each is let through to the backend before it is reset, so that none of the protocol's own counters sees it.
#[test]
fn row_80_requests_that_are_reset_once_they_are_forwarded() {
    const BATCH: u32 = 100;
    let backend = slow();
    let proxy = Proxy::start(&backend);
    let mut connection = Connection::open(proxy.address);
    let all: Vec<_> = streams(50 * BATCH).collect();
    let closed = all.chunks(BATCH as usize).position(|batch| {
        let before = backend.lines().len();
        let asked: Vec<u8> = batch
            .iter()
            .flat_map(|stream| ask(*stream, "POST", "/api/generate"))
            .collect();
        if !connection.try_send(&asked) {
            return true;
        }
        let ping = frame(frames::PING, 0, 0, &[0; 8]);
        within(SOON, "all arrive, or the connection is closed", || {
            backend.lines().len() == before + batch.len() || !connection.try_send(&ping)
        });
        let left: Vec<u8> = batch.iter().flat_map(|stream| reset(*stream)).collect();
        !connection.try_send(&left)
    });
    assert!(
        closed.is_some(),
        "{} requests went through",
        backend.lines().len()
    );
    assert_eq!(proxy.exchange(get("/api/tags")).status, 200, "the next request");
}

#[test]
fn more_streams_than_allowed_are_refused_and_the_others_served() {
    const MOST: u32 = 100;
    let backend = slow();
    let proxy = Proxy::start(&backend);
    let mut connection = Connection::open(proxy.address);
    for stream in streams(MOST + 10) {
        connection.send(&ask(stream, "POST", "/api/generate"));
    }
    for _ in 0..10 {
        const REFUSED_STREAM: u32 = 7;
        let frame = connection.next_of(&[frames::RST_STREAM, frames::GOAWAY]).unwrap();
        assert_eq!(
            (frame.kind, frame.error_code()),
            (frames::RST_STREAM, REFUSED_STREAM)
        );
        assert!(frame.stream > 2 * MOST, "{frame:?}");
    }
    within(SOON, "those that are allowed arrive", || {
        backend.lines().len() == MOST as usize
    });
    connection.send(&reset(1));
    connection.send(&ask(2 * MOST + 101, "GET", "/api/tags"));
    assert_eq!(
        frames::status(&connection.next_of(&[frames::HEADERS]).unwrap()),
        200
    );
}
