//! One connection, one request after the other: each is of whom it says, whatever the one before it was.

use std::fs;

use crate::backend::Backend;
use crate::client::Client;
use crate::proxy::{ADMIN, Proxy, SOON, USER, within};

fn ask(client: &mut Client, headers: &str) -> u16 {
    client
        .exchange(format!("GET /api/tags HTTP/1.1\r\nHost: a\r\n{headers}\r\n"))
        .status
}

/// The clients of the access log, one after the other.
fn clients(proxy: &Proxy) -> Vec<String> {
    let output = proxy.output();
    let lines = output.lines().filter(|line| line.contains("/api/tags"));
    let named = lines.filter_map(|line| line.split_once(" client=\"")?.1.split_once('"'));
    named.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn each_request_of_a_connection_is_of_whom_it_says() {
    let (user, admin) = (
        format!("Authorization: Bearer {USER}\r\n"),
        format!("Authorization: Bearer {ADMIN}\r\n"),
    );
    let nearly = user.replace("cdef\r\n", "cdeg\r\n");
    let cases = [
        ("a key", user.clone(), Some("user")),
        ("again", user.clone(), Some("user")),
        ("another's", admin.clone(), Some("admin")),
        ("the first's again", user.clone(), Some("user")),
        ("one letter off", nearly, None),
        ("after that", user.clone(), Some("user")),
        ("in another case", user.replace("Bearer", "bearer"), Some("user")),
        (
            "in another header",
            format!("x-api-key: {USER}\r\n"),
            Some("user"),
        ),
        (
            "with what belongs to the other",
            format!("x-api-key: Bearer {USER}\r\n"),
            None,
        ),
        (
            "and the key of another",
            format!("{user}x-api-key: {ADMIN}\r\n"),
            None,
        ),
        (
            "and the same",
            format!("{user}x-api-key: {USER}\r\n"),
            Some("user"),
        ),
        ("twice", format!("{user}{user}"), None),
        ("nothing", String::new(), None),
        ("at last", user.clone(), Some("user")),
    ];
    let proxy = Proxy::start(&Backend::start());
    let mut client = proxy.client();
    for (name, headers, expected) in &cases {
        let status = ask(&mut client, headers);
        assert_eq!(status, if expected.is_some() { 200 } else { 401 }, "{name}");
    }
    let expected: Vec<_> = cases.iter().filter_map(|(.., client)| *client).collect();
    within(SOON, "all are logged", || clients(&proxy).len() == expected.len());
    assert_eq!(clients(&proxy), expected);
}

#[test]
fn what_a_connection_has_shown_is_judged_by_what_is_in_force() {
    let proxy = Proxy::start(&Backend::start());
    let mut client = proxy.client();
    let header = format!("Authorization: Bearer {USER}\r\n");
    assert_eq!([ask(&mut client, &header), ask(&mut client, &header)], [200, 200]);
    fs::write(proxy.path("keys"), format!("admin:{ADMIN}\n")).unwrap();
    within(SOON, "the key is gone", || ask(&mut client, &header) == 401);
    fs::write(proxy.path("keys"), format!("heir:{USER}\n")).unwrap();
    within(SOON, "it is another's", || ask(&mut client, &header) == 200);
    within(SOON, "the other's name", || {
        clients(&proxy).last().is_some_and(|client| client == "heir")
    });
}
