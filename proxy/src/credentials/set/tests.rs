use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use prometheus_client::metrics::counter::Counter;

use super::*;
use crate::address::ClientAddress;
use crate::config::{CredentialSource, Kubernetes};
use crate::digest::Entries;
use crate::identify::Verifier;

const HASH: &str = "{SHA}F2GPAaOiG5EcklvLUlodIavTBnM=";
const ALICE: &str = "Basic YWxpY2U6b3BlbnNlc2FtZQ==";

/// A directory with `users` and `keys`, and the configuration that names them.
struct Files {
    directory: tempfile::TempDir,
    configuration: Credentials,
}

impl Files {
    fn new(users: &str, keys: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let source = |name| {
            Some(CredentialSource {
                path: directory.path().join(name),
                key: None,
            })
        };
        let configuration = Credentials {
            basic: source("users"),
            api_keys: source("keys"),
            ..Credentials::default()
        };
        let files = Self {
            directory,
            configuration,
        };
        files.write("users", users);
        files.write("keys", keys);
        files
    }

    fn path(&self, name: &str) -> impl AsRef<Path> {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content.replace("HASH", HASH)).unwrap();
    }

    fn load(&self) -> CredentialSet {
        CredentialSet::load(&self.configuration, None)
    }
}

/// Who is let in with this `Authorization`.
fn identity(set: &CredentialSet, authorization: &str) -> Option<Identity> {
    let request = Request::get("/").header(http::header::AUTHORIZATION, authorization);
    let head = request.body(()).unwrap().into_parts().0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime
        .block_on(Verifier::new(Counter::default()).unwrap().identify(
            set,
            &head,
            None,
            ClientAddress::of_test("192.0.2.1"),
        ))
        .ok()
}

fn errors(set: &CredentialSet) -> Vec<Option<String>> {
    set.sources().into_iter().map(|source| source.error).collect()
}

#[test]
fn a_faulty_source_lets_nobody_in_and_leaves_the_other_alone() {
    let cases: &[(&str, &str, &str)] = &[
        ("malformed at the end", "alice:HASH\nbob", "line 2: no colon"),
        (
            "refused at the end",
            "alice:HASH\nbob:{PLAIN}x",
            "line 2: {PLAIN} is not accepted",
        ),
        ("empty", "", "holds no credential"),
    ];
    for (name, users, expected) in cases {
        let set = Files::new(users, "ci:sk-ci-00001").load();
        assert!(identity(&set, ALICE).is_none(), "{name}: alice");
        assert_eq!(
            identity(&set, "Bearer sk-ci-00001").unwrap().name().as_ref(),
            "ci",
            "{name}: the other source"
        );
        let sources = set.sources();
        assert!(
            sources[0].error.as_ref().unwrap().contains(expected),
            "{name}: {:?}",
            sources[0].error
        );
        assert_eq!((sources[0].clients, sources[1].clients), (0, 1), "{name}");
        assert_eq!(set.clients().len(), 1, "{name}");
    }
}

#[test]
fn a_file_that_is_gone_lets_nobody_in() {
    let files = Files::new("alice:HASH", "ci:sk-ci-00001");
    let before = files.load();
    fs::remove_file(files.path("users")).unwrap();
    let after = before.reload(&files.configuration, None);
    assert!(identity(&before, ALICE).is_some() && identity(&after, ALICE).is_none());
    assert!(errors(&after)[0].as_ref().unwrap().contains("No such file"));
}

#[test]
fn no_means_let_nobody_in() {
    let set = CredentialSet::load(&Credentials::default(), None);
    assert!(identity(&set, ALICE).is_none() && identity(&set, "Bearer sk-ci-00001").is_none());
    assert!(set.sources().is_empty() && set.clients().is_empty());
}

