//! HTTP/2: what holds for HTTP/1.1 holds for each stream.

pub(crate) mod attack;
pub(crate) mod client;
mod flood;
pub(crate) mod frames;
mod malformed;

use std::fs;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;

use crate::backend::{Backend, Exchange};
use crate::proxy::{ADMIN, Proxy, SOON, USER, within};
use crate::reload::endless;
use crate::stream::told;
use client::{Answer, Client, get, request};

/// A generation under way.
async fn generate(client: &mut Client, key: &str) -> Answer {
    let mut stream = client.begin(request("POST", "/api/generate", key)).await;
    stream.upload.send_data(Bytes::from_static(b"{}"), true).unwrap();
    let answer = stream.answer().await;
    assert_eq!(answer.status, 200);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn each_chunk_arrives_before_the_next_is_sent() {
    let (backend, tell, _left) = told();
    let proxy = Proxy::start(&backend);
    let mut client = Client::connect(proxy.address).await;
    tell.send("begin").unwrap();
    let mut answer = generate(&mut client, USER).await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    for name in ["transfer-encoding", "connection", "keep-alive"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
    for chunk in ["{\"response\":\"a\"}\n", "{\"response\":\"b\"}\n", "{", "}\n"] {
        tell.send(chunk).unwrap();
        assert_eq!(answer.chunk().await, Some(Ok(chunk.to_owned())));
        assert!(answer.is_quiet().await);
        assert_eq!(client.exchange(get("/api/tags"), "").await.0, 200, "beside it");
    }
    tell.send("").unwrap();
    assert_eq!(answer.rest().await.as_deref(), Ok(""), "the end");
    let lines = backend.lines();
    assert!(lines.iter().all(|line| line.ends_with(" HTTP/1.1")), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_a_client_cancels_cancels_its_generation_and_no_other() {
    for (name, words) in [("before the answer", &[][..]), ("in its middle", &["begin", "a"])] {
        let (backend, tell, left) = told();
        let proxy = Proxy::start(&backend);
        let mut client = Client::connect(proxy.address).await;
        let mut stream = client.begin(request("POST", "/api/generate", USER)).await;
        stream.upload.send_data(Bytes::from_static(b"{}"), true).unwrap();
        within(SOON, name, || backend.lines().len() == 1);
        for word in words {
            tell.send(word).unwrap();
        }
        tell.send("await the end").unwrap();
        // A stream of which nothing is held any more is reset with CANCEL.
        if let Some(last) = words.last() {
            let mut answer = stream.answer().await;
            assert_eq!(answer.chunk().await, Some(Ok((*last).to_owned())), "{name}");
        } else {
            drop(stream);
        }
        assert!(left.recv_timeout(SOON).is_ok(), "{name}: the upstream is told");
        assert_eq!(
            client.exchange(get("/api/tags"), "").await.0,
            200,
            "{name}: the connection lives"
        );
        within(SOON, name, || proxy.output().contains("outcome=client_left"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_cancels_all_its_generations() {
    let (backend, tell, left) = told();
    let proxy = Proxy::start(&backend);
    let mut connection = frames::Connection::open(proxy.address);
    connection.send(&attack::ask(1, "POST", "/api/generate"));
    within(SOON, "a generation", || backend.lines().len() == 1);
    tell.send("await the end").unwrap();
    drop(connection);
    assert!(left.recv_timeout(SOON).is_ok(), "the upstream is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_client_loses_its_streams_and_others_on_the_connection_go_on() {
    let proxy = Proxy::start(&endless());
    let mut client = Client::connect(proxy.address).await;
    let mut user = generate(&mut client, USER).await;
    let mut admin = generate(&mut client, ADMIN).await;
    fs::write(proxy.path("keys"), format!("admin:{ADMIN}\n")).unwrap();
    assert_eq!(user.rest().await, Err(Some(Reason::INTERNAL_ERROR)));
    for _ in 0..20 {
        assert!(matches!(admin.chunk().await, Some(Ok(_))));
    }
    assert_eq!(client.exchange(get("/api/tags"), "").await.0, 401);
    assert_eq!(
        client.exchange(request("GET", "/api/tags", ADMIN), "").await.0,
        200
    );
    within(SOON, "a line in the log", || {
        proxy.output().contains("outcome=cut")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_streams_and_then_ends_connections() {
    let (backend, tell, _left) = told();
    let mut proxy = Proxy::start(&backend);
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let mut idle = Client::connect(proxy.address).await;
    assert_eq!(idle.exchange(get("/api/tags"), "").await.0, 200);
    let mut client = Client::connect(proxy.address).await;
    tell.send("begin").unwrap();
    let mut answer = generate(&mut client, USER).await;
    proxy.signal("TERM");
    idle.ended().await;
    assert!(proxy.ended().is_none(), "the stream still runs");
    tell.send("a").unwrap();
    tell.send("").unwrap();
    assert_eq!(answer.rest().await.as_deref(), Ok("a"));
    client.ended().await;
    within(SOON, "exit", || proxy.ended().is_some());
    assert_eq!(proxy.ended().unwrap().code(), Some(0));
    within(SOON, "the last line of the log", || {
        proxy.output().contains("/api/generate")
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_agree_to_the_end_hold_up_no_drain() {
    let mut proxy = Proxy::start(&Backend::start());
    within(SOON, "ready", || proxy.admin("/readyz").status == 200);
    let mut connection = frames::Connection::open(proxy.address);
    connection.send(&attack::ask(1, "GET", "/api/tags"));
    assert_eq!(
        frames::status(&connection.next_of(&[frames::HEADERS]).unwrap()),
        200
    );
    proxy.signal("TERM");
    within(SOON, "exit", || proxy.ended().is_some());
    assert_eq!(proxy.ended().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_framed_for_ollama_as_http_1_wants_it() {
    let backend = Backend::answering(|exchange| {
        let length = exchange.read_body()?;
        exchange.answer("200 OK", &length.to_string())
    });
    let proxy = Proxy::start(&backend);
    let mut client = Client::connect(proxy.address).await;
    let blob = format!("/api/blobs/sha256:{}", "a".repeat(64));
    let upload = || request("POST", &blob, ADMIN);
    let mut with_length = upload();
    with_length.headers_mut().insert("content-length", 3.into());
    for (name, request, body, framing) in [
        ("of known length", with_length, "abc", "content-length: 3"),
        ("of unknown length", upload(), "abc", "transfer-encoding: chunked"),
    ] {
        let answer = client.exchange(request, body).await;
        assert_eq!(answer, (200, body.len().to_string()), "{name}");
        let head = backend.heads().pop().unwrap();
        assert!(head.contains(&format!("\r\n{framing}\r\n")), "{name}: {head}");
        assert!(
            head.contains("\r\nx-forwarded-host: ollama\r\n"),
            "{name}: {head}"
        );
    }
    let mut answer = client.ask(get("/api/tags")).await.answer().await;
    assert_eq!(answer.rest().await.as_deref(), Ok("0"));
    let head = backend.heads().pop().unwrap();
    assert!(
        !head.contains("content-length") && !head.contains("transfer-encoding"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_head_have_no_content() {
    let proxy = Proxy::start(&Backend::start());
    let mut client = Client::connect(proxy.address).await;
    for (key, path, status, length) in [
        (USER, "/", 200, "2"),
        ("wrong-key-0123456789", "/", 401, "55"),
        (USER, "/api/chat", 405, "53"),
    ] {
        let mut answer = client.ask(request("HEAD", path, key)).await.answer().await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.headers["content-length"], length, "{path}");
        assert_eq!(answer.rest().await.as_deref(), Ok(""), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_79_an_upload_larger_than_all_windows() {
    const CHUNKS: usize = 512;
    let backend = Backend::answering(|exchange: &mut Exchange| {
        let length = exchange.read_body()?;
        exchange.answer("200 OK", &length.to_string())
    });
    let proxy = Proxy::start(&backend);
    let mut client = Client::connect(proxy.address).await;
    let blob = format!("/api/blobs/sha256:{}", "a".repeat(64));
    let mut stream = client.begin(request("POST", &blob, ADMIN)).await;
    let chunk = Bytes::from(vec![b'x'; 64 << 10]);
    for _ in 0..CHUNKS {
        let mut rest = chunk.clone();
        while !rest.is_empty() {
            stream.upload.reserve_capacity(rest.len());
            let ready = futures::future::poll_fn(|context| stream.upload.poll_capacity(context)).await;
            let part = rest.split_to(ready.unwrap().unwrap().min(rest.len()));
            stream.upload.send_data(part, false).unwrap();
        }
    }
    stream.upload.send_data(Bytes::new(), true).unwrap();
    let answer = stream.answer().await.rest().await.unwrap();
    assert_eq!(answer, (CHUNKS * chunk.len()).to_string());
    let peak = proxy.peak_memory();
    assert!(peak < 48 * 1024, "{answer} bytes took {peak} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_comes_while_the_client_is_still_sending_and_costs_only_its_stream() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut client = Client::connect(proxy.address).await;
    let mut stream = client
        .begin(request("POST", "/api/generate", "wrong-key-0123456789"))
        .await;
    // The stream may be over before all has been sent.
    let _ = stream.upload.send_data(Bytes::from(vec![b'x'; 4 << 20]), false);
    assert_eq!(stream.answer().await.status, 401);
    assert_eq!(client.exchange(get("/api/tags"), "").await.0, 200);
    assert_eq!(backend.lines().len(), 1);
}

#[test]
fn a_preface_in_pieces_is_one() {
    let proxy = Proxy::start(&Backend::start());
    let mut connection = frames::Connection::silent(proxy.address);
    for byte in frames::PREFACE {
        connection.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(2));
    }
    connection.send(&frames::frame(frames::SETTINGS, 0, 0, &[]));
    connection.send(&attack::ask(1, "GET", "/api/tags"));
    assert_eq!(
        frames::status(&connection.next_of(&[frames::HEADERS]).unwrap()),
        200
    );
    let mut half = frames::Connection::silent(proxy.address);
    half.send(&frames::PREFACE[..10]);
    half.end();
    assert_eq!(half.ended(), None, "what ends in the preface is closed at once");
}

#[test]
fn curl_speaks_it_without_having_asked() {
    let features = Command::new("curl").arg("--version").output().unwrap().stdout;
    if !String::from_utf8_lossy(&features).contains("HTTP2") {
        println!("left out: this curl has no HTTP/2");
        return;
    }
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (name, arguments, version) in [
        ("prior knowledge", &["--http2-prior-knowledge"][..], "2"),
        ("an upgrade, which is ignored", &["--http2"], "1.1"),
        (
            "a body",
            &["--http2-prior-knowledge", "--data", "{}", "--request", "POST"],
            "2",
        ),
    ] {
        let path = if name == "a body" {
            "/api/generate"
        } else {
            "/api/tags"
        };
        let output = Command::new("curl")
            .args([
                "--silent",
                "--max-time",
                "10",
                "--noproxy",
                "*",
                "--output",
                "/dev/null",
            ])
            .args(["--write-out", "%{response_code} %{http_version}"])
            .args(["--header", &format!("x-api-key: {USER}")])
            .args(arguments)
            .arg(format!("http://{}{path}", proxy.address))
            .output()
            .unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("200 {version}"),
            "{name}"
        );
    }
    assert_eq!(
        backend.lines(),
        [
            "GET /api/tags HTTP/1.1",
            "GET /api/tags HTTP/1.1",
            "POST /api/generate HTTP/1.1"
        ]
    );
}
