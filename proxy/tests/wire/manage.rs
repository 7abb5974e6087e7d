//! The routes that change models, and those of Ollama's account, are closed (scenario S12).

use crate::backend::Backend;
use crate::proxy::{ADMIN, Proxy, USER, request};

const BLOB: &str = "/api/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const MANAGE: [(&str, &str); 7] = [
    ("POST", "/api/pull"),
    ("POST", "/api/push"),
    ("POST", "/api/create"),
    ("POST", "/api/copy"),
    ("DELETE", "/api/delete"),
    ("POST", BLOB),
    ("HEAD", BLOB),
];
const ACCOUNT: [(&str, &str); 5] = [
    ("POST", "/api/me"),
    ("POST", "/api/signout"),
    ("DELETE", "/api/user/keys/AAAA"),
    ("POST", "/api/experimental/web_search"),
    ("POST", "/api/experimental/web_fetch"),
];

#[test]
fn s12_only_manage_clients_change_models() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (method, path) in MANAGE.iter().chain(&ACCOUNT) {
        let mut client = proxy.client();
        client.send(request(method, path, USER, ""));
        assert_eq!(client.head().unwrap().status, 403, "{method} {path} by a user");
        assert_eq!(backend.lines().len(), 0, "{method} {path} by a user");
        client = proxy.client();
        client.send(request(method, path, "wrong-key-0123456789", ""));
        assert_eq!(client.head().unwrap().status, 401, "{method} {path} by nobody");
    }
    assert_eq!(backend.lines().len(), 0);
    for (method, path) in ACCOUNT {
        assert_eq!(
            proxy.exchange(request(method, path, ADMIN, "")).status,
            403,
            "{method} {path} by an admin"
        );
    }
    for (method, path) in MANAGE {
        let mut client = proxy.client();
        client.send(request(method, path, ADMIN, ""));
        assert_eq!(client.head().unwrap().status, 200, "{method} {path} by an admin");
        assert_eq!(backend.lines().pop(), Some(format!("{method} {path} HTTP/1.1")));
    }
}

/// Other ways to write a path that some routers take for the same.
fn spellings(path: &str) -> Vec<String> {
    let (before, last) = path.rsplit_once('/').unwrap();
    let first = last.as_bytes()[0];
    vec![
        format!("{before}/%{first:02x}{}", &last[1..]),
        format!("{before}/%25{first:02x}{}", &last[1..]),
        format!("{before}%2F{last}"),
        format!("{before}%2f{last}"),
        format!("{before}//{last}"),
        format!("{before}/./{last}"),
        format!("{before}/x/../{last}"),
        format!("{before}/%2e/{last}"),
        format!("{before}/x/%2e%2e/{last}"),
        format!("/.{path}"),
        format!("/{path}"),
        format!("/v1/..{path}"),
        format!("/api/tags/..{path}"),
        format!("/api/tags;{path}"),
        format!("/api/tags%3f{path}"),
        format!("/api/tags%00{path}"),
        format!("{path}/"),
        format!("{path};a=b"),
        format!("{path}%20"),
        format!("{path}%00"),
        format!("{path}%23"),
        format!("{path}%3fa"),
        format!("{path}\\"),
        format!("{before}\\{last}"),
        format!("{before}/{}", last.to_ascii_uppercase()),
        format!("http://localhost{path}"),
        format!("http://localhost:11434{path}"),
    ]
}

/// Whoever asks, what isn't the very path doesn't arrive: not for a user, and not for an admin either, so that a
/// spelling can't mean one thing here and another in Ollama.
#[test]
fn s12_no_spelling_of_a_path_opens_it() {
    let backend = Backend::start();
    let proxy = Proxy::start(&backend);
    for (method, path) in MANAGE {
        for spelling in spellings(path) {
            for key in [USER, ADMIN] {
                let mut client = proxy.client();
                client.send(request(method, &spelling, key, ""));
                let status = client.head().unwrap().status;
                // The blob's digest may be written in capitals: that is another name of the same route.
                let refused: &[u16] = if path == BLOB {
                    &[400, 403, 404]
                } else {
                    &[400, 404, 405]
                };
                let same_route = key == ADMIN && spelling.eq_ignore_ascii_case(BLOB);
                assert!(
                    refused.contains(&status) || same_route,
                    "{method} {spelling}: {status}"
                );
            }
        }
    }
    let arrived = backend.lines();
    assert!(
        arrived
            .iter()
            .all(|line| line.to_ascii_lowercase().contains(&BLOB.to_ascii_lowercase())),
        "{arrived:?}"
    );
}
