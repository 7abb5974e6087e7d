use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;

use super::*;
use crate::config::{CredentialSource, Credentials, Require};

/// Of `opensesame`.
fn bcrypt(cost: u32, salt: u8) -> String {
    bcrypt::hash_with_salt("opensesame", cost, [salt; 16])
        .unwrap()
        .to_string()
}

struct Users {
    directory: tempfile::TempDir,
    configuration: Credentials,
    set: CredentialSet,
}

impl Users {
    fn new(lines: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        let configuration = Credentials {
            basic: Some(CredentialSource { path, key: None }),
            ..Credentials::default()
        };
        let mut users = Self {
            directory,
            configuration,
            set: CredentialSet::default(),
        };
        users.replace(lines);
        users
    }

    fn replace(&mut self, lines: &[String]) {
        fs::write(self.directory.path().join("users"), lines.join("\n")).unwrap();
        self.set = self.set.reload(&self.configuration, None);
        assert_eq!(self.set.sources()[0].error, None);
    }
}

fn head(name: &str, password: &str) -> Parts {
    let value = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    let request = http::Request::get("/").header(http::header::AUTHORIZATION, value);
    request.body(()).unwrap().into_parts().0
}

/// Who it is, or why nobody.
async fn identify(
    verifier: &Verifier,
    users: &Users,
    name: &str,
    password: &str,
) -> Result<String, Unauthenticated> {
    identify_from("192.0.2.1", verifier, users, name, password).await
}

async fn identify_from(
    address: &str,
    verifier: &Verifier,
    users: &Users,
    name: &str,
    password: &str,
) -> Result<String, Unauthenticated> {
    let address = ClientAddress::of_test(address);
    let identity = verifier
        .identify(&users.set, &head(name, password), None, address)
        .await;
    identity.map(|identity| identity.name().to_string())
}

fn limited(running: usize, places: usize) -> Verifier {
    let limits = Limits {
        processors: 1,
        running,
        places,
    };
    Verifier::with_limits(limits, Counter::default()).unwrap()
}

#[tokio::test]
async fn a_slow_hash_runs_once_for_a_credential_right_or_wrong() {
    let users = Users::new(&[format!("alice:{}", bcrypt(4, 1))]);
    let verifier = Verifier::new(Counter::default()).unwrap();
    let cases = [
        ("alice", "opensesame", Ok("alice".to_owned())),
        ("alice", "wrong", Err(Unauthenticated::Wrong)),
        ("bob", "opensesame", Err(Unauthenticated::Unknown)),
    ];
    for (hashed, (name, password, expected)) in (1..).zip(cases) {
        for _ in 0..3 {
            assert_eq!(
                identify(&verifier, &users, name, password).await,
                expected,
                "{name} {password}"
            );
            assert_eq!(verifier.pool.hashed(), hashed, "{name} {password}");
        }
    }
}

#[tokio::test]
async fn a_reload_forgets_what_it_changes_and_nothing_else() {
    let (alice, bob) = (format!("alice:{}", bcrypt(4, 1)), format!("bob:{}", bcrypt(4, 2)));
    let mut users = Users::new(&[alice.clone(), bob]);
    let verifier = Verifier::new(Counter::default()).unwrap();
    for name in ["alice", "bob"] {
        identify(&verifier, &users, name, "opensesame").await.unwrap();
    }

    assert_eq!(
        identify(&verifier, &users, "bob", "another").await,
        Err(Unauthenticated::Wrong)
    );

    let bob = format!("bob:{}", bcrypt::hash_with_salt("another", 4, [3; 16]).unwrap());
    users.replace(&[alice, bob.clone()]);
    assert!(identify(&verifier, &users, "alice", "opensesame").await.is_ok());
    assert_eq!(verifier.pool.hashed(), 3, "alice's line is the same as before");
    assert_eq!(
        identify(&verifier, &users, "bob", "opensesame").await,
        Err(Unauthenticated::Wrong)
    );
    assert!(identify(&verifier, &users, "bob", "another").await.is_ok());
    assert_eq!(verifier.pool.hashed(), 5, "bob's is not");

    users.replace(&[bob]);
    assert_eq!(
        identify(&verifier, &users, "alice", "opensesame").await,
        Err(Unauthenticated::Unknown)
    );
}

