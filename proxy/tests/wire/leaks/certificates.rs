//! Whoever shows a certificate that lets nobody in gets the very answer of those who show nothing.

use std::io::{Read, Write};

use rcgen::DnType;

use super::same_answer::{SHAPES, WRONG, ask};
use crate::backend::Backend;
use crate::client_certificates::{Certified, Guarded, WITHOUT_KEY, authority};
use crate::proxy::{SOON, USER, within};
use crate::tls::{Secure, status};

/// The last answer on a connection, all of it but the time.
fn last_answer(client: &mut Secure, request: &str) -> Vec<String> {
    let request = request.replace("Host:", "Connection: close\r\nHost:");
    client.get_mut().write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let lines = answer.lines().filter(|line| !line.starts_with("date: "));
    lines.map(str::to_owned).collect()
}

/// Other certificates are refused in the handshake.
#[test]
fn row_86_the_same_401_for_every_certificate() {
    let (leaving, staying) = (authority("leaving"), authority("staying"));
    let backend = Backend::start();
    let guarded = Guarded::start(&backend, &[&leaving, &staying]);
    let (alice, bob) = (leaving.certify("alice"), staying.certify("bob"));
    let nameless = staying.certify_with("bob", |parameters| {
        parameters.distinguished_name.remove(DnType::CommonName);
    });
    let kept = SHAPES.map(|_| {
        let mut client = guarded.connect(&guarded.client(Some(&alice)));
        assert_eq!(status(&mut client, WITHOUT_KEY).ok(), Some(200));
        client
    });
    guarded.trust(&[&staying]);
    within(SOON, "its authority is trusted no more", || {
        guarded.answers(Some(&alice), WITHOUT_KEY).is_none()
    });
    let before = backend.lines().len();
    let [key, wrong_key] = [USER, WRONG].map(|key| format!("x-api-key: {key}\r\n"));
    for ((path, begins), mut kept) in SHAPES.into_iter().zip(kept) {
        let answer = |shows: Option<&Certified>, headers: &str| {
            last_answer(&mut guarded.connect(&guarded.client(shows)), &ask(path, headers))
        };
        let expected = answer(None, "");
        assert!(
            expected[0].contains(" 401 ") && expected.last().unwrap().starts_with(begins),
            "{path}: {expected:?}"
        );
        let cases = [
            (
                "of an authority that is gone",
                last_answer(&mut kept, &ask(path, "")),
            ),
            ("without a name", answer(Some(&nameless), "")),
            ("beside a key", answer(Some(&bob), &key)),
            ("beside a wrong key", answer(Some(&bob), &wrong_key)),
        ];
        for (name, seen) in cases {
            assert_eq!(seen, expected, "{path}: a certificate {name}");
        }
    }
    assert_eq!(backend.lines().len(), before, "none has arrived");
}
