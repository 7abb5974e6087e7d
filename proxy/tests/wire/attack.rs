//! Requests that two readers could understand differently. In every case nothing unauthenticated arrives, what arrives
//! can be read in one way only, its count matches, and the next valid request succeeds. Each test is a row of
//! docs/security-tests.md.

mod arrived;
mod bodies;
mod framing;
mod heads;
mod target;

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::backend::Backend;
use crate::client::{Client, MOMENT};
use crate::proxy::{Proxy, USER, get};
use arrived::Arrived;

/// What comes back and what arrives: the statuses of the answers before the connection is closed, and how many requests
/// reach the backend. An answer without a status is a connection that is closed at once.
struct Case {
    name: &'static str,
    request: Vec<u8>,
    statuses: &'static [u16],
    arrive: RangeInclusive<usize>,
}

fn case(name: &'static str, request: impl Into<Vec<u8>>, statuses: &'static [u16], arrive: usize) -> Case {
    Case {
        name,
        request: request.into(),
        statuses,
        arrive: arrive..=arrive,
    }
}

/// What an attacker would like to see arrive, or be judged as a request of its own.
const SMUGGLED: &str = "DELETE /api/delete HTTP/1.1\r\nHost: a\r\n\r\n";

/// A POST of a known client with these headers and this after the head.
fn post(headers: &str, body: &str) -> String {
    format!("POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{headers}\r\n\r\n{body}")
}

/// A GET of a known client with these headers.
fn get_with(headers: &str) -> String {
    format!("GET /api/tags HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{headers}\r\n\r\n")
}

/// Sends each case on a connection of its own and checks what came back and what arrived: that is the request which the
/// case begins with, and nothing that hides in it.
fn check(cases: impl IntoIterator<Item = Case>) {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    let mut open = Vec::new();
    for case in cases {
        let before = backend.lines().len();
        let mut client = proxy.client();
        let _ = client.try_send(&case.request);
        assert_eq!(answers(&mut client, &case), case.statuses, "{}", case.name);
        open.push((case.name, client));
        check_arrived(&backend, &proxy, before, &case);
    }
    let arrived = backend.lines().len();
    check_nothing_more_comes(open);
    assert_eq!(backend.lines().len(), arrived, "{:?}", backend.lines());
}

fn check_arrived(backend: &Backend, proxy: &Proxy, before: usize, case: &Case) {
    let name = case.name;
    assert_eq!(
        proxy.exchange(get("/api/ps")).status,
        200,
        "{name}: the next request"
    );
    let mut lines = backend.lines().split_off(before);
    assert_eq!(lines.pop().as_deref(), Some("GET /api/ps HTTP/1.1"), "{name}");
    assert!(case.arrive.contains(&lines.len()), "{name}: {lines:?}");
    let asked = asked(&case.request);
    assert!(lines.iter().all(|line| *line == asked), "{name}: {lines:?}");
    assert_eq!(
        arrivals(backend, name).len(),
        backend.lines().len(),
        "{name}: two readers agree"
    );
}
/// The line that arrives of a request.
fn asked(request: &[u8]) -> String {
    let text = String::from_utf8_lossy(request);
    let words: Vec<_> = text.split_ascii_whitespace().take(2).collect();
    format!("{} HTTP/1.1", words.join(" "))
}

/// All requests that have arrived, strictly read.
fn arrivals(backend: &Backend, name: &str) -> Vec<Arrived> {
    let connections = backend.connections();
    let requests = connections.iter().map(|bytes| arrived::requests(bytes));
    let requests: Result<Vec<_>, _> = requests.collect();
    requests
        .unwrap_or_else(|error| panic!("{name}: ambiguous: {error}"))
        .concat()
}

/// The statuses of as many answers as are expected; fewer where the connection is closed before.
fn answers(client: &mut Client, case: &Case) -> Vec<u16> {
    // An answer to HEAD has no body, whatever its length says.
    let has_body = !case.request.starts_with(b"HEAD ");
    let expected = case.statuses.iter();
    expected
        .map_while(|_| if has_body { client.answer() } else { client.head() })
        .map(|answer| answer.status)
        .collect()
}

/// Looks at all connections after one moment, in which whatever was still on its way has come.
fn check_nothing_more_comes(clients: Vec<(&str, Client)>) {
    let mut wait = MOMENT;
    for (name, mut client) in clients {
        if !client.is_quiet_for(wait) {
            client.end();
            assert_eq!(
                client.answer().map(|answer| answer.status),
                None,
                "{name}: another answer"
            );
        }
        wait = Duration::from_millis(1);
    }
}