/// Beside a wrong key the right password, though it is remembered, costs what a wrong one does, and is remembered as
/// no more: nobody learns of the one without the other.
#[tokio::test]
async fn a_password_beside_a_wrong_key_tells_nothing() {
    let mut users = Users::new(&[format!("alice:{}", bcrypt(4, 1))]);
    let keys = users.directory.path().join("keys");
    fs::write(&keys, "ci:sk-ci-00001").unwrap();
    users.configuration.api_keys = Some(CredentialSource {
        path: keys,
        key: None,
    });
    users.configuration.require = Require::All;
    users.set = users.set.reload(&users.configuration, None);
    let verifier = Verifier::new(Counter::default()).unwrap();
    let cases = [
        ("both right", "opensesame", "sk-ci-00001", Ok("alice"), 1),
        ("both right again", "opensesame", "sk-ci-00001", Ok("alice"), 1),
        (
            "the right password beside a wrong key",
            "opensesame",
            "sk-ci-00002",
            Err(Unauthenticated::Unknown),
            2,
        ),
        (
            "a wrong password beside a wrong key",
            "wrong",
            "sk-ci-00002",
            Err(Unauthenticated::Unknown),
            3,
        ),
        (
            "the first of them again",
            "opensesame",
            "sk-ci-00002",
            Err(Unauthenticated::Unknown),
            3,
        ),
        (
            "a wrong password beside the right key",
            "guess",
            "sk-ci-00001",
            Err(Unauthenticated::Wrong),
            4,
        ),
        ("both right at last", "opensesame", "sk-ci-00001", Ok("alice"), 4),
    ];
    for (name, password, key, expected, hashed) in cases {
        let mut head = head("alice", password);
        head.headers.insert("x-api-key", key.parse().unwrap());
        let identity = verifier
            .identify(&users.set, &head, None, ClientAddress::of_test("192.0.2.1"))
            .await;
        let found = identity.as_ref().map(|identity| &**identity.name());
        assert_eq!(found.map_err(|error| *error), expected, "{name}");
        assert_eq!(verifier.pool.hashed(), hashed, "{name}");
    }
}

/// An unknown name with the password of the user that serves as decoy is unknown all the same.
#[tokio::test]
async fn a_decoy_lets_nobody_in() {
    let users = Users::new(&[format!("alice:{}", bcrypt(4, 1))]);
    let verifier = Verifier::new(Counter::default()).unwrap();
    for name in ["bob", "Alice", "alice ", "alic", "alicé"] {
        for _ in 0..2 {
            let result = identify(&verifier, &users, name, "opensesame").await;
            assert_eq!(result, Err(Unauthenticated::Unknown), "{name}");
        }
    }
}

