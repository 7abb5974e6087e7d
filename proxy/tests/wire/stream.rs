//! Bodies go through as they come, both ways, and an end on one side is the end on the other.

use std::io::{self, Write};
use std::net::Shutdown;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, Sender};

use crate::backend::{Backend, Exchange, Then};
use crate::proxy::{ADMIN, Proxy, SOON, USER, get, request};

fn generate() -> String {
    request("POST", "/api/generate", USER, "{}")
}

/// A backend that sends each chunk of a generation when it is told to, and tells when it is left.
pub(crate) fn told() -> (Backend, Sender<&'static str>, Receiver<()>) {
    let (tell, told) = mpsc::channel::<&'static str>();
    let (leave, left) = mpsc::channel();
    let shared = Mutex::new((told, leave));
    let backend = Backend::answering(move |exchange| {
        if exchange.is("GET ") {
            return exchange.answer_at_once();
        }
        let shared = shared.lock().unwrap();
        exchange.read_body()?;
        while let Ok(word) = shared.0.recv_timeout(SOON) {
            match word {
                "begin" => exchange.begin_stream()?,
                "await the end" => {
                    assert!(exchange.is_left());
                    shared.1.send(()).unwrap();
                    return Ok(Then::Close);
                }
                "close" => return Ok(Then::Close),
                chunk => exchange.chunk(chunk)?,
            }
        }
        Ok(Then::Close)
    });
    (backend, tell, left)
}

#[test]
fn each_chunk_arrives_before_the_next_is_sent() {
    let (backend, tell, _left) = told();
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    client.send(generate());
    tell.send("begin").unwrap();
    let head = client.head().unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    for chunk in ["{\"response\":\"a\"}\n", "{\"response\":\"b\"}\n", "{", "}\n"] {
        tell.send(chunk).unwrap();
        assert_eq!(client.chunk().as_deref(), Some(chunk));
        assert!(client.is_quiet());
    }
    tell.send("").unwrap();
    assert_eq!(client.chunk().as_deref(), Some(""), "the end");
}

#[test]
fn a_client_that_leaves_cancels_the_generation() {
    let cases: &[(&str, &[&str])] = &[
        ("before the answer", &[]),
        ("in its middle", &["begin", "a", "b"]),
    ];
    for (name, words) in cases {
        let (backend, tell, left) = told();
        let proxy = Proxy::start(&backend);
        let mut client = proxy.client();
        client.send(generate());
        for word in *words {
            tell.send(word).unwrap();
        }
        if !words.is_empty() {
            client.head().unwrap();
            client.chunk().unwrap();
        }
        assert!(
            client.is_quiet() || !words.is_empty(),
            "{name}: nothing comes yet"
        );
        tell.send("await the end").unwrap();
        drop(client);
        assert!(left.recv_timeout(SOON).is_ok(), "{name}: the upstream is told");
    }
}

#[test]
fn an_upstream_that_leaves_breaks_the_transfer() {
    type Answer = fn(&mut Exchange) -> io::Result<Then>;
    let in_chunks: Answer = |exchange| {
        exchange.read_body()?;
        exchange.begin_stream()?;
        exchange.chunk("part")?;
        Ok(Then::Close)
    };
    let of_known_length: Answer = |exchange| {
        exchange.read_body()?;
        exchange
            .stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\npart")?;
        Ok(Then::Close)
    };
    let old =
        "POST /api/generate HTTP/1.0\r\nx-api-key: sk-user-0123456789abcdef\r\nContent-Length: 2\r\n\r\n{}";
    let cases: [(&str, Answer, String); 3] = [
        ("in chunks", in_chunks, generate()),
        ("of known length", of_known_length, generate()),
        ("in chunks to HTTP/1.0", in_chunks, old.to_owned()),
    ];
    for (name, answer, request) in cases {
        let proxy = Proxy::start(&Backend::answering(answer));
        let answer = proxy.exchange(request);
        assert_eq!(
            (answer.status, answer.complete),
            (200, false),
            "{name}: {answer:?}"
        );
        assert!(
            answer.body.is_empty() || answer.body == "part",
            "{name}: {}",
            answer.body
        );
    }
}

#[test]
fn an_upstream_that_is_silent_or_absent_is_an_error() {
    let closing = Backend::answering(|exchange| exchange.read_body().map(|_| Then::Close));
    let nonsense = Backend::answering(|exchange| {
        exchange
            .stream
            .write_all(b"SSH-2.0-OpenSSH_9.2\r\n")
            .map(|()| Then::Close)
    });
    let switching = Backend::answering(|exchange| exchange.answer("101 Switching Protocols", ""));
    for (name, backend) in [
        ("closing", closing),
        ("nonsense", nonsense),
        ("switching", switching),
    ] {
        let answer = Proxy::start(&backend).exchange(generate());
        assert_eq!(answer.status, 502, "{name}");
        assert_eq!(
            answer.body, "{\"error\":\"the upstream gave no valid response\"}\n",
            "{name}"
        );
    }
    let mut absent = Backend::start();
    absent.address = "127.0.0.1:1".parse().unwrap();
    let answer = Proxy::start(&absent).exchange(generate());
    assert_eq!(
        (answer.status, answer.body.trim()),
        (502, "{\"error\":\"the upstream can't be reached\"}")
    );
}

#[test]
fn what_ollama_says_is_passed_on() {
    let cases = [
        "400 Bad Request",
        "404 Not Found",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ];
    for status in cases {
        let backend = Backend::answering(move |exchange| {
            exchange.read_body()?;
            exchange.answer(status, "{\"error\":\"server busy\"}")
        });
        let answer = Proxy::start(&backend).exchange(generate());
        assert_eq!(
            (answer.status.to_string().as_str(), answer.body.as_str()),
            (&status[..3], "{\"error\":\"server busy\"}")
        );
    }
}