#[test]
fn a_mounted_secret_without_key_has_a_client_for_each_entry() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("ci"), "sk-ci-00001\nsk-ci-00002").unwrap();
    fs::write(directory.path().join("dev"), "sk-dev-0001").unwrap();
    let source = CredentialSource {
        path: directory.path().into(),
        key: None,
    };
    let set = CredentialSet::load(
        &Credentials {
            api_keys: Some(source),
            ..Credentials::default()
        },
        None,
    );
    for (key, client) in [
        ("sk-ci-00001", "ci"),
        ("sk-ci-00002", "ci"),
        ("sk-dev-0001", "dev"),
    ] {
        assert_eq!(
            identity(&set, &format!("Bearer {key}")).unwrap().name().as_ref(),
            client,
            "{key}"
        );
    }
    assert_eq!(set.sources()[0].clients, 2);
}

#[test]
fn a_credential_is_in_force_until_it_is_changed_or_given_to_another() {
    let other = "{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let other = format!("alice:{other}");
    let cases: &[(&str, &str, &str, [bool; 3])] = &[
        (
            "nothing changed",
            "alice:HASH",
            "ci:sk-ci-00001\nsk-unnamed",
            [true, true, true],
        ),
        (
            "others come first",
            "bob:HASH\nalice:HASH",
            "#\nsk-other-1\nsk-unnamed\nci:sk-ci-00001",
            [true, true, true],
        ),
        (
            "the digest in place of the key",
            "alice:HASH",
            "ci:sha256:DIGEST\nsk-unnamed",
            [true, true, true],
        ),
        (
            "another hash",
            &other,
            "ci:sk-ci-00001\nsk-unnamed",
            [false, true, true],
        ),
        ("removed", "bob:HASH", "sk-other-1", [false, false, false]),
        (
            "given to another",
            "alice:HASH",
            "cd:sk-ci-00001\nci:sk-unnamed",
            [true, false, false],
        ),
        (
            "another key",
            "alice:HASH",
            "ci:sk-ci-00002\nsk-unnamed",
            [true, false, true],
        ),
        ("malformed", "alice", "ci:", [false, false, false]),
    ];
    for (name, users, keys, expected) in cases {
        let files = Files::new("alice:HASH", "ci:sk-ci-00001\nsk-unnamed");
        let before = files.load();
        let identities =
            [ALICE, "Bearer sk-ci-00001", "Bearer sk-unnamed"].map(|value| identity(&before, value).unwrap());
        files.write("users", users);
        files.write(
            "keys",
            &keys.replace("DIGEST", &hex::encode(CredentialId::of(b"sk-ci-00001").0)),
        );
        let after = before.reload(&files.configuration, None);
        assert_eq!(
            identities.each_ref().map(|identity| after.is_in_force(identity)),
            *expected,
            "{name}"
        );
        assert!(
            identities.iter().all(|identity| before.is_in_force(identity)),
            "{name}: before"
        );
    }
}

#[test]
fn a_means_that_is_no_longer_configured_is_not_in_force() {
    let files = Files::new("alice:HASH", "ci:sk-ci-00001");
    let before = files.load();
    let alice = identity(&before, ALICE).unwrap();
    let after = before.reload(
        &Credentials {
            basic: None,
            ..files.configuration.clone()
        },
        None,
    );
    assert!(before.is_in_force(&alice) && !after.is_in_force(&alice));
}

#[test]
fn last_use_outlives_reloads_as_long_as_the_client_does() {
    let files = Files::new("alice:HASH\nbob:HASH", "ci:sk-ci-00001\nsk-unnamed");
    let before = files.load();
    let used = |set: &CredentialSet| -> Vec<(String, bool)> {
        set.clients()
            .into_iter()
            .map(|client| (client.name, client.last_used.is_some()))
            .collect()
    };
    let expected = |pairs: &[(&str, bool)]| -> Vec<(String, bool)> {
        pairs
            .iter()
            .map(|(name, used)| ((*name).to_owned(), *used))
            .collect()
    };
    assert_eq!(
        used(&before),
        expected(&[("alice", false), ("bob", false), ("ci", false), ("key-2", false)])
    );
    for value in [ALICE, "Bearer sk-ci-00001", "Bearer sk-unnamed"] {
        identity(&before, value).unwrap();
    }
    // bob comes back with alice's hash, ci with another key, the unnamed key on another line.
    files.write("users", "alice:HASH\ncarol:HASH");
    files.write("keys", "sk-unnamed\nsk-another\nci:sk-ci-00002");
    let after = before.reload(&files.configuration, None);
    let pairs = [
        ("alice", true),
        ("carol", false),
        ("ci", true),
        ("key-1", true),
        ("key-2", false),
    ];
    assert_eq!(used(&after), expected(&pairs));
}

