//! The configuration changes under the running proxy.

use std::fs;

use crate::backend::{Backend, Then};
use crate::client::Client;
use crate::proxy::{ADMIN, Proxy, SOON, USER, get, request, within};

/// A backend whose generations last until they are left.
pub(crate) fn endless() -> Backend {
    Backend::answering(|exchange| {
        if exchange.is("GET ") {
            return exchange.answer_at_once();
        }
        exchange.read_body()?;
        exchange.stream_until_left().map(|()| Then::Close)
    })
}

fn stream(proxy: &Proxy, key: &str) -> Client {
    let mut client = proxy.client();
    client.send(request("POST", "/api/generate", key, "{}"));
    assert_eq!(client.head().unwrap().status, 200);
    client
}

/// Reads on until the stream ends; whether it was broken off.
fn is_cut(client: &mut Client) -> bool {
    loop {
        match client.chunk() {
            None => return true,
            Some(chunk) if chunk.is_empty() => return false,
            Some(_) => {}
        }
    }
}

#[test]
fn a_stream_that_is_no_longer_allowed_is_cut_and_the_others_go_on() {
    type Edit = fn(&Proxy);
    let cases: &[(&str, Edit, u16)] = &[
        (
            "a rule takes it away",
            |proxy| proxy.configure("access: [{clients: [user], allow: [Read]}]\n"),
            403,
        ),
        (
            "a rule shuts the client out",
            |proxy| proxy.configure("access: [{clients: [us*], allow: []}]\n"),
            403,
        ),
        (
            "the key is gone",
            |proxy| fs::write(proxy.path("keys"), format!("admin:{ADMIN}\n")).unwrap(),
            401,
        ),
    ];
    for (name, edit, status) in cases {
        let backend = endless();
        let proxy = Proxy::start(&backend);
        let (mut user, mut admin) = (stream(&proxy, USER), stream(&proxy, ADMIN));
        edit(&proxy);
        assert!(is_cut(&mut user), "{name}");
        for _ in 0..20 {
            assert!(
                admin.chunk().is_some_and(|chunk| !chunk.is_empty()),
                "{name}: the other goes on"
            );
        }
        let answer = proxy.exchange(request("POST", "/api/generate", USER, "{}"));
        assert_eq!(answer.status, *status, "{name}");
        let line = "outcome=cut";
        within(SOON, name, || proxy.output().contains(line));
    }
}

#[test]
fn addresses_that_are_shut_out_are_cut() {
    let proxy = Proxy::start(&endless());
    let mut user = stream(&proxy, USER);
    proxy.configure("network: {allowedCIDRs: [192.0.2.0/24]}\n");
    assert!(is_cut(&mut user));
    assert_eq!(proxy.exchange(get("/api/tags")).status, 403);
}

#[test]
fn a_malformed_configuration_leaves_the_last_good_one_in_force() {
    let good = "access: [{clients: [admin], allow: [Manage]}]\n";
    let cases = [
        ("acess: []\n", "unknown field `acess`"),
        ("access: [\n", "line"),
        ("access: [{clients: [], allow: []}]\n", "access[0].clients"),
        ("network: {allowedCIDRs: [ten]}\n", "network.allowedCIDRs[0]"),
    ];
    let proxy = Proxy::configured(&Backend::start(), good);
    let delete = || {
        proxy
            .exchange(request("DELETE", "/api/delete", ADMIN, "{}"))
            .status
    };
    let error = || {
        proxy.status()["configuration"]["error"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let digest = proxy.status()["configuration"]["digest"].clone();
    for (config, message) in cases {
        proxy.configure(config);
        within(SOON, message, || error().contains(message));
        assert_eq!(delete(), 200, "{message}: the last good rules");
        assert_eq!(proxy.status()["configuration"]["digest"], digest, "{message}");
    }
    fs::write(proxy.path("keys"), format!("admin:{ADMIN}\n")).unwrap();
    within(SOON, "credentials are still read anew", || {
        proxy.exchange(get("/api/tags")).status == 401
    });
    proxy.configure("access: [{clients: [admin], allow: [Read]}]\n");
    within(SOON, "a good one comes into force", || error().is_empty());
    assert_eq!(delete(), 403);
    assert_ne!(proxy.status()["configuration"]["digest"], digest);
}

#[test]
fn what_is_read_at_start_only_is_said_to_be() {
    let proxy = Proxy::configured(&Backend::start(), "log: {format: text}\n");
    proxy.configure("log: {format: json}\nthreads: 7\nupstream: http://192.0.2.1:1\n");
    assert_eq!(proxy.exchange(get("/api/tags")).status, 200);
    within(SOON, "JSON", || {
        let _ = proxy.exchange(get("/api/tags"));
        proxy
            .output()
            .lines()
            .any(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    });
    // Flags win over the file: this proxy has both from flags, so that nothing has changed.
    assert!(
        !proxy.output().contains("changes only at the next start"),
        "{}",
        proxy.output()
    );
    proxy.configure("shutdown: {drainSeconds: 1}\n");
}
