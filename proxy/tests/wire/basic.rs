//! Users with passwords: what a client may send.

mod files;

use std::fs;
use std::net::Ipv4Addr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::client::Client;
use crate::proxy::{Proxy, SOON, get, within};

/// A proxy with an htpasswd file, and the backend behind it.
struct Guarded {
    backend: Backend,
    proxy: Proxy,
    files: TempDir,
}

impl Guarded {
    fn start(htpasswd: &str) -> Self {
        Self::before(Backend::start(), htpasswd)
    }

    fn before(backend: Backend, htpasswd: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let users = files.path().join("users");
        fs::write(&users, htpasswd).unwrap();
        let arguments = ["--htpasswd", users.to_str().unwrap()];
        Self {
            proxy: Proxy::with_arguments(&backend, "", &arguments),
            backend,
            files,
        }
    }

    fn write(&self, htpasswd: impl AsRef<[u8]>) {
        fs::write(self.files.path().join("users"), htpasswd).unwrap();
    }

    /// The status that name and password get. Refused, nothing arrives, and a key still gets through.
    #[track_caller]
    fn status(&self, name_and_password: impl AsRef<[u8]>) -> u16 {
        self.status_of(&STANDARD.encode(name_and_password))
    }

    /// The status that this gets behind `Basic`.
    #[track_caller]
    fn status_of(&self, token: &str) -> u16 {
        let before = self.backend.lines().len();
        let answer = self.proxy.exchange(authorized("/api/tags", token));
        let arrived = self.backend.lines().len() - before;
        assert_eq!(arrived, usize::from(answer.status == 200), "what arrives");
        let heads = self.backend.heads().concat();
        assert!(!heads.contains("authorization"), "{heads}");
        assert_eq!(
            self.proxy.exchange(get("/api/tags")).status,
            200,
            "the next request"
        );
        answer.status
    }

    /// Waits until name and password get this status from a route that there isn't: 401, or 404 once they are known. A
    /// request that is forwarded could arrive after it was cut.
    #[track_caller]
    fn becomes(&self, what: &str, name_and_password: &str, status: u16) {
        let request = authorized("/nowhere", &STANDARD.encode(name_and_password));
        within(SOON, what, || self.proxy.exchange(&request).status == status);
    }

    #[track_caller]
    fn metric(&self, name: &str) -> u64 {
        let metrics = self.proxy.admin("/metrics").body;
        let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name));
        values.next().unwrap().trim().parse().unwrap()
    }

    /// Checks the status of each name and password.
    #[track_caller]
    fn check(&self, cases: &[(&str, &[u8], u16)]) {
        for (name, name_and_password, expected) in cases {
            // Twice: what was found out once is remembered.
            for _ in 0..2 {
                assert_eq!(self.status(name_and_password), *expected, "{name}");
            }
        }
    }
}

fn authorized(path: &str, token: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {token}\r\n\r\n")
}

/// A line of an htpasswd file with the quickest bcrypt.
fn line(name: &str, password: impl AsRef<[u8]>) -> String {
    format!(
        "{name}:{}\n",
        bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap()
    )
}

/// Two passwords that are one to bcrypt let in neither for the other.
#[test]
fn row_49_passwords_that_share_72_bytes() {
    let shared = "p".repeat(72);
    let longer = format!("{shared}x");
    let guarded = Guarded::start(&[line("exact", &shared), line("longer", &longer)].concat());
    guarded.check(&[
        ("72 bytes", format!("exact:{shared}").as_bytes(), 200),
        ("73 bytes", format!("exact:{longer}").as_bytes(), 401),
        ("71 bytes", format!("exact:{}", &shared[1..]).as_bytes(), 401),
        (
            "the very password, which the hash can't tell",
            format!("longer:{longer}").as_bytes(),
            401,
        ),
        (
            "its first 72 bytes, which are what was hashed",
            format!("longer:{shared}").as_bytes(),
            200,
        ),
        ("72 bytes and a zero", format!("exact:{shared}\0").as_bytes(), 401),
        (
            "72 characters of two bytes",
            format!("exact:{}", "\u{e9}".repeat(72)).as_bytes(),
            401,
        ),
    ]);
}