#[test]
fn kept_connections_are_used_again_and_stale_ones_replaced() {
    let (close, closed) = mpsc::channel();
    let close = Mutex::new(close);
    let backend = Backend::answering(move |exchange| {
        let then = exchange.answer_at_once()?;
        if !exchange.is("GET /api/ps ") {
            return Ok(then);
        }
        // A connection that ends without a word after its answer, as at a restart of Ollama.
        exchange.stream.shutdown(Shutdown::Both)?;
        close.lock().unwrap().send(()).unwrap();
        Ok(Then::Close)
    });
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    for path in ["/api/tags", "/api/ps", "/api/tags", "/api/ps", "/api/tags"] {
        assert_eq!(client.exchange(get(path)).status, 200, "{path}");
        if path == "/api/ps" {
            closed.recv_timeout(SOON).unwrap();
            // The proxy's only thread sees that end before it answers what comes later.
            assert_eq!(proxy.admin("/livez").status, 200);
        }
    }
    assert_eq!(backend.lines().len(), 5, "each once");
}

#[test]
fn an_upload_streams_in_flat_memory() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 1024;
    let (tell, first_bytes) = mpsc::channel();
    let tell = Mutex::new(tell);
    let backend = Backend::answering(move |exchange| {
        let chunked = exchange.header("transfer-encoding").is_some();
        if !chunked {
            let first = exchange.read_some(1)?;
            tell.lock().unwrap().send(first).unwrap();
        }
        let total = if chunked {
            exchange.read_body()?
        } else {
            1 + drain(exchange, CHUNK * CHUNKS - 1)?
        };
        exchange.answer("200 OK", &total.to_string())
    });
    let proxy = Proxy::start(&backend);
    let data = vec![b'x'; CHUNK];
    let mut client = proxy.client();
    let length = CHUNK * CHUNKS;
    let blob = format!("/api/blobs/sha256:{}", "a".repeat(64));
    let head = format!("POST {blob} HTTP/1.1\r\nHost: a\r\nx-api-key: {ADMIN}\r\n");
    client.send(format!("{head}Content-Length: {length}\r\n\r\n"));
    client.send(&data);
    assert!(
        first_bytes.recv_timeout(SOON).is_ok(),
        "the first bytes arrive before the last are sent"
    );
    for _ in 1..CHUNKS {
        client.send(&data);
    }
    assert_eq!(client.answer().unwrap().body, length.to_string());
    client.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n"));
    for _ in 0..CHUNKS {
        client.send(format!("{CHUNK:x}\r\n"));
        client.send(&data);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().unwrap().body, length.to_string());
    let peak = proxy.peak_memory();
    assert!(peak < 48 * 1024, "{length} bytes twice took {peak} KiB");
}

#[test]
fn a_client_that_reads_nothing_stalls_the_upstream_in_flat_memory() {
    const CHUNKS: usize = 200;
    let (backend, stalled) = Backend::pouring(CHUNKS);
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    client.send(generate());
    let sent = stalled.recv_timeout(SOON).unwrap();
    assert!(sent < CHUNKS / 2, "{sent} MiB went to nobody");
    let peak = proxy.peak_memory();
    assert!(peak < 48 * 1024, "{sent} MiB took {peak} KiB");
    assert_eq!(client.head().unwrap().status, 200);
    let mut next = proxy.client();
    next.send(generate());
    assert_eq!(next.head().unwrap().status, 200, "the next request");
}

/// Whoever sends a body byte by byte holds up nobody, and as long as it isn't whole nothing of it arrives.
#[test]
fn row_76_slow_bodies_hold_up_nobody() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let head = |key: &str| {
        format!("POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\nContent-Length: 9\r\n\r\n{{")
    };
    let mut slow: Vec<_> = (0..50).map(|_| proxy.client()).collect();
    for client in &mut slow {
        client.send(head(USER));
    }
    let mut nobody = proxy.client();
    assert_eq!(
        nobody.exchange(head("wrong-key-0123456789")).status,
        401,
        "before its body"
    );
    for arrived in 1..=3 {
        for client in &mut slow {
            client.send(" ");
        }
        assert_eq!(proxy.exchange(get("/api/tags")).status, 200, "meanwhile");
        assert_eq!(backend.lines().len(), arrived, "{:?}", backend.lines());
    }
    let mut last = slow.pop().unwrap();
    drop(slow);
    assert_eq!(last.exchange("    }").status, 200, "the end of a slow body");
    assert_eq!(backend.lines().len(), 4);
}

fn drain(exchange: &mut Exchange, length: usize) -> io::Result<u64> {
    let mut left = length;
    while left > 0 {
        let read = exchange.read_some(left.min(1 << 20))?.len();
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= read;
    }
    Ok(length as u64)
}

#[test]
fn continue_is_said_when_the_upstream_wants_the_body() {
    let proxy = Proxy::start(&Backend::start());
    let head = |key: &str| {
        format!(
            "POST /api/generate HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
    };
    let mut client = proxy.client();
    assert_eq!(client.exchange(head(USER)).status, 100);
    assert_eq!(client.exchange("{}").status, 200);
    let mut client = proxy.client();
    assert_eq!(
        client.exchange(head("wrong-key-0123456789")).status,
        401,
        "no body is asked for"
    );
}

#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut client = proxy.client();
    client.send("POST /api/generate HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
    let data = vec![b'x'; 4_000_000];
    let _ = client.try_send(&data);
    let answer = client.answer().expect("the answer isn't lost in a reset");
    assert_eq!((answer.status, answer.complete), (401, true));
    assert!(client.is_closed());
    assert_eq!(backend.lines().len(), 0);
}