#[tokio::test]
async fn the_same_attempt_by_many_at_once_is_one_hash() {
    let users = Users::new(&[format!("alice:{}", bcrypt(4, 1))]);
    let verifier = limited(1, 1);
    let results = join_all((0..20).map(|_| identify(&verifier, &users, "alice", "opensesame"))).await;
    assert!(
        results.iter().all(Result::is_ok),
        "one place is enough for all: {results:?}"
    );
    assert_eq!(verifier.pool.hashed(), 1);
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_is_bounded_and_leaves_those_alone_who_are_in() {
    let users = Users::new(&[format!("alice:{}", bcrypt(8, 1)), format!("bob:{}", bcrypt(8, 2))]);
    let verifier = limited(1, 16);
    identify(&verifier, &users, "alice", "opensesame").await.unwrap();

    let names: Vec<_> = (0..200).map(|number| format!("name-{number}")).collect();
    let flood = join_all(
        names
            .iter()
            .map(|name| identify(&verifier, &users, name, "wrong")),
    );
    // Asked when every place is taken.
    let alice = identify(&verifier, &users, "alice", "opensesame");
    let (flood, alice) = tokio::join!(flood, alice);
    assert!(alice.is_ok(), "{alice:?}");
    let overloaded = flood
        .iter()
        .filter(|result| **result == Err(Unauthenticated::Overloaded))
        .count();
    assert!(overloaded > 100, "only {overloaded} of 200 were turned away");
    assert_eq!(verifier.pool.hashed(), 1 + 200 - overloaded as u64);
    assert!(
        identify(&verifier, &users, "bob", "opensesame").await.is_ok(),
        "afterwards the others come in"
    );
}

#[tokio::test]
async fn a_flood_against_one_name_leaves_room_for_others() {
    let users = Users::new(&[format!("alice:{}", bcrypt(8, 1)), format!("bob:{}", bcrypt(8, 2))]);
    let verifier = limited(1, 16);
    let passwords: Vec<_> = (0..100).map(|number| format!("wrong-{number}")).collect();
    let flood = join_all(
        passwords
            .iter()
            .map(|password| identify(&verifier, &users, "alice", password)),
    );
    let (flood, bob) = tokio::join!(flood, identify(&verifier, &users, "bob", "opensesame"));
    assert_eq!(bob, Ok("bob".to_owned()));
    let overloaded = flood
        .iter()
        .filter(|result| **result == Err(Unauthenticated::Overloaded))
        .count();
    assert!(overloaded > 50, "only {overloaded} of 100 were turned away");
}

/// However many names a flood has, whoever comes from elsewhere waits for what runs and for one turn of the flood's.
#[tokio::test]
async fn a_flood_from_one_address_lets_others_in_soon() {
    let users = Users::new(&[format!("alice:{}", bcrypt(8, 1)), format!("bob:{}", bcrypt(8, 2))]);
    let verifier = limited(1, 16);
    let names: Vec<_> = (0..100).map(|number| format!("name-{number}")).collect();
    let flood = join_all(
        names
            .iter()
            .map(|name| identify(&verifier, &users, name, "wrong")),
    );
    let bob = async {
        let before = verifier.pool.hashed();
        let bob = identify_from("198.51.100.1", &verifier, &users, "bob", "opensesame").await;
        (bob, verifier.pool.hashed() - before)
    };
    let (_, (bob, hashed)) = tokio::join!(flood, bob);
    assert_eq!(bob, Ok("bob".to_owned()));
    assert!(hashed <= 3, "{hashed} passwords were hashed until bob's was");
}

#[tokio::test]
async fn a_place_is_given_back_after_each_hash() {
    let users = Users::new(&[format!("alice:{}", bcrypt(4, 1))]);
    let verifier = limited(1, 1);
    for password in 0..10 {
        let result = identify(&verifier, &users, "alice", &password.to_string()).await;
        assert_eq!(result, Err(Unauthenticated::Wrong), "password {password}");
    }
}

/// Whoever leaves gives up the place, at once or when the hash that runs is done; and what wasn't checked to its end
/// isn't remembered as wrong.
#[tokio::test]
async fn callers_who_leave_make_room() {
    let users = Users::new(&[format!("alice:{}", bcrypt(10, 1))]);
    let verifier = limited(1, 2);
    {
        let mut running = Box::pin(identify(&verifier, &users, "alice", "opensesame"));
        let mut waiting = Box::pin(identify(&verifier, &users, "alice", "wrong"));
        assert!(futures::poll!(&mut running).is_pending() && futures::poll!(&mut waiting).is_pending());
        assert_eq!(
            identify(&verifier, &users, "alice", "another").await,
            Err(Unauthenticated::Overloaded)
        );
    }
    assert_eq!(
        identify(&verifier, &users, "alice", "opensesame").await,
        Ok("alice".to_owned())
    );
}