/// A length that wraps around, or a hash that takes time with it.
#[test]
fn row_50_passwords_of_more_than_255_bytes() {
    let sha1 = "{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=";
    let guarded = Guarded::start(&format!("{}sha:{sha1}\n", line("alice", "")));
    let of = |name: &str, length: usize| format!("{name}:{}", "a".repeat(length));
    for length in [255, 256, 257, 512, 513, 4096] {
        for name in ["alice", "sha", "nobody"] {
            assert_eq!(guarded.status(of(name, length)), 401, "{name}, {length} bytes");
        }
    }
    for length in [253, 254, 255, 256, 512] {
        assert_eq!(
            guarded.status(of(&"n".repeat(length), 8)),
            401,
            "a name of {length} bytes"
        );
    }
}

#[test]
fn row_51_nul_in_a_password() {
    let guarded = Guarded::start(&line("alice", "open"));
    guarded.check(&[
        ("behind it", b"alice:open\0", 401),
        ("and more", b"alice:open\0sesame", 401),
        ("before it", b"alice:\0open", 401),
        ("in the name", b"alice\0:open", 401),
        ("another control character", b"alice:open\n", 401),
        ("none", b"alice:open", 200),
    ]);
}

#[test]
fn row_52_colons() {
    let lines = [line("alice", "a:b:c"), line("bob", ":"), line("carol", "end:")].concat();
    let guarded = Guarded::start(&lines);
    guarded.check(&[
        ("in the password", b"alice:a:b:c", 200),
        ("up to the colon", b"alice:a", 401),
        ("behind the colon", b"alice:b:c", 401),
        ("nothing but one", b"bob::", 200),
        ("at the end", b"carol:end:", 200),
        ("a part of the name", b"alice:a:b", 401),
        ("no name", b":a:b:c", 401),
        ("none", b"alice", 401),
    ]);
}

/// Bytes are compared, not characters: RFC 7617 has the two forms of a letter be two passwords.
#[test]
fn row_53_unicode_forms() {
    let guarded = Guarded::start(&[line("alice", "caf\u{e9}"), line("ren\u{e9}", "open")].concat());
    guarded.check(&[
        ("composed, as it was hashed", "alice:caf\u{e9}".as_bytes(), 200),
        ("decomposed", "alice:cafe\u{301}".as_bytes(), 401),
        ("Latin-1", b"alice:caf\xe9", 401),
        ("without the accent", b"alice:cafe", 401),
        ("a name as it stands there", "ren\u{e9}:open".as_bytes(), 200),
        ("a decomposed name", "rene\u{301}:open".as_bytes(), 401),
        ("a name in Latin-1", b"ren\xe9:open", 401),
        ("a name in capitals", "ALICE:caf\u{e9}".as_bytes(), 401),
        (
            "a letter that looks alike",
            "\u{430}lice:caf\u{e9}".as_bytes(),
            401,
        ),
    ]);
}

