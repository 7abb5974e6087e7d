//! Groups that tokens give their bearers.

use serde_json::{Value, json};

use super::issuer::{Issuer, claims, with};
use super::{SOON, bearer, code, configure_with_access, start};
use crate::backend::Backend;
use crate::proxy::within;

#[test]
fn s5_groups_of_a_token_decide_what_its_bearer_may() {
    let (idp, backend) = (Issuer::new("one"), Backend::start());
    let proxy = start(&backend, &idp);
    let rules = "{groups: [gone], allow: []}, {clients: [admin], groups: ['team-*'], allow: [Manage]}";
    configure_with_access(&proxy, "groupsClaim: realm.roles", rules);
    let token = |client: &str, groups: Value| {
        let claims = with(&claims(client), &json!({"realm": {"roles": groups}}));
        idp.sign(&idp.header(), &claims)
    };
    within(SOON, "the rules are in force", || {
        code(&proxy, &token("admin", json!([]))) == 403
    });
    // What each may: look at models, change them.
    let cases = [
        ("without the claim", idp.token("alice"), [200, 403]),
        ("without groups", token("alice", json!([])), [200, 403]),
        ("with another group", token("alice", json!(["ops"])), [200, 403]),
        (
            "with the group",
            token("alice", json!(["ops", "team-a"])),
            [403, 200],
        ),
        (
            "with the group alone",
            token("alice", json!("team-a")),
            [403, 200],
        ),
        ("by name", token("admin", json!(["ops"])), [403, 200]),
        ("shut out", token("admin", json!(["team-a", "gone"])), [403, 403]),
        ("with what is no group", token("admin", json!([1])), [401, 401]),
        ("with what is no list", token("admin", json!({})), [401, 401]),
    ];
    // Twice: the second time the token is known.
    for (name, token, statuses) in cases.iter().chain(&cases) {
        let read = code(&proxy, token);
        let manage = proxy.exchange(bearer("POST", "/api/pull", token)).status;
        assert_eq!([read, manage], *statuses, "{name}");
    }
}

/// Streams are judged again by the groups of the token that they began with.
#[test]
fn a_stream_is_cut_when_its_groups_may_no_longer() {
    let (idp, backend) = (Issuer::new("one"), Backend::generating());
    let proxy = start(&backend, &idp);
    let groups = "groupsClaim: groups";
    let of_group = |group: &str| {
        let claims = with(&claims("alice"), &json!({"groups": [group]}));
        idp.sign(&idp.header(), &claims)
    };
    let (stays, leaves) = (of_group("stays"), of_group("leaves"));
    configure_with_access(&proxy, groups, "{groups: [stays, leaves], allow: [Inference]}");
    within(SOON, "groups are in force", || {
        [&stays, &leaves].map(|token| code(&proxy, token)) == [403, 403]
    });
    let [mut stays, mut leaves] = [stays, leaves].map(|token| {
        let mut stream = proxy.client();
        stream.send(bearer("POST", "/api/generate", &token));
        assert_eq!(stream.head().unwrap().status, 200);
        stream
    });
    configure_with_access(
        &proxy,
        groups,
        "{groups: [leaves], allow: []}, {groups: [stays], allow: [Inference]}",
    );
    while let Some(chunk) = leaves.chunk() {
        assert!(!chunk.is_empty(), "the stream came to its end");
    }
    assert!(
        stays.chunk().is_some_and(|chunk| !chunk.is_empty()),
        "the other goes on"
    );
}
