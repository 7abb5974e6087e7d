//! Who is let in, by the real proxy with curl before it. Named after what people run today (scenarios S1 to S12).

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::process::Command;
use std::thread;
use std::time::Instant;

use support::{Files, Ollama, Proxy, SOON, corral_proxy, within};

/// Lines of `htpasswd`, all of the password `opensesame`, for machines that don't have it.
const LINES: [&str; 6] = [
    "B:$2y$04$Dyx3//5aVUao30GBuLZ5AeUmpeCgB/PFV0n1L2PU0mUn7WYSTSeyy",
    "m:$apr1$VXnvOigl$Lk98Ny4lw0Rq4vJh6.U230",
    "s:{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=",
    "2:$5$TsXHdCWdeAZbWZ4H$6/1hqSD7wJ6WSHBdZvByu9.hXXUcg/offTYe.oD0.a.",
    "5:$6$gqmliRnfNuc6Wkhx$kdGyj8dRiUXvf8MP.1M8FsNLUplgnj7T2lo10tEFgD9qO0wp3VupUtBu5HZEezAHyDynW.1K9iD1MKC3zNiGu0",
    "d:dLgeJqxDYJr4Y",
];

/// The line that `htpasswd` makes with an option, for a user who is called like the option.
fn htpasswd(user: &str) -> String {
    let made = Command::new("htpasswd")
        .args(["-n", "-b", &format!("-{user}"), user, "opensesame"])
        .output();
    match made {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap().trim().to_owned(),
        _ => {
            println!(
                "htpasswd isn't installed or doesn't know -{user}: taking a line that it made elsewhere"
            );
            LINES
                .iter()
                .find(|line| line.starts_with(user))
                .map(|line| (*line).to_owned())
                .unwrap()
        }
    }
}

#[test]
fn s1_the_users_of_an_htpasswd_file_come_in_and_nobody_else() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let names = ["B", "m", "s", "2", "5"];
    let users = files.write("users", &names.map(htpasswd).join("\n"));
    let proxy = Proxy::start(&ollama, &["--htpasswd", &users]);
    for user in names {
        let cases = [
            ("right", format!("{user}:opensesame"), 200),
            ("wrong", format!("{user}:opensesam"), 401),
        ];
        for (name, user_and_password, expected) in cases {
            // Twice: the second time it is remembered.
            for _ in 0..2 {
                assert_eq!(
                    proxy.code(&["-u", &user_and_password]),
                    expected,
                    "{user}: {name} password"
                );
            }
        }
    }
    assert_eq!(proxy.code(&["-u", "nobody:opensesame"]), 401, "unknown user");
    assert_eq!(proxy.code(&[]), 401, "no credential");
    let requests = ollama.requests();
    assert_eq!(
        requests.len(),
        2 * names.len(),
        "only the right ones have reached Ollama"
    );
    assert!(
        requests
            .iter()
            .all(|head| !head.to_ascii_lowercase().contains("authorization")),
        "{requests:?}"
    );
}

