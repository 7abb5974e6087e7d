//! Two means that are needed together, by the real proxy with curl before it (scenario S7).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Files, Ollama, Proxy, SOON, Stream, within};

const KEY: &str = "x-api-key: sk-desk-00001";
const ALICE: [&str; 2] = ["-u", "alice:opensesame"];
const BOTH: [&str; 4] = ["-u", "alice:opensesame", "-H", KEY];

/// Changes what the credentials of [`BOTH`] are checked against.
type Edit = fn(&Files);

fn users(files: &Files, password: &str) -> String {
    let hash = bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap();
    files.write("users", &format!("alice:{hash}\n"))
}

/// A proxy that knows alice and her desk, and needs what `require` says.
fn proxy(files: &Files, ollama: &Ollama, require: &str) -> Proxy {
    let arguments = [
        "--config",
        &write_requirement(files, require),
        "--htpasswd",
        &users(files, "opensesame"),
        "--api-keys",
        &files.write("keys", "desk:sk-desk-00001\n"),
    ];
    Proxy::start(ollama, &arguments)
}

fn write_requirement(files: &Files, require: &str) -> String {
    files.write("proxy.yaml", &format!("credentials: {{require: {require}}}\n"))
}

#[test]
fn s7_two_means_together_come_in_and_either_alone_is_401() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = proxy(&files, &ollama, "All");
    let cases: &[(&str, &[&str])] = &[
        ("the password alone", &ALICE),
        ("the key alone", &["-H", KEY]),
        (
            "the key alone, as Bearer",
            &["-H", "Authorization: Bearer sk-desk-00001"],
        ),
        ("a wrong password", &["-u", "alice:opensesam", "-H", KEY]),
        ("an unknown user", &["-u", "bob:opensesame", "-H", KEY]),
        (
            "a wrong key",
            &["-u", "alice:opensesame", "-H", "x-api-key: sk-desk-00002"],
        ),
        ("both wrong", &["-u", "alice:x", "-H", "x-api-key: sk-desk-00002"]),
        (
            "two keys",
            &["-H", KEY, "-H", "Authorization: Bearer sk-desk-00002"],
        ),
        (
            "one key too many",
            &[
                "-u",
                "alice:opensesame",
                "-H",
                KEY,
                "-H",
                "X-Ollama-Token: sk-desk-00002",
            ],
        ),
        (
            "two in one header",
            &[
                "-H",
                KEY,
                "-H",
                "Authorization: Basic YWxpY2U6b3BlbnNlc2FtZQ==, Bearer sk-desk-00001",
            ],
        ),
    ];
    let missing = proxy.answer_without_date(&[]);
    assert!(missing.0[0].contains(" 401 "), "{missing:?}");
    for (name, arguments) in cases {
        assert_eq!(proxy.answer_without_date(arguments), missing, "{name}");
    }
    assert!(ollama.requests().is_empty(), "{:?}", ollama.requests());

    let thrice = [&BOTH[..], &["-H", "X-Ollama-Token: sk-desk-00001"]].concat();
    assert_eq!([proxy.code(&BOTH), proxy.code(&thrice)], [200, 200]);
    let heads = ollama.requests().concat().to_ascii_lowercase();
    assert!(
        !heads.contains("sk-desk") && !heads.contains("authorization"),
        "{heads}"
    );
    within(SOON, "the user names the client", || {
        proxy.output().contains("client=\"alice\" means=basic")
    });
    let clients = proxy.status()["clients"].clone();
    for client in clients.as_array().unwrap() {
        assert!(client["lastUsed"].is_string(), "both were used: {clients}");
    }
}

#[test]
fn s7_the_rotation_of_either_cuts_a_stream() {
    let cases: &[(&str, Edit)] = &[
        ("another password", |files| drop(users(files, "another"))),
        ("another key", |files| {
            files.write("keys", "desk:sk-desk-00002\n");
        }),
        ("the key of another client", |files| {
            files.write("keys", "lab:sk-desk-00001\n");
        }),
    ];
    for (name, rotate) in cases {
        let (files, ollama) = (Files::new(), Ollama::start());
        let proxy = proxy(&files, &ollama, "All");
        let mut stream = Stream::with(&proxy, &BOTH);
        within(SOON, name, || stream.lines() > 2);
        rotate(&files);
        within(SOON, name, || stream.ended().is_some());
        assert!(
            !stream.ended().unwrap().success(),
            "{name}: the answer isn't whole"
        );
    }
}

#[test]
fn s7_what_is_needed_changes_under_running_streams() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = proxy(&files, &ollama, "Any");
    assert_eq!(proxy.code(&BOTH), 401, "one is enough, so that two are too many");
    let mut one = Stream::with(&proxy, &ALICE);
    within(SOON, "a stream by one means", || one.lines() > 2);
    write_requirement(&files, "All");
    within(SOON, "one is no longer enough", || one.ended().is_some());

    let mut both = Stream::with(&proxy, &BOTH);
    within(SOON, "a stream by both", || both.lines() > 2);
    write_requirement(&files, "Any");
    within(SOON, "one is enough again", || proxy.code(&ALICE) == 200);
    let lines = both.lines();
    within(SOON, "the stream by both goes on", || both.lines() > lines + 5);
    assert!(both.ended().is_none());
}
