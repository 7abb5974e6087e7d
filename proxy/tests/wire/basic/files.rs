//! What an htpasswd file may hold, and what becomes of its users when it changes.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Guarded, authorized, line};
use crate::backend::{Backend, Then};
use crate::process::corral_proxy;

#[test]
fn row_57_files_with_faults() {
    let good = line("alice", "open");
    let hash = good.trim_end().strip_prefix("alice:").unwrap();
    let refused = [
        (
            "a cost of 31",
            format!("{good}bob:{}\n", hash.replace("$04$", "$31$")),
            "a bcrypt cost is 4 to 17",
        ),
        (
            "a cost of 3",
            format!("{good}bob:{}\n", hash.replace("$04$", "$03$")),
            "a bcrypt cost is 4 to 17",
        ),
        (
            "a cost that is none",
            format!("{good}bob:{}\n", hash.replace("$04$", "$+4$")),
            "a damaged bcrypt hash",
        ),
        (
            "a line without a colon",
            format!("{good}bob\n"),
            "line 2: no colon",
        ),
        (
            "a line without a hash",
            format!("{good}bob:\n"),
            "line 2: no hash",
        ),
        (
            "a hash that is cut off",
            format!("{good}bob:{}\n", &hash[..40]),
            "line 2: a damaged bcrypt hash",
        ),
        (
            "a user twice",
            format!("{good}{good}"),
            "line 2: the same user as in line 1",
        ),
        (
            "rounds without end",
            format!("{good}bob:$5$rounds=999999999$salt$hash\n"),
            "rounds are 1000 to 1000000",
        ),
    ];
    let not_utf8 = [good.as_bytes(), b"bob\xff\n"].concat();
    let guarded = Guarded::start(&good);
    let refused = refused.map(|(name, file, message)| (name, file.into_bytes(), message));
    for (name, file, message) in refused
        .iter()
        .chain(&[("no UTF-8", not_utf8, "line 2: not UTF-8")])
    {
        guarded.write(file);
        guarded.becomes(name, "alice:open", 401);
        let error = guarded.proxy.status()["credentials"][0]["error"].to_string();
        assert!(error.contains(message), "{name}: {error}");
        guarded.write(&good);
        guarded.becomes("the mended file", "alice:open", 404);
    }
    // What Windows and editors make of a good file is a good file.
    for (name, file) in [
        ("carriage returns", good.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("no line end", good.trim_end().to_owned()),
        (
            "comments, blank lines and a comment field",
            format!("# users\n\n{}:Alice\n", good.trim_end()),
        ),
    ] {
        guarded.write("");
        guarded.becomes(name, "alice:open", 401);
        guarded.write(&file);
        guarded.becomes(name, "alice:open", 404);
        assert_eq!(guarded.status("alice:open\r"), 401, "{name}");
    }
}

/// `$2x$` hashes come from a version that mixes up passwords; the others are one algorithm.
#[test]
fn row_58_versions_of_bcrypt() {
    let hash = |version: &str| line("alice", "\u{e9}\u{fffd}-open").replace("$2b$", version);
    for version in ["$2a$", "$2b$", "$2y$"] {
        let guarded = Guarded::start(&hash(version));
        assert_eq!(guarded.status("alice:\u{e9}\u{fffd}-open"), 200, "{version}");
        assert_eq!(guarded.status("alice:\u{e9}-open"), 401, "{version}");
    }
    let files = tempfile::tempdir().unwrap();
    for (version, message) in [
        ("$2x$", "bcrypt $2x$ is not accepted"),
        ("$2$", "an unknown kind of hash"),
        ("$2c$", "an unknown kind of hash"),
        ("$1$", "MD5 crypt ($1$) is not accepted"),
    ] {
        let path = files.path().join("users");
        fs::write(&path, hash(version)).unwrap();
        let output = corral_proxy(&["check", "--htpasswd", path.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(
            !output.status.success() && said.contains(message),
            "{version}: {said}"
        );
    }
}

#[test]
fn row_59_a_file_without_users_denies_all() {
    let good = line("alice", "open");
    let guarded = Guarded::start(&good);
    for (name, file) in [
        ("empty", ""),
        ("blank lines", "\n\n \n"),
        ("comments", "# alice:open\n"),
        ("a byte order mark", "\u{feff}"),
    ] {
        guarded.write(file);
        guarded.becomes(name, "alice:open", 401);
        for attempt in ["alice:", ":", "alice:\n", "nobody:open"] {
            assert_eq!(guarded.status(attempt), 401, "{name}: {attempt:?}");
        }
        guarded.write(&good);
        guarded.becomes(name, "alice:open", 404);
    }
    fs::remove_file(guarded.files.path().join("users")).unwrap();
    guarded.becomes("no file", "alice:open", 401);
}

#[test]
fn row_60_a_password_that_is_changed_in_mid_stream() {
    let backend = Backend::answering(|exchange| {
        if exchange.is("GET /api/tags ") {
            return exchange.answer_at_once();
        }
        exchange.stream_until_left().map(|()| Then::Close)
    });
    let (alice, bob) = (line("alice", "open"), line("bob", "open"));
    let guarded = Guarded::before(backend, &[alice, bob.clone()].concat());
    let mut streams = ["alice", "bob"].map(|name| {
        let mut client = guarded.proxy.client();
        client.send(authorized("/api/ps", &STANDARD.encode(format!("{name}:open"))));
        assert_eq!(client.head().unwrap().status, 200, "{name}");
        client
    });
    guarded.write([line("alice", "other"), bob].concat());
    let [alice, bob] = &mut streams;
    while let Some(chunk) = alice.chunk() {
        assert!(!chunk.is_empty(), "the stream is cut, not ended");
    }
    for _ in 0..20 {
        assert!(
            bob.chunk().is_some_and(|chunk| !chunk.is_empty()),
            "another's goes on"
        );
    }
    assert_eq!(guarded.status("alice:open"), 401);
    assert_eq!(guarded.status("alice:other"), 200);
}