#[test]
fn s1_a_hash_that_is_not_accepted_is_refused_with_its_reason() {
    let files = Files::new();
    let users = files.write("users", &format!("{}\n{}\n", htpasswd("B"), htpasswd("d")));
    let output = corral_proxy(&["--listen", "127.0.0.1:0", "--htpasswd", &users])
        .output()
        .unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(message.lines().count(), 1, "{message}");
    for part in ["entry `users`, line 2: DES crypt is not accepted", "htpasswd -nB"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn s1_an_upgrade_is_not_passed_on() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = Proxy::start(&ollama, &["--api-keys", &files.write("keys", "sk-unnamed-1\n")]);
    let upgrade = [
        "-H",
        "X-Ollama-Token: sk-unnamed-1",
        "-H",
        "Connection: Upgrade",
        "-H",
        "Upgrade: websocket",
    ];
    assert_ne!(proxy.curl("/api/version", &upgrade).status, 101);
    let heads = ollama.requests().concat().to_ascii_lowercase();
    assert!(!heads.contains("upgrade"), "{heads}");
}

/// Caddy's usual cost is 14; 12 shows the same in a quarter of the time.
#[test]
fn s2_a_slow_hash_slows_the_first_request_only() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let hash = bcrypt::hash_with_salt("opensesame", 12, [7; 16]).unwrap();
    let proxy = Proxy::start(
        &ollama,
        &["--htpasswd", &files.write("users", &format!("alice:{hash}\n"))],
    );
    let mut times = (0..6).map(|_| {
        let start = Instant::now();
        assert_eq!(proxy.code(&["-u", "alice:opensesame"]), 200);
        start.elapsed()
    });
    let first = times.next().unwrap();
    let later = times.min().unwrap();
    let metrics = proxy.admin("/metrics");
    assert!(
        metrics.contains("corral_proxy_passwords_hashed_total 1\n"),
        "{metrics}"
    );
    assert!(
        later * 2 < first,
        "{first:?} for the first request, {later:?} for a later one"
    );
}

#[test]
fn s3_edits_of_a_key_file_are_in_force_without_a_restart() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let keys = files.write("keys", "# one key a line\nsk-first-0001\n");
    let mut proxy = Proxy::start(&ollama, &["--api-keys", &keys]);
    assert_eq!(
        [
            proxy.code_of_key("sk-first-0001"),
            proxy.code_of_key("sk-second-002")
        ],
        [200, 401]
    );

    files.write("keys", "sk-first-0001\r\n  sk-second-002  \r\n");
    within(SOON, "the new key is let in", || {
        proxy.code_of_key("sk-second-002") == 200
    });
    assert_eq!(
        proxy.code_of_key("sk-first-0001"),
        200,
        "the old one is still there"
    );

    files.write("keys", "sk-second-002\n");
    within(SOON, "the old key is refused", || {
        proxy.code_of_key("sk-first-0001") == 401
    });
    assert_eq!(proxy.code_of_key("sk-second-002"), 200);
    assert!(proxy.runs(), "without a restart");
}

#[test]
fn s4_each_header_that_clients_use_is_taken() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = Proxy::start(
        &ollama,
        &["--api-keys", &files.write("keys", "alice:sk-alice-0001\n")],
    );
    for name in [
        "X-Ollama-Token: ",
        "x-api-key: ",
        "Authorization: Bearer ",
        "authorization: bearer ",
    ] {
        assert_eq!(
            proxy.code(&["-H", &format!("{name}sk-alice-0001")]),
            200,
            "{name}"
        );
        assert_eq!(
            proxy.code(&["-H", &format!("{name}sk-alice-0002")]),
            401,
            "{name} and another key"
        );
    }
    for head in ollama.requests() {
        assert!(!head.contains("sk-alice"), "the key has reached Ollama: {head}");
    }
}

#[test]
fn s8_the_connection_test_of_a_desktop_client_says_the_version_or_401() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let proxy = Proxy::start(&ollama, &["--htpasswd", &files.write("users", &htpasswd("B"))]);
    // base64 of `B:opensesame`, which is typed into the client as a header of one's own.
    let good = proxy.curl("/api/version", &["-H", "Authorization: Basic QjpvcGVuc2VzYW1l"]);
    assert_eq!(
        (good.status, good.body.as_str()),
        (200, r#"{"version":"0.17.4"}"#)
    );
    let bad = proxy.curl("/api/version", &["-H", "Authorization: Basic Qjp4"]);
    assert_eq!(bad.status, 401);
    assert!(
        bad.head
            .to_ascii_lowercase()
            .contains("www-authenticate: basic realm="),
        "{}",
        bad.head
    );
}

