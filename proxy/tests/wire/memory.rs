//! Streams that something is done for take no more memory than those that are left alone.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::backend::{Backend, Then};
use crate::proxy::{Proxy, SOON, USER, request};

/// KiB that the proxy may have had.
const MOST: u64 = 48 * 1024;
const PATH: &str = "/v1/chat/completions";

#[test]
fn a_reader_of_events_that_reads_nothing_stalls_the_upstream_in_flat_memory() {
    const EVENTS: usize = 6400;
    let (tell, stalled) = mpsc::channel();
    let tell = Mutex::new(tell);
    let backend = Backend::answering(move |exchange| {
        exchange.read_body()?;
        exchange.begin("text/event-stream")?;
        let event = format!(
            "data: {{\"choices\":[{{\"text\":\"{}\"}}]}}\n\n",
            "x".repeat(32 << 10)
        );
        // Longer than some heartbeats too.
        let sent = exchange.chunks(&event, EVENTS, Duration::from_secs(3))?;
        tell.lock().unwrap().send(sent).unwrap();
        Ok(Then::Close)
    });
    let proxy = Proxy::configured(&backend, "streams: {heartbeatSeconds: 1}\n");
    let mut client = proxy.client();
    client.send(request("POST", PATH, USER, r#"{"model":"m","stream":true}"#));
    let sent = stalled.recv_timeout(SOON).unwrap();
    assert!(sent < EVENTS / 2, "{sent} events went to nobody");
    let peak = proxy.peak_memory();
    assert!(peak < MOST, "{sent} events took {peak} KiB");
    assert_eq!(client.head().unwrap().status, 200);
}

#[test]
fn a_large_question_is_looked_at_in_flat_memory() {
    const PIECES: usize = 60 << 4;
    let backend = Backend::answering(|exchange| {
        let total = exchange.read_body()?;
        exchange.answer("200 OK", &total.to_string())
    });
    let proxy = Proxy::start(&backend);
    let (before, after) = (
        r#"{"model":"m","messages":[{"content":""#,
        r#""}],"stream":true}"#,
    );
    let piece = "x".repeat(1 << 16);
    let length = before.len() + PIECES * piece.len() + after.len();
    let mut client = proxy.client();
    client.send(format!(
        "POST {PATH} HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nContent-Length: {length}\r\n\r\n{before}"
    ));
    for _ in 0..PIECES {
        client.send(&piece);
    }
    client.send(after);
    let asked = r#","stream_options":{"include_usage":true}"#.len();
    assert_eq!(client.answer().unwrap().body, (length + asked).to_string());
    let peak = proxy.peak_memory();
    assert!(peak < MOST, "{length} bytes took {peak} KiB");
}