#[test]
fn row_54_base64_that_is_none() {
    let guarded = Guarded::start(&line("alice", "open?>"));
    // `alice:open?>` in the alphabet of RFC 4648, section 4, and in ways that lenient decoders take for it.
    let good = STANDARD.encode("alice:open?>");
    let cases = [
        ("as it should be", good.clone(), 200),
        (
            "of the other alphabet",
            good.replace('/', "_").replace('+', "-"),
            401,
        ),
        ("more padding", format!("{good}="), 401),
        (
            "a line end inside",
            format!("{}%0a{}", &good[..4], &good[4..]),
            401,
        ),
        ("a space inside", format!("{} {}", &good[..4], &good[4..]), 401),
        ("no base64", "!!!!".to_owned(), 401),
        ("nothing", String::new(), 401),
        ("plain text", "alice:open?>".to_owned(), 401),
        ("twice encoded", STANDARD.encode(&good), 401),
        ("twice", format!("{good},{good}"), 401),
    ];
    assert!(
        good.contains('/') || good.contains('+'),
        "the alphabets differ in it: {good}"
    );
    for (name, token, expected) in cases {
        assert_eq!(guarded.status_of(&token), expected, "{name}");
    }
    let guarded = Guarded::start(&line("al", "open"));
    for (name, token, expected) in [
        ("with padding", "YWw6b3Blbg==", 200),
        ("without", "YWw6b3Blbg", 401),
        ("with half of it", "YWw6b3Blbg=", 401),
        ("with other spare bits", "YWw6b3Blbh==", 401),
    ] {
        assert_eq!(guarded.status_of(token), expected, "{name}");
    }
}

/// The hash of an unknown name is computed too: as many, of the same kinds. How long that takes, a unit test measures.
#[test]
fn row_55_an_unknown_user_is_hashed_for() {
    let guarded = Guarded::start(&line("alice", "open"));
    let hashed = || guarded.metric("corral_proxy_passwords_hashed_total");
    for name in ["alice", "nobody", "nobody-else", "Alice"] {
        let before = hashed();
        assert_eq!(guarded.status(format!("{name}:wrong")), 401, "{name}");
        assert_eq!(hashed(), before + 1, "{name}");
    }
}

/// Hashing is bounded, and who is in already doesn't wait for it.
#[test]
fn row_56_a_flood_of_wrong_passwords() {
    const ATTEMPTS: usize = 24;
    let hash = bcrypt::hash_with_salt("open", 8, [7; 16]).unwrap();
    let guarded = Guarded::start(&format!("alice:{hash}\n"));
    assert_eq!(guarded.status("alice:open"), 200);
    let before = guarded.backend.lines().len();
    let mut flood: Vec<_> = (0..ATTEMPTS)
        .map(|attempt| {
            let mut client = guarded.proxy.client();
            let token = STANDARD.encode(format!("name-{attempt}:wrong"));
            client.send(authorized("/api/tags", &token));
            client
        })
        .collect();
    assert_eq!(guarded.status("alice:open"), 200, "while they are being hashed");
    for client in &mut flood {
        let status = client.answer().unwrap().status;
        assert!(matches!(status, 401 | 503), "{status}");
    }
    // Alice's request and the key's.
    assert_eq!(guarded.backend.lines().len(), before + 2);
}

/// The flood's own wrong passwords are what it waits for. Whoever comes for the first time doesn't wait, from elsewhere or
/// from the very address.
#[test]
fn row_56_a_flood_waits_for_itself() {
    let hash = bcrypt::hash_with_salt("open", 11, [7; 16]).unwrap();
    let guarded = Guarded::start(
        &["alice", "bob", "carol"]
            .map(|name| format!("{name}:{hash}\n"))
            .concat(),
    );
    let waiting = || guarded.metric("corral_proxy_passwords_waiting");
    let _flood: Vec<_> = (0..60)
        .map(|attempt| {
            let name = if attempt % 2 == 0 { "alice" } else { "nobody" };
            let mut client = guarded.proxy.client();
            client.send(authorized(
                "/api/tags",
                &STANDARD.encode(format!("{name}:wrong-{attempt}")),
            ));
            client
        })
        .collect();
    within(SOON, "the flood is in the queue", || waiting() > 40);
    for (name, source) in [
        ("bob", Ipv4Addr::LOCALHOST),
        ("carol", Ipv4Addr::new(127, 0, 0, 2)),
    ] {
        let mut client = Client::connect_from(source.into(), guarded.proxy.address);
        let answer = client.exchange(authorized("/api/tags", &STANDARD.encode(format!("{name}:open"))));
        assert_eq!(answer.status, 200, "{name} from {source}");
        assert!(waiting() > 0, "{name} from {source} came in after the flood");
    }
}