#[test]
fn status_has_the_digest_of_what_was_read_even_if_it_is_faulty() {
    let key = DigestKey::new(&[7; 32]).unwrap();
    let files = Files::new("alice", "ci:sk-ci-00001");
    let first = CredentialSet::load(&files.configuration, Some(&key));
    let entries = |name: &str, content: &str| Entries::from([(name.to_owned(), content.as_bytes().to_vec())]);
    let digests: Vec<_> = first
        .sources()
        .into_iter()
        .map(|source| source.digest.unwrap())
        .collect();
    assert_eq!(
        digests,
        [
            key.digest(&entries("users", "alice")),
            key.digest(&entries("keys", "ci:sk-ci-00001"))
        ]
    );

    files.write("keys", "ci:sk-ci-00002");
    let second = first.reload(&files.configuration, Some(&key));
    let loaded_at = |set: &CredentialSet| {
        set.sources()
            .into_iter()
            .map(|source| source.loaded_at)
            .collect::<Vec<_>>()
    };
    let (first, second) = (loaded_at(&first), loaded_at(&second));
    assert_eq!(first[0], second[0], "unchanged");
    assert!(first[1] < second[1], "changed");
}

#[test]
fn nothing_secret_is_printed() {
    let set = Files::new("alice:HASH", "ci:sk-ci-00001").load();
    let identity = identity(&set, "Bearer sk-ci-00001");
    let printed = format!("{set:?} {identity:?}");
    let digest = CredentialId::of(b"sk-ci-00001").0;
    for secret in ["sk-ci-00001", "F2GPAaOi", "opensesame", &format!("{digest:?}")] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

#[test]
fn a_token_is_of_the_issuer_that_it_names_or_of_a_service_account() {
    let issuer: JwtIssuer =
        serde_yaml::from_str("{issuer: 'https://idp.example', audiences: [ollama]}").unwrap();
    let both = Credentials {
        jwt: vec![issuer],
        kubernetes: Some(Kubernetes::in_cluster(vec!["ollama".to_owned()])),
        ..Credentials::default()
    };
    let issuers = Credentials {
        kubernetes: None,
        ..both.clone()
    };
    let accounts = Credentials {
        jwt: Vec::new(),
        ..both.clone()
    };
    let token = |payload: &str| {
        let parts = [r#"{"alg":"RS256"}"#, payload, ""].map(|part| URL_SAFE_NO_PAD.encode(part));
        parts.join(".")
    };
    let (idp, cluster) = (
        token(r#"{"iss":"https://idp.example"}"#),
        token(r#"{"iss":"https://kubernetes.default.svc"}"#),
    );
    let (of_issuer, of_account) = (Some(Token::OfIssuer), Some(Token::OfServiceAccount));
    let none = Credentials::default();
    let cases = [
        ("none are taken", &none, idp.as_str(), None),
        ("a key", &both, "sk-1", None),
        ("an issuer's", &both, &idp, of_issuer),
        ("another's", &both, &cluster, of_account),
        ("one that can't be read", &both, "eyJ.e30.", of_account),
        (
            "another's where there are issuers alone",
            &issuers,
            &cluster,
            of_issuer,
        ),
        (
            "an issuer's where there is a cluster alone",
            &accounts,
            &idp,
            of_account,
        ),
    ];
    for (name, configuration, token, expected) in cases {
        let set = CredentialSet::load(configuration, None);
        assert_eq!(set.kind_of_token(token.as_bytes()), expected, "{name}");
    }
}
