//! Frames without end, from a client that reads nothing. The proxy closes the connection or stops reading; its memory
//! stays flat, and others are served.

use super::attack::{ask, head};
use super::frames::{self, Connection, END_HEADERS, END_STREAM, block, frame};
use crate::backend::Backend;
use crate::proxy::{Proxy, SOON, get};

/// Frames of a flood: whoever keeps them shows it.
const FLOOD: usize = 200_000;
/// The most memory that the proxy may have had, in KiB.
const MOST_MEMORY: u64 = 32 * 1024;

fn check(name: &str, begin: &[u8], again: &[u8]) {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut connection = Connection::open(proxy.address);
    connection.send(begin);
    let many = again.repeat(1000);
    let _ = (0..FLOOD / 1000).all(|_| connection.try_send(&many));
    assert_eq!(
        proxy.exchange(get("/api/tags")).status,
        200,
        "{name}: the next request"
    );
    assert!(backend.lines().len() <= 2, "{name}: {:?}", backend.lines());
    let peak = proxy.peak_memory();
    assert!(peak < MOST_MEMORY, "{name}: {peak} KiB");
}

fn begin(flags: u8) -> Vec<u8> {
    frame(frames::HEADERS, flags, 1, &head("POST", "/api/generate"))
}

#[test]
fn row_81_a_head_without_end() {
    let field = block(&[("x-filler", &"x".repeat(100))]);
    let begin = begin(END_STREAM);
    check("CONTINUATION", &begin, &frame(frames::CONTINUATION, 0, 1, &field));
    check(
        "empty CONTINUATION",
        &begin,
        &frame(frames::CONTINUATION, 0, 1, &[]),
    );
}

#[test]
fn frames_without_end_are_not_kept() {
    let cases: &[(&str, Vec<u8>, Vec<u8>)] = &[
        ("PING", Vec::new(), frame(frames::PING, 0, 0, &[0; 8])),
        (
            "SETTINGS",
            Vec::new(),
            frame(frames::SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
        ),
        ("empty SETTINGS", Vec::new(), frame(frames::SETTINGS, 0, 0, &[])),
        ("empty DATA", begin(END_HEADERS), frame(frames::DATA, 0, 1, &[])),
        (
            "DATA of one byte",
            begin(END_HEADERS),
            frame(frames::DATA, 0, 1, b"x"),
        ),
        (
            "padding",
            begin(END_HEADERS),
            frame(frames::DATA, 8, 1, &[&[200][..], &[0; 200]].concat()),
        ),
        (
            "PRIORITY of streams that aren't",
            Vec::new(),
            frame(frames::PRIORITY, 0, 99, &[0, 0, 0, 0, 1]),
        ),
        (
            "WINDOW_UPDATE",
            Vec::new(),
            frame(frames::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        ),
        (
            "frames of an unknown type",
            Vec::new(),
            frame(0xfe, 0, 0, &[0; 100]),
        ),
    ];
    for (name, begin, again) in cases {
        check(name, begin, again);
    }
}

#[test]
fn row_81_a_small_block_that_becomes_a_large_head() {
    // A field that is kept in the table (RFC 7541, section 6.2.1), with a value of 3000 bytes; then 4000 times that
    // field: 12 MB in 7 KB.
    let kept = [&[0x40, 1, b'x', 0x7f, 0xb9, 0x16][..], &[b'x'; 3000]].concat();
    let block = [head("GET", "/api/tags"), kept, vec![0xbe; 4000]].concat();
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut connection = Connection::open(proxy.address);
    connection.send(&frame(frames::HEADERS, END_HEADERS | END_STREAM, 1, &block));
    let answer = connection.next_of(&[frames::HEADERS, frames::RST_STREAM, frames::GOAWAY]);
    let refused =
        answer.is_none_or(|answer| answer.kind != frames::HEADERS || frames::status(&answer) == 431);
    assert!(refused && backend.lines().is_empty());
    assert_eq!(proxy.exchange(get("/api/tags")).status, 200, "the next request");
    let peak = proxy.peak_memory();
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}

#[test]
fn row_77_streams_that_nobody_reads() {
    const CHUNKS: usize = 200;
    let (backend, stalled) = Backend::pouring(CHUNKS);
    let proxy = Proxy::start(&backend);
    let mut connection = Connection::open(proxy.address);
    // The client says that it takes all there is, on 8 streams, and takes nothing.
    let most = 0x7fff_ffff_u32.to_be_bytes();
    connection.send(&frame(frames::SETTINGS, 0, 0, &[&[0, 4][..], &most].concat()));
    connection.send(&frame(
        frames::WINDOW_UPDATE,
        0,
        0,
        &(0x7fff_ffff - 65_535_u32).to_be_bytes(),
    ));
    for number in 0..8 {
        connection.send(&ask(2 * number + 1, "POST", "/api/generate"));
    }
    for _ in 0..8 {
        let sent = stalled.recv_timeout(SOON).unwrap();
        assert!(sent < CHUNKS / 2, "{sent} MiB went to nobody");
    }
    let peak = proxy.peak_memory();
    assert!(peak < 48 * 1024, "{peak} KiB");
    assert_eq!(proxy.exchange(get("/api/tags")).status, 200, "the next request");
}
