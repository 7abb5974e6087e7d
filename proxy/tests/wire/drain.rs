//! The end: what runs is finished, nothing new begins, the exit is clean.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::backend::{Backend, Then};
use crate::proxy::{Proxy, SOON, get, within};

#[test]
fn sigterm_and_sigint_finish_streams_and_exit_with_0() {
    for signal in ["TERM", "INT"] {
        let (tell, told) = mpsc::channel::<()>();
        let told = Mutex::new(told);
        let backend = Backend::answering(move |exchange| {
            if exchange.is("GET /api/tags ") {
                return exchange.answer_at_once();
            }
            exchange.begin_stream()?;
            exchange.chunk("a")?;
            told.lock().unwrap().recv().unwrap();
            exchange.chunk("b")?;
            exchange.chunk("")?;
            Ok(Then::KeepAlive)
        });
        let mut proxy = Proxy::start(&backend);
        within(SOON, "ready", || proxy.admin("/readyz").status == 200);
        let mut idle = proxy.client();
        assert_eq!(idle.exchange(get("/api/tags")).status, 200);
        let mut stream = proxy.client();
        stream.send(get("/api/ps"));
        stream.head().unwrap();
        assert_eq!(stream.chunk().as_deref(), Some("a"));
        proxy.signal(signal);
        within(SOON, "/readyz flips", || proxy.admin("/readyz").status == 503);
        assert_eq!(proxy.admin("/readyz").body, "draining\n");
        assert_eq!(proxy.status()["draining"], true);
        assert!(idle.is_closed(), "{signal}: an unused connection is closed");
        within(SOON, "no new connections", || {
            TcpStream::connect(proxy.address).is_err()
        });
        assert!(proxy.ended().is_none(), "{signal}: the stream still runs");
        tell.send(()).unwrap();
        assert_eq!(stream.chunk().as_deref(), Some("b"));
        assert_eq!(
            stream.chunk().as_deref(),
            Some(""),
            "{signal}: the stream comes to its end"
        );
        assert!(stream.is_closed(), "{signal}: its connection is closed after it");
        drop(stream);
        within(SOON, "exit", || proxy.ended().is_some());
        assert_eq!(proxy.ended().unwrap().code(), Some(0), "{signal}");
        within(SOON, "the last line of the log", || {
            proxy.output().contains("/api/ps")
        });
    }
}

#[test]
fn new_requests_are_served_during_the_delay() {
    let proxy = Proxy::configured(&Backend::start(), "shutdown: {delaySeconds: 1}\n");
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let start = Instant::now();
    proxy.signal("TERM");
    within(SOON, "/readyz flips", || proxy.admin("/readyz").status == 503);
    assert_eq!(
        proxy.exchange(get("/api/tags")).status,
        200,
        "a load balancer may not know yet"
    );
    let mut proxy = proxy;
    within(SOON, "exit", || proxy.ended().is_some());
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(proxy.ended().unwrap().code(), Some(0));
}

#[test]
fn streams_without_end_are_cut_at_the_limit() {
    let backend = Backend::answering(|exchange| exchange.stream_until_left().map(|()| Then::Close));
    let mut proxy = Proxy::configured(&backend, "shutdown: {drainSeconds: 1}\n");
    let mut client = proxy.client();
    client.send(get("/api/ps"));
    client.head().unwrap();
    proxy.signal("TERM");
    while client.chunk().is_some_and(|chunk| !chunk.is_empty()) {}
    within(SOON, "exit", || proxy.ended().is_some());
    assert_eq!(proxy.ended().unwrap().code(), Some(0));
}
