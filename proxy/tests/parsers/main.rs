//! The parsers of all that comes from outside, with inputs by chance: near what is accepted, so that both sides of each
//! line are reached.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a property that doesn't hold fails"
)]

mod properties;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;

use properties::credential::KEY;
use properties::{answer, body, configuration, credential, credential_file, model, target};

/// An input that begins with the number of its variant.
fn numbered(most: usize, rest: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    (0..most, rest).prop_map(|(number, rest)| {
        let number = u8::try_from(number).unwrap();
        [&[number][..], &rest].concat()
    })
}

/// Words in a row, a few times broken by any bytes.
fn words(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        20 => select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(word, 0..most).prop_map(|words| words.concat())
}

const OF_TARGETS: &[&str] = &[
    "GET ",
    "POST ",
    "DELETE ",
    "HEAD ",
    "/",
    "//",
    "api",
    "v1",
    "tags",
    "chat",
    "delete",
    "models",
    "gemma3:270m",
    "blobs",
    "sha256:",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "..",
    ".",
    "%2f",
    "%2e",
    "%",
    ";",
    "\\",
    "?",
    "#",
    "ts=1",
    "&",
    "http://a",
    "*",
    "\nhost: a",
    "\nhost:b",
    "\ncontent-length: 1",
    "\ntransfer-encoding: chunked",
    "\nupgrade: h2c",
    ",",
];
const OF_NAMES: &[&str] = &[
    "gemma3",
    "LLAMA3",
    "registry.ollama.ai",
    "library",
    "hf.co",
    "/",
    ":",
    "latest",
    "-",
    "_",
    ".",
    "*",
    "0star0",
    "0STAR1",
    "star",
    "0",
    " ",
    "\u{e9}",
    "%2f",
];
const OF_FILES: &[&str] = &[
    "alice",
    "bob",
    ":",
    "\n",
    "\r",
    " ",
    "\t",
    "#",
    "\0",
    "file\n",
    "auth\n",
    "username\n",
    "password\n",
    "sk-0123456789",
    "sha256:",
    "ccaebe50b8f1a22c3de58569ef2a814c286f65c0514f238e176598f0640e12bb",
    "{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=",
    "{SSHA}",
    "$2y$04$",
    "Dyx3//5aVUao30GBuLZ5AeUmpeCgB/PFV0n1L2PU0mUn7WYSTSeyy",
    "$apr1$VXnvOigl$Lk98Ny4lw0Rq4vJh6.U230",
    "$5$rounds=1000$",
    "$6$",
    "$",
    "ssh-ed25519 ",
    "AAAAC3NzaC1lZDI1NTE5AAAAIAxGSmMrXi+qzIgoLRfNOcaZ8fMnXUvqT4sitE1g1GD3",
    "ssh-rsa ",
    "key-2",
    "\u{feff}",
    "\u{e9}",
];
const OF_BODIES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"model\":",
    "\"name\":",
    "\"MODEL\":",
    "\"\\u006dodel\":",
    "\"from\":",
    "\"source\":",
    "\"destination\":",
    "\"keep_alive\":",
    "\"\u{212a}eep_alive\":",
    "\"prompt\":",
    "\"messages\":",
    "\"input\":",
    "\"a\"",
    "\"b:1\"",
    "\"\"",
    "0",
    "-1",
    "\"0s\"",
    "\"5m\"",
    "null",
    "true",
    " ",
    "\n",
    "1e400",
    "\"\\ud800\"",
];
const OF_ANSWERS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "data:",
    "data: ",
    "event: x\n",
    "\"model\":",
    "\"gemma3\"",
    "\"done\":",
    "true",
    "false",
    "null",
    "\"prompt_eval_count\":",
    "\"eval_count\":",
    "\"usage\":{",
    "\"prompt_tokens\":",
    "\"completion_tokens\":",
    "\"choices\":[{",
    "\"finish_reason\":",
    "\"type\":",
    "\"message_start\"",
    "\"message\":{",
    "\"response\":{",
    "\"input_tokens\":",
    "\"output_tokens\":",
    "12",
    "3",
    "18446744073709551616",
    "1.5",
    "\\",
    "\"",
    "[DONE]",
];
const OF_CONFIGURATIONS: &[&str] = &[
    "access:",
    "\n",
    "  ",
    "- ",
    "clients: [a]",
    "allow: [Read]",
    "models: [\"*\"]",
    "credentials:",
    "apiKeys: {path: a}",
    "basic:",
    " {path: b, key: c}",
    "network:",
    "allowedCIDRs: [10.0.0.0/8]",
    "listen: 127.0.0.1:1",
    "upstream: http://a:1",
    "limits:",
    "body: {inference: 1}",
    "log: {format: json}",
    "threads: 1",
    "threads: 0",
    "*a",
    "&a ",
    "!!str ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ", ",
    "\"",
    "'",
    "|",
    "notAfter: 2026-01-02T03:04:05Z",
    "models:",
    "name: a",
    "shutdown: {drainSeconds: 1}",
    "~",
];

