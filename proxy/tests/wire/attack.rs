//! Requests that two readers could understand differently. In every case nothing unauthenticated arrives, the count of
//! requests that arrive matches, and the next valid request succeeds. Cases with one number are one attack.

mod framing;
mod target;

use std::ops::RangeInclusive;

use crate::backend::Backend;
use crate::client::Client;
use crate::proxy::{Proxy, USER, get};

/// What comes back and what arrives: the statuses of the answers before the connection is closed, and how many requests
/// reach the backend. An answer without a status is a connection that is closed at once.
struct Case {
    name: &'static str,
    request: String,
    statuses: &'static [u16],
    arrive: RangeInclusive<usize>,
}

fn case(name: &'static str, request: impl Into<String>, statuses: &'static [u16], arrive: usize) -> Case {
    Case {
        name,
        request: request.into(),
        statuses,
        arrive: arrive..=arrive,
    }
}

/// A POST of a known client with these headers and this after the head.
fn post(headers: &str, body: &str) -> String {
    format!("POST /api/chat HTTP/1.1\r\nHost: a\r\nx-api-key: {USER}\r\n{headers}\r\n\r\n{body}")
}

/// Sends each case on a connection of its own and checks what came back and what arrived.
fn check(cases: Vec<Case>) {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for Case {
        name,
        request,
        statuses,
        arrive,
    } in cases
    {
        let before = backend.lines().len();
        let mut client = proxy.client();
        let _ = client.try_send(request.as_bytes());
        assert_eq!(answers(&mut client, statuses.len()), statuses, "{name}");
        drop(client);
        assert_eq!(
            proxy.exchange(get("/api/tags")).status,
            200,
            "{name}: the next request"
        );
        let lines = backend.lines();
        // The next request has arrived too.
        let arrived = lines.len() - before - 1;
        assert!(arrive.contains(&arrived), "{name}: {:?}", &lines[before..]);
        assert!(!backend.heads().concat().contains("/api/delete"), "{name}");
    }
}

/// The statuses of the answers; more than `expected` are shown too.
fn answers(client: &mut Client, expected: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    while statuses.len() < expected || !client.is_quiet() {
        match client.answer() {
            Some(answer) => statuses.push(answer.status),
            None => break,
        }
    }
    statuses
}
