use super::*;

const HASH: &str = "{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=";
const DIGEST: &str = "ccaebe50b8f1a22c3de58569ef2a814c286f65c0514f238e176598f0640e12bb";

/// Entries, with HASH and DIGEST put in.
fn entries(pairs: &[(&str, &str)]) -> Entries {
    let put_in = |text: &str| text.replace("HASH", HASH).replace("DIGEST", DIGEST);
    pairs
        .iter()
        .map(|(name, content)| ((*name).to_owned(), put_in(content).into_bytes()))
        .collect()
}

type Case = (
    &'static str,
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

fn check_clients(kind: CredentialKind, cases: &[Case]) {
    for (name, key, pairs, expected) in cases {
        let parsed = parse(kind, *key, &entries(pairs)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            parsed.clients().into_iter().collect::<Vec<_>>(),
            *expected,
            "{name}"
        );
    }
}

type BadCase = (
    &'static str,
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
    &'static str,
);

fn check_errors(kind: CredentialKind, cases: &[BadCase]) {
    for (name, key, pairs, expected) in cases {
        let error = parse(kind, *key, &entries(pairs))
            .err()
            .unwrap_or_else(|| panic!("{name}: accepted"));
        let message = error.to_string();
        assert!(message.contains(expected), "{name}: {message}");
        for secret in ["opensesame", "sk-", HASH, DIGEST] {
            assert!(
                !message.contains(secret),
                "{name}: the message shows {secret}: {message}"
            );
        }
    }
}

#[test]
#[rustfmt::skip] // one case a line
fn users_of_basic() {
    check_clients(
        CredentialKind::Basic,
        &[
            ("auth by default", None, &[("auth", "bob:HASH\nalice:HASH\n")], &["alice", "bob"]),
            ("another entry by name", Some("users"), &[("auth", ""), ("users", "alice:HASH")], &["alice"]),
            ("CRLF, comments, blank lines", None, &[("auth", "# us\r\n\r\nalice:HASH\r\n  \r\n")], &["alice"]),
            ("a byte order mark", None, &[("auth", "\u{feff}alice:HASH")], &["alice"]),
            ("a comment behind the hash", None, &[("auth", "alice:HASH:the first")], &["alice"]),
            ("space around the line", None, &[("auth", " \talice:HASH \t")], &["alice"]),
            ("a space inside a name", None, &[("auth", "alice b:HASH")], &["alice b"]),
            ("a basic-auth Secret", None, &[("username", "alice"), ("password", "opensesame")], &["alice"]),
            ("line ends in it", None, &[("username", "alice\n"), ("password", "opensesame\r\n")], &["alice"]),
            ("auth before username", None, &[("auth", "bob:HASH"), ("username", "a"), ("password", "b")], &["bob"]),
        ],
    );
}

#[test]
#[rustfmt::skip] // one case a line
fn faults_of_basic() {
    check_errors(
        CredentialKind::Basic,
        &[
            ("nothing", None, &[], "there is no entry; entry `auth`"),
            ("nothing under a key", Some("users"), &[], "there is no entry; entry `users` is needed"),
            ("no auth", None, &[("users", "alice:HASH")], "no entry `auth`"),
            ("what there is instead", None, &[("users", ""), ("x", "")], "but `users`, `x`"),
            ("username alone", None, &[("username", "alice")], "`username` and `password` together"),
            ("another key", Some("users"), &[("auth", "alice:HASH")], "no entry `users`, but `auth`"),
            ("empty", None, &[("auth", "")], "entry `auth` holds no credential"),
            ("comments only", None, &[("auth", "# alice:HASH\n\n \r\n")], "entry `auth` holds no credential"),
            ("no colon", None, &[("auth", "alice:HASH\nopensesame")], "entry `auth`, line 2: no colon"),
            ("no name", None, &[("auth", ":HASH")], "line 1: a name has"),
            ("a control character in a name", None, &[("auth", "a\u{7}:HASH")], "line 1: a name has"),
            ("a lone CR", None, &[("auth", "alice:HASH\rbob:HASH")], "line 1: a damaged {SHA} hash"),
            ("no hash", None, &[("auth", "\n\nalice:")], "line 3: no hash"),
            ("plain", None, &[("auth", "alice:{PLAIN}opensesame")], "line 1: {PLAIN} is not accepted"),
            ("a user twice", None, &[("auth", "alice:HASH\nbob:HASH\nalice:HASH")], "line 3: the same user as in line 1"),
            ("a bad line after good ones", None, &[("auth", "alice:HASH\nbob:opensesame")], "line 2: an unknown kind"),
            ("an empty password", None, &[("username", "alice"), ("password", "\n")], "entry `password`: a password is"),
            ("two lines", None, &[("username", "a"), ("password", "opensesame\nb")], "entry `password`: a password is"),
            ("an empty name", None, &[("username", ""), ("password", "opensesame")], "entry `username`: a name has"),
            ("a colon in the name", None, &[("username", "a:b"), ("password", "opensesame")], "have a colon"),
        ],
    );
    let latin = [("auth".to_owned(), b"alice:x\n\xfc:y".to_vec())].into();
    let error = parse(CredentialKind::Basic, None, &latin).err().unwrap();
    assert_eq!(
        error.to_string(),
        "entry `auth`, line 2: not UTF-8; save it as UTF-8"
    );
}

#[test]
#[rustfmt::skip] // one case a line
fn clients_of_api_keys() {
    let file = Some("keys");
    check_clients(
        CredentialKind::ApiKeys,
        &[
            ("an entry for each client", None, &[("bob", "sk-bob-0001"), ("alice", "sk-alice-1\n")], &["alice", "bob"]),
            ("two keys while rotating", None, &[("alice", "sk-alice-1\r\nsk-alice-2")], &["alice"]),
            ("a digest in an entry", None, &[("alice", "sha256:DIGEST")], &["alice"]),
            ("a file of named keys", file, &[("keys", "alice:sk-alice-1\nbob: sk-bob-01\n")], &["alice", "bob"]),
            ("other entries don't count", file, &[("keys", "alice:sk-alice-1"), ("b", "")], &["alice"]),
            ("unnamed keys", file, &[("keys", "# ours\n\nsk-unnamed-1\n sk-unnamed-2 \r\n")], &["key-3", "key-4"]),
            ("a digest", file, &[("keys", "sha256:DIGEST")], &["key-1"]),
            ("a named digest", file, &[("keys", "bob:sha256:DIGEST")], &["bob"]),
            ("a name with several keys", file, &[("keys", "bob:sk-bob-01\nbob:sk-bob-02")], &["bob"]),
            ("a key repeated", file, &[("keys", "bob:sk-bob-01\nbob:sk-bob-01")], &["bob"]),
            ("an unnamed key repeated", file, &[("keys", "sk-unnamed-1\nsk-unnamed-1")], &["key-1"]),
            ("every sign", file, &[("keys", "!\"$%&/()=?*+~-_.;<>|{[]}@^`'\\")], &["key-1"]),
        ],
    );
}

#[test]
#[rustfmt::skip] // one case a line
fn faults_of_api_keys() {
    let file = Some("keys");
    check_errors(
        CredentialKind::ApiKeys,
        &[
            ("nothing", None, &[], "there is no entry; one for each client is needed"),
            ("no such entry", file, &[("key", "sk-alice-1")], "no entry `keys`, but `key`"),
            ("an empty file", file, &[("keys", "\n#\n")], "entry `keys` holds no credential"),
            ("a client without a key", None, &[("alice", "sk-alice-1"), ("bob", " ")], "entry `bob` holds no credential"),
            ("names inside an entry", None, &[("keys", "alice:sk-alice-1")], "set `key` to the entry's name"),
            ("no name", file, &[("keys", ":sk-alice-1")], "line 1: a name has"),
            ("no key", file, &[("keys", "alice:")], "line 1: no key"),
            ("too short", file, &[("keys", "alice:sk-1234")], "line 1: a key has 8 to 1024 characters"),
            ("a space", file, &[("keys", "sk-good-one\nsk-al ice-1")], "line 2: a key has only visible ASCII"),
            ("a tab", file, &[("keys", "alice:sk-al\tice-1")], "line 1: a key has only visible ASCII"),
            ("a second colon", file, &[("keys", "alice:sk-ali:ce-1")], "line 1: a key has only visible ASCII"),
            ("a comma", file, &[("keys", "sk-alice,sk-bob")], "line 1: a key has only visible ASCII"),
            ("no ASCII", file, &[("keys", "sk-alicé-1")], "line 1: a key has only visible ASCII"),
            ("a short digest", file, &[("keys", "sha256:abcd")], "line 1: `sha256:` is followed by"),
            ("no digest", file, &[("keys", "alice:sha256:sk-alice-1")], "line 1: `sha256:` is followed by"),
            ("a key of two", file, &[("keys", "alice:sk-same-1\nbob:sk-same-1")], "line 2: the same key as that of client `alice`"),
            ("by digest", file, &[("keys", "alice:sk-alice-0001\nbob:sha256:DIGEST")], "line 2: the same key"),
            ("named and unnamed", file, &[("keys", "sk-same-1\nbob:sk-same-1")], "the same key as that of client `key-1`"),
            ("across entries", None, &[("alice", "sk-same-1"), ("bob", "sk-same-1")], "entry `bob`, line 1: the same key"),
            ("an unnamed key's name", file, &[("keys", "key-2:sk-alice-1\nsk-unnamed-2")], "line 1: `key-2` is what the unnamed key in line 2"),
        ],
    );
}

/// Public keys as `ssh-keygen` and the CLI make them.
const KEYS: [&str; 2] = [
    "AAAAC3NzaC1lZDI1NTE5AAAAIAxGSmMrXi+qzIgoLRfNOcaZ8fMnXUvqT4sitE1g1GD3",
    "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
];

#[test]
fn clients_of_ollama_keys() {
    let [one, two] = KEYS.map(|key| format!("ssh-ed25519 {key}"));
    /// A name, the key, entries, and the clients.
    type Case<'a> = (&'a str, Option<&'a str>, &'a [(&'a str, String)], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        (
            "named by their comments",
            None,
            &[(
                "authorized_keys",
                format!("{one} alice\n# ours\n{two} bob@laptop of bob\n"),
            )],
            &["alice", "bob@laptop of bob"],
        ),
        (
            "as the CLI writes it",
            None,
            &[("authorized_keys", format!("{one}\n"))],
            &["ollama-key-1"],
        ),
        (
            "two of one client",
            None,
            &[("authorized_keys", format!("{one} alice\r\n{two}\talice"))],
            &["alice"],
        ),
        (
            "the same twice",
            None,
            &[("authorized_keys", format!("{one} alice\n{one} alice"))],
            &["alice"],
        ),
        (
            "another entry by name",
            Some("keys"),
            &[
                ("keys", format!("{one} alice")),
                ("authorized_keys", String::new()),
            ],
            &["alice"],
        ),
        (
            "an entry for each client",
            None,
            &[("bob", format!("{one} whoever")), ("alice", two.clone())],
            &["alice", "bob"],
        ),
    ];
    for (name, key, entries, expected) in cases {
        let pairs: Vec<_> = entries
            .iter()
            .map(|(entry, text)| (*entry, text.as_str()))
            .collect();
        let parsed = parse(CredentialKind::OllamaKeys, *key, &self::entries(&pairs))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(
            parsed.clients().into_iter().collect::<Vec<_>>(),
            *expected,
            "{name}"
        );
    }
}

#[test]
#[rustfmt::skip] // one case a line
fn faults_of_ollama_keys() {
    let [one, _] = KEYS;
    let rsa = "AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7";
    let cases: &[(&str, String, &str)] = &[
        ("nothing", String::new(), "entry `authorized_keys` holds no credential"),
        ("another type", format!("ssh-ed25519 {one} a\nssh-rsa {rsa} b"), "line 2: only keys of type ssh-ed25519"),
        ("a hardware key", format!("sk-ssh-ed25519@openssh.com {one}"), "line 1: only keys of type ssh-ed25519"),
        ("a curve of NIST", format!("ecdsa-sha2-nistp256 {one}"), "line 1: only keys of type ssh-ed25519"),
        ("options", format!("no-pty,from=\"10.0.0.0/8\" ssh-ed25519 {one} a"), "line 1: options before the key"),
        ("the key alone", one.to_owned(), "line 1: not a public key"),
        ("a private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl".to_owned(), "line 1: not a public key"),
        ("no key", "ssh-ed25519".to_owned(), "line 1: a damaged ssh-ed25519 key"),
        ("cut off", format!("ssh-ed25519 {}", &one[..64]), "line 1: a damaged ssh-ed25519 key"),
        ("another type inside", format!("ssh-ed25519 {}", one.replace("C3Nz", "C3NA")), "line 1: a damaged"),
        ("another length inside", format!("ssh-ed25519 {}", one.replace("AAAAIA", "AAAAHA")), "line 1: a damaged"),
        ("no base64", format!("ssh-ed25519 {}", one.replace('+', "-")), "line 1: a damaged ssh-ed25519 key"),
        ("a control character", format!("ssh-ed25519 {one} a\u{7}"), "line 1: a name has"),
        ("a key of two", format!("ssh-ed25519 {one} a\nssh-ed25519 {one} b"), "line 2: the same key as that of client `a`"),
        ("an unnamed key's name", format!("ssh-ed25519 {one}\nssh-ed25519 {} ollama-key-1", KEYS[1]),
            "line 2: `ollama-key-1` is what the unnamed key in line 1"),
    ];
    for (name, content, expected) in cases {
        let message = parse(CredentialKind::OllamaKeys, None, &entries(&[("authorized_keys", content)]))
            .err()
            .unwrap_or_else(|| panic!("{name}: accepted"))
            .to_string();
        assert!(message.contains(expected) && !message.contains(one), "{name}: {message}");
    }
    check_errors(
        CredentialKind::OllamaKeys,
        &[
            ("no entry", None, &[], "there is no entry; entry `authorized_keys`, or one for each client"),
            ("another key", Some("x"), &[("authorized_keys", "")], "no entry `x`, but `authorized_keys`"),
            ("a client without a key", None, &[("alice", "")], "entry `alice` holds no credential"),
        ],
    );
}

#[test]
fn a_message_names_a_few_entries_only() {
    let many = (0..500)
        .map(|number| (format!("entry-{number:03}"), Vec::new()))
        .collect();
    let message = parse(CredentialKind::Basic, None, &many)
        .err()
        .unwrap()
        .to_string();
    assert!(message.ends_with("`entry-009`, 490 more"), "{message}");
}
