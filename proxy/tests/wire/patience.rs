//! Limits of time, with the proxy inside this process so that they can be made short.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corral_proxy::accept::{Acceptor, Limits};
use corral_proxy::config::flags::Flags;
use corral_proxy::in_force::InForce;
use corral_proxy::proxy::Proxy;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::backend::{Backend, Then};
use crate::client::Client;
use crate::http2::attack::ask;
use crate::http2::frames::{self, Connection, block, frame, status};
use crate::proxy::{USER, get};

const HEAD_TIMEOUT: Duration = Duration::from_millis(300);

/// A proxy with short limits, and the runtime that it lives in.
fn impatient(backend: &Backend) -> (Runtime, SocketAddr) {
    let keys = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(keys.path(), format!("user:{USER}\n")).unwrap();
    let flags = Flags {
        api_keys: Some(keys.path().to_owned()),
        upstream: Some(format!("http://{}", backend.address).parse().unwrap()),
        ..Flags::default()
    };
    let loaded = flags.load().unwrap();
    let proxy = Arc::new(Proxy::new(InForce::first(loaded), io::sink()).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        head_timeout: HEAD_TIMEOUT,
        ..Limits::default()
    };
    runtime.spawn(async move { Acceptor::new(proxy, limits).accept(listener).await });
    (runtime, address)
}

#[test]
fn s1_a_stream_may_pause_longer_than_every_limit() {
    let pause = 5 * HEAD_TIMEOUT;
    let backend = Backend::answering(move |exchange| {
        std::thread::sleep(pause);
        exchange.begin_stream()?;
        exchange.chunk("a")?;
        std::thread::sleep(pause);
        exchange.chunk("b")?;
        exchange.chunk("")?;
        Ok(Then::Close)
    });
    let (_runtime, address) = impatient(&backend);
    let answer = Client::connect(address).exchange(get("/api/ps"));
    assert_eq!((answer.body.as_str(), answer.complete), ("ab", true));
}

#[test]
fn a_slow_upload_is_waited_for() {
    let (_runtime, address) = impatient(&Backend::start());
    let mut client = Client::connect(address);
    client.send(format!(
        "POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\nContent-Length: 3\r\n\r\n"
    ));
    for byte in ["{", " ", "}"] {
        std::thread::sleep(2 * HEAD_TIMEOUT);
        client.send(byte);
    }
    assert_eq!(client.answer().unwrap().status, 200);
}

#[test]
fn slow_heads_and_unused_connections_are_closed() {
    let cases = [
        ("nothing", ""),
        ("half a head", "GET /api/tags HTTP/1.1\r\nHost: a\r\n"),
        ("half a line", "GET /api/ta"),
    ];
    let backend = Backend::start();
    let (_runtime, address) = impatient(&backend);
    for (name, sent) in cases {
        let start = Instant::now();
        let mut client = Client::connect(address);
        client.send(sent);
        assert!(client.is_closed(), "{name}");
        assert!(start.elapsed() >= HEAD_TIMEOUT, "{name}: {:?}", start.elapsed());
    }
    let mut client = Client::connect(address);
    assert_eq!(client.exchange(get("/api/tags")).status, 200);
    assert!(client.is_closed(), "after a response");
    assert_eq!(backend.lines(), ["GET /api/tags HTTP/1.1"]);
}

#[test]
fn row_75_half_heads_and_unused_connections_of_http_2_are_closed() {
    let half = frame(frames::HEADERS, 0, 1, &block(&[(":method", "GET")]));
    let cases: [(&str, Vec<u8>); 3] = [
        ("no request", Vec::new()),
        ("half a head", half.clone()),
        ("half a frame", half[..10].to_vec()),
    ];
    let (_runtime, address) = impatient(&Backend::start());
    let start = Instant::now();
    let mut used = Connection::open(address);
    used.send(&ask(1, "GET", "/api/tags"));
    // All at the same time: each is given some seconds to agree to its end.
    let open = cases.map(|(name, sent)| {
        let mut connection = Connection::open(address);
        connection.send(&sent);
        (name, connection)
    });
    for (name, mut connection) in open {
        connection.ended();
        assert!(start.elapsed() >= HEAD_TIMEOUT, "{name}: {:?}", start.elapsed());
    }
    assert_eq!(status(&used.next_of(&[frames::HEADERS]).unwrap()), 200);
    used.ended();
}
