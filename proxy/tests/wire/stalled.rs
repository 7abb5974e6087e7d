//! Bodies that stop coming, and those that only seem to.

use std::io;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::{Backend, Exchange, Then};
use crate::client::Client;
use crate::http2;
use crate::proxy::{ADMIN, Proxy, SOON, USER, get, within};

/// On `/api/chat`, bodies of the user are read before they are forwarded, those of the admin are forwarded as they come.
const KEYS: [(&str, &str); 2] = [("held", USER), ("forwarded", ADMIN)];

/// Waits so many seconds for a byte.
fn waiting(backend: &Backend, seconds: u32, body: &str) -> Proxy {
    let config = format!(
        "access: [{{clients: [admin], allow: [Inference, Read, Manage]}}]\n\
         limits: {{timeouts: {{bodyIdleSeconds: {seconds}}}, body: {{{body}}}}}\n"
    );
    Proxy::configured(backend, &config)
}

/// A backend that tells when it is left before a body's end. It answers `/api/generate` before that.
fn left() -> (Backend, Receiver<()>) {
    let (leave, left) = mpsc::channel();
    let leave = Mutex::new(leave);
    let backend = Backend::answering(move |exchange| {
        let is_early = exchange.is("POST /api/generate ");
        if is_early {
            exchange.begin_stream()?;
            exchange.chunk("a")?;
        }
        match exchange.read_body() {
            Ok(_) => exchange.answer("200 OK", "{}"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            Err(_) => {
                leave.lock().unwrap().send(()).unwrap();
                Ok(Then::Close)
            }
        }
    });
    (backend, left)
}

fn head(path: &str, key: &str, length: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nx-api-key: {key}\r\nContent-Length: {length}\r\n\r\n")
}

#[test]
fn row_76_a_body_that_stops_is_answered_and_given_up() {
    let (backend, left) = left();
    let proxy = waiting(&backend, 1, "");
    let [held, forwarded] = KEYS;
    let ollama = "{\"error\":\"the request's body stopped coming\"}";
    let anthropic = "{\"error\":{\"message\":\"the request's body stopped coming\"";
    let cases = [
        (held, "/api/chat", ollama),
        (forwarded, "/api/chat", ollama),
        (forwarded, "/v1/messages", anthropic),
    ]
    .map(|((name, key), path, body)| {
        let mut client = proxy.client();
        client.send(head(path, key, 9) + "{");
        (format!("{name}, {path}"), client, body)
    });
    for (name, mut client, body) in cases {
        let answer = client.answer().unwrap();
        assert_eq!(answer.status, 408, "{name}");
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert!(answer.body.starts_with(body), "{name}: {}", answer.body);
        assert!(client.is_closed(), "{name}");
    }
    for _ in 0..2 {
        left.recv_timeout(SOON).expect("the upstream is told");
    }
    assert_eq!(backend.lines().len(), 2, "{:?}", backend.lines());
    within(SOON, "the reason in the log", || {
        proxy.output().matches("body_timeout").count() == 3
    });
}

#[test]
fn row_76_an_answer_to_a_body_that_stops_is_cut() {
    let (backend, left) = left();
    let proxy = waiting(&backend, 1, "");
    let mut client = proxy.client();
    client.send(head("/api/generate", ADMIN, 9) + "{");
    assert_eq!(client.head().unwrap().status, 200);
    assert_eq!(client.chunk().as_deref(), Some("a"));
    assert_eq!(client.chunk(), None, "no end");
    left.recv_timeout(SOON).expect("the upstream is told");
}

#[tokio::test]
async fn row_76_a_stream_whose_body_stops_ends_alone() {
    let (backend, left) = left();
    let proxy = waiting(&backend, 1, "");
    let mut client = http2::client::Client::connect(proxy.address).await;
    for (name, key) in KEYS {
        let request = http2::client::request("POST", "/api/chat", key);
        let mut stream = client.begin(request).await;
        stream.upload.send_data(Bytes::from_static(b"{"), false).unwrap();
        assert_eq!(stream.answer().await.status, 408, "{name}");
        let (status, _) = client.exchange(http2::client::get("/api/tags"), "").await;
        assert_eq!(status, 200, "{name}: another stream");
    }
    left.recv_timeout(SOON).expect("the upstream is told");
}

#[test]
fn a_body_that_comes_steadily_may_take_longer_than_the_limit() {
    const PIECES: u32 = 9;
    let proxy = waiting(&Backend::start(), 2, "");
    let mut clients = KEYS.map(|(name, key)| {
        let mut client = proxy.client();
        client.send(head("/api/chat", key, PIECES as usize + 2) + "{");
        (name, client)
    });
    for _ in 0..PIECES {
        thread::sleep(Duration::from_millis(300));
        clients.iter_mut().for_each(|(_, client)| client.send(" "));
    }
    for (name, mut client) in clients {
        assert_eq!(client.exchange("}").status, 200, "{name}");
    }
}

/// The client can't send more than the upstream takes.
#[test]
fn an_upstream_that_reads_late_is_not_the_clients_fault() {
    const LENGTH: usize = 32 << 20;
    let received = Arc::new(Mutex::new(0));
    let noted = Arc::clone(&received);
    let backend = Backend::answering(move |exchange: &mut Exchange| {
        thread::sleep(Duration::from_secs(4));
        *noted.lock().unwrap() = exchange.read_body()?;
        exchange.answer("200 OK", "{}")
    });
    let proxy = waiting(&backend, 2, "");
    let blob = format!("/api/blobs/sha256:{}", "a".repeat(64));
    // All at once, so that the client itself lets nobody wait.
    let request = head(&blob, ADMIN, LENGTH) + &"x".repeat(LENGTH);
    assert_eq!(proxy.exchange(request).status, 200);
    assert_eq!(*received.lock().unwrap(), LENGTH as u64);
}

/// Each takes more than half of the memory that there is for bodies.
#[test]
fn row_76_bodies_that_stop_give_their_memory_back() {
    const MOST: usize = 128 << 20;
    let proxy = waiting(&Backend::start(), 1, &format!("inference: {MOST}"));
    let body = vec![b' '; MOST / 2 + 1];
    for attempt in 1..=2 {
        let mut client = Client::connect(proxy.address);
        client.send(head("/api/chat", USER, MOST));
        client.send(&body);
        assert_eq!(client.answer().unwrap().status, 408, "attempt {attempt}");
    }
    assert_eq!(proxy.exchange(get("/api/tags")).status, 200);
}