#[test]
fn every_cause_has_the_same_answer_byte_for_byte() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let keys = files.write("keys", "alice:sk-alice-0001\nbob:sk-bob-00001\n");
    let proxy = Proxy::start(
        &ollama,
        &[
            "--htpasswd",
            &files.write("users", &htpasswd("B")),
            "--api-keys",
            &keys,
        ],
    );
    let cases: &[(&str, &[&str])] = &[
        ("unknown key", &["-H", "x-api-key: sk-nobody-001"]),
        ("unknown user", &["-u", "nobody:opensesame"]),
        ("wrong password", &["-u", "B:wrong"]),
        (
            "NUL in the password",
            &["-H", "Authorization: Basic QjpvcGVuc2VzYW1lAA=="],
        ),
        ("bad base64", &["-H", "Authorization: Basic !"]),
        ("unknown scheme", &["-H", "Authorization: Digest sk-alice-0001"]),
        ("no token", &["-H", "Authorization: Bearer"]),
        (
            "two tokens",
            &["-H", "Authorization: Bearer sk-alice-0001 sk-alice-0001"],
        ),
        (
            "joined",
            &["-H", "Authorization: Bearer sk-alice-0001, Bearer sk-alice-0001"],
        ),
        (
            "twice",
            &[
                "-H",
                "Authorization: Bearer sk-alice-0001",
                "-H",
                "Authorization: Bearer sk-alice-0001",
            ],
        ),
        (
            "good before bad",
            &[
                "-H",
                "Authorization: Bearer sk-alice-0001",
                "-H",
                "Authorization: Bearer x",
            ],
        ),
        (
            "bad before good",
            &[
                "-H",
                "Authorization: Bearer x",
                "-H",
                "Authorization: Bearer sk-alice-0001",
            ],
        ),
        (
            "two clients",
            &[
                "-H",
                "Authorization: Bearer sk-alice-0001",
                "-H",
                "x-api-key: sk-bob-00001",
            ],
        ),
        (
            "good beside bad",
            &["-H", "X-Ollama-Token: x", "-H", "x-api-key: sk-bob-00001"],
        ),
        ("the stored hash as key", &["-H", "x-api-key: sha256:00"]),
    ];
    let missing = proxy.answer_without_date(&[]);
    assert!(missing.0[0].contains(" 401 "), "{missing:?}");
    for (name, arguments) in cases {
        assert_eq!(proxy.answer_without_date(arguments), missing, "{name}");
    }
    assert!(
        ollama.requests().is_empty(),
        "something has reached Ollama: {:?}",
        ollama.requests()
    );
    let same_twice = [
        "-H",
        "Authorization: Bearer sk-alice-0001",
        "-H",
        "x-api-key: sk-alice-0001",
    ];
    assert_eq!(
        proxy.code(&same_twice),
        200,
        "one key in two headers, as some SDKs send it"
    );
}

/// Hashing is bounded and off the path of those who are in already.
#[test]
fn a_flood_of_wrong_passwords_does_not_slow_those_who_are_in() {
    let (files, ollama) = (Files::new(), Ollama::start());
    let hash = bcrypt::hash_with_salt("opensesame", 10, [7; 16]).unwrap();
    let users = files.write("users", &format!("alice:{hash}\n"));
    let proxy = Proxy::start(&ollama, &["--htpasswd", &users, "--threads", "1"]);
    assert_eq!(proxy.code(&["-u", "alice:opensesame"]), 200);
    thread::scope(|scope| {
        let proxy = &proxy;
        let guess = move |number: usize| proxy.code(&["-u", &format!("name-{number}:wrong")]);
        let flood: Vec<_> = (0..16).map(|number| scope.spawn(move || guess(number))).collect();
        let mut answered_under_way = 0;
        while flood.iter().any(|guess| !guess.is_finished()) {
            assert_eq!(proxy.code(&["-u", "alice:opensesame"]), 200);
            answered_under_way += 1;
        }
        assert!(
            answered_under_way > 1,
            "the flood was over too soon for this test"
        );
        let codes: Vec<_> = flood.into_iter().map(|guess| guess.join().unwrap()).collect();
        assert!(codes.iter().all(|code| matches!(code, 401 | 503)), "{codes:?}");
    });
}