/// A value of a credential's header.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let password = STANDARD.encode("alice:opensesame");
    let parts: Vec<String> = [
        KEY, "Bearer ", "bearer  ", "Basic ", "BASIC ", " ", "\t", ",", "", "Digest ", &password, "x", "=",
        "alice",
    ]
    .map(str::to_owned)
    .to_vec();
    let part = prop_oneof![
        12 => select(parts).prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat())
}

/// Headers, each by the number of its name.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(numbered(4, value()), 0..4).prop_map(|lines| lines.join(&b'\n'))
}

proptest! {
    #[test]
    fn a_target_is_forwarded_as_it_came_or_not_at_all(data in words(OF_TARGETS, 12)) {
        target::check(&data);
    }

    #[test]
    fn a_models_name_has_one_form(data in words(OF_NAMES, 8)) {
        model::check(&data);
    }

    #[test]
    fn nobody_is_let_in_but_by_one_good_credential(data in headers()) {
        credential::check(&data);
    }

    #[test]
    fn a_credential_file_is_read_whole_or_not_at_all(data in numbered(3, words(OF_FILES, 24))) {
        credential_file::check(&data);
    }

    #[test]
    fn a_body_has_one_reading(data in numbered(7, words(OF_BODIES, 16))) {
        body::check(&data);
    }

    #[test]
    fn an_answer_is_counted_the_same_however_it_is_cut(
        data in numbered(8, numbered(256, words(OF_ANSWERS, 40))),
    ) {
        answer::check(&data);
    }

    #[test]
    fn a_configuration_is_what_would_be_written(data in words(OF_CONFIGURATIONS, 20)) {
        configuration::check(&data);
    }

    #[test]
    fn no_bytes_at_all_break_a_parser(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let properties: [fn(&[u8]); 7] = [
            target::check, model::check, credential::check, credential_file::check, body::check, answer::check,
            configuration::check,
        ];
        for check in properties {
            check(&data);
        }
    }

    /// What a user sends is what is compared, to the byte.
    #[test]
    fn a_name_and_password_arrive_as_they_are_sent(name in "[a-z]{1,8}", password in "[ -~]{1,20}") {
        let sent = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        credential::check(&[&[0], sent.as_bytes()].concat());
    }

    /// Keys and their owners come out of a file as they went in.
    #[test]
    fn keys_are_read_as_they_were_written(
        owners in prop::collection::btree_map("[a-z]{1,8}", "[!-+;-~.-9]{8,40}", 1..6),
    ) {
        let distinct: std::collections::BTreeSet<_> = owners.values().collect();
        prop_assume!(distinct.len() == owners.len() && owners.values().all(|key| !key.contains(',')));
        let file: String = owners.iter().map(|(name, key)| format!("{name} : {key}\n")).collect();
        let entries = corral_proxy::digest::Entries::from([("keys".to_owned(), file.into_bytes())]);
        let kind = corral_proxy::credentials::CredentialKind::ApiKeys;
        let parsed = corral_proxy::credentials::parse(kind, Some("keys"), &entries).unwrap();
        prop_assert!(parsed.clients().into_iter().eq(owners.keys()));
    }
}

/// The strategies reach what is accepted, not only what is refused.
#[test]
fn a_stream_of_ollamas_is_counted() {
    let body = b"{\"model\":\"gemma3\",\"done\":true,\"prompt_eval_count\":12,\"eval_count\":3}\n";
    let read = answer::read("/api/chat", "application/x-ndjson", [&body[..]]);
    assert_eq!(read, (12, 3, false, Some("gemma3".to_owned()), 0));
}
