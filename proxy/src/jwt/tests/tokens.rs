//! Tokens that let their bearers in, and all the others (attack cases 62 to 69).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::signer::{SECRET, Signer, encode, mac};
use crate::config::{CredentialSource, JwtAlgorithm, JwtIssuer};
use crate::identify::Unauthenticated;
use crate::jwt::{Issuers, KeyList, KeySet};

pub(super) const NOW: i64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://idp.example";

pub(super) fn issuer(algorithms: &[JwtAlgorithm]) -> JwtIssuer {
    JwtIssuer {
        issuer: ISSUER.into(),
        audiences: vec!["ollama".into(), "models".into()],
        keys: Some(CredentialSource {
            path: "jwks.json".into(),
            key: None,
        }),
        jwks_uri: None,
        ca: None,
        insecure: false,
        algorithms: algorithms.into(),
        client_claim: "sub".into(),
        groups_claim: None,
        leeway_seconds: 30,
    }
}

fn keys(set: &Value) -> KeySet {
    let mut list = KeyList::default();
    list.add_file(set.to_string().as_bytes()).unwrap();
    KeySet::of_files(list).unwrap()
}

/// Trusts this issuer with these keys.
pub(super) fn trusting(issuer: &JwtIssuer, set: &Value) -> Issuers {
    let mut issuers = Issuers::default();
    issuers.add(issuer, keys(set));
    issuers
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// The client that a token lets in, or why nobody.
pub(super) fn verify(issuers: &Issuers, token: &str) -> Result<String, Unauthenticated> {
    match issuers.verify(token.as_bytes(), now()) {
        Ok(verified) => Ok(verified.client.name.to_string()),
        Err(refused) => Err(refused.cause()),
    }
}

pub(super) fn payload() -> Value {
    json!({"iss": ISSUER, "aud": "ollama", "sub": "alice", "exp": NOW + 60})
}

pub(super) fn payload_with(members: &Value) -> Value {
    let mut payload = payload();
    payload
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    payload
}

#[test]
fn each_algorithm_lets_in_by_its_own_key_alone() {
    for algorithm in JwtAlgorithm::ALL {
        let signer = Signer::new(algorithm);
        let token = signer.sign(&payload());
        let alone = trusting(&issuer(&[algorithm]), &signer.jwk());
        assert_eq!(verify(&alone, &token).as_deref(), Ok("alice"), "{algorithm:?}");
        let (head, last) = token.split_at(token.len() - 2);
        let altered = format!("{head}{}", if last == "AA" { "BA" } else { "AA" });
        assert!(verify(&alone, &altered).is_err(), "{algorithm:?}: altered");
        let others: Vec<_> = JwtAlgorithm::ALL
            .into_iter()
            .filter(|other| *other != algorithm)
            .collect();
        let refused = verify(&trusting(&issuer(&others), &signer.jwk()), &token);
        assert_eq!(refused, Err(Unauthenticated::Wrong), "{algorithm:?}: not listed");
        if !algorithm.has_shared_secret() {
            let another = trusting(&issuer(&[algorithm]), &Signer::another(algorithm).jwk());
            assert_eq!(
                verify(&another, &token),
                Err(Unauthenticated::Wrong),
                "{algorithm:?}: another key"
            );
        }
    }
}

#[test]
fn what_a_token_says_of_its_own_check_is_not_believed() {
    use JwtAlgorithm::{ES256, HS256, RS256};
    let (rsa, other) = (Signer::new(RS256), Signer::new(ES256));
    let named = rsa.jwk_with(&json!({"kid": "first"}));
    let issuers = trusting(&issuer(&JwtAlgorithm::with_key_pair()), &json!({"keys": [named]}));
    let everything = trusting(&issuer(&JwtAlgorithm::ALL), &rsa.jwk());
    let forged = |header: Value, secret: &[u8]| {
        let message = format!("{}.{}", encode(header.to_string()), encode(payload().to_string()));
        let signature = mac(HS256, secret, message.as_bytes());
        format!("{message}.{}", encode(signature))
    };
    let unsigned = |header: Value| {
        format!(
            "{}.{}.",
            encode(header.to_string()),
            encode(payload().to_string())
        )
    };
    let signed = |signer: &Signer, header: Value| signer.sign_with(&header, &payload());
    let cases = [
        ("62 none", unsigned(json!({"alg": "none"}))),
        ("62 nOnE", unsigned(json!({"alg": "nOnE"}))),
        ("62 none, with a signature", signed(&rsa, json!({"alg": "none"}))),
        ("62 no algorithm", signed(&rsa, json!({}))),
        ("62 no signature", unsigned(json!({"alg": "RS256"}))),
        (
            "63 the public key as a secret",
            forged(json!({"alg": "HS256"}), rsa.pem().as_bytes()),
        ),
        (
            "63 its JWK as a secret",
            forged(json!({"alg": "HS256"}), rsa.jwk().to_string().as_bytes()),
        ),
        ("63 an empty secret", forged(json!({"alg": "HS256"}), b"")),
        (
            "64 a key of its own",
            signed(&other, json!({"alg": "ES256", "jwk": other.jwk()})),
        ),
        (
            "64 an address of keys",
            signed(
                &other,
                json!({"alg": "ES256", "jku": "https://evil.example", "x5u": "https://evil.example"}),
            ),
        ),
        (
            "64 certificates",
            signed(&other, json!({"alg": "ES256", "x5c": ["AAAA"], "x5t": "AAAA"})),
        ),
        (
            "65 a path as the key's name",
            signed(&rsa, json!({"alg": "RS256", "kid": "../../../../dev/null"})),
        ),
        (
            "65 a query as the key's name",
            signed(&rsa, json!({"alg": "RS256", "kid": "first' or '1'='1"})),
        ),
        (
            "65 another name",
            signed(&rsa, json!({"alg": "RS256", "kid": "First"})),
        ),
        (
            "65 the name of another's key",
            signed(&other, json!({"alg": "ES256", "kid": "first"})),
        ),
        (
            "69 crit",
            signed(&rsa, json!({"alg": "RS256", "crit": ["x"], "x": 1})),
        ),
        (
            "69 b64",
            signed(&rsa, json!({"alg": "RS256", "b64": false, "crit": ["b64"]})),
        ),
    ];
    for (name, token) in cases {
        assert!(verify(&issuers, &token).is_err(), "{name}");
        assert!(
            !token.contains("Hg==") && (name.starts_with("65") || verify(&everything, &token).is_err()),
            "{name}: HMAC allowed"
        );
    }
    let good = signed(&rsa, json!({"alg": "RS256", "kid": "first", "jwk": other.jwk()}));
    assert_eq!(
        verify(&issuers, &good).as_deref(),
        Ok("alice"),
        "a key of its own is not looked at"
    );
    let oversized = rsa.sign(&payload_with(&json!({"x": "x".repeat(8192)})));
    assert_eq!(
        verify(&issuers, &oversized),
        Err(Unauthenticated::Malformed),
        "69 oversized"
    );
}

#[test]
fn the_key_is_found_by_its_name_or_among_all() {
    use JwtAlgorithm::ES256;
    let signers: Vec<_> = (0..10).map(|_| Signer::new(ES256)).collect();
    let set = |named: bool| -> Value {
        let keys = signers.iter().enumerate().map(|(index, signer)| {
            if named {
                signer.jwk_with(&json!({"kid": index.to_string()}))
            } else {
                signer.jwk()
            }
        });
        json!({"keys": keys.collect::<Vec<_>>()})
    };
    let (named, nameless) = (
        trusting(&issuer(&[ES256]), &set(true)),
        trusting(&issuer(&[ES256]), &set(false)),
    );
    let sign = |index: usize, name: Option<&str>| {
        let header = name.map_or(
            json!({"alg": "ES256"}),
            |name| json!({"alg": "ES256", "kid": name}),
        );
        signers[index].sign_with(&header, &payload())
    };
    use Unauthenticated::{Unknown, Wrong};
    let cases = [
        ("by its name", &named, sign(9, Some("9")), Ok(())),
        ("by another's name", &named, sign(9, Some("8")), Err(Wrong)),
        (
            "by a name that nobody has",
            &named,
            sign(9, Some("10")),
            Err(Unknown),
        ),
        (
            "without a name, among the first eight",
            &named,
            sign(7, None),
            Ok(()),
        ),
        ("without a name, after them", &named, sign(8, None), Err(Wrong)),
        (
            "keys without names take any",
            &nameless,
            sign(0, Some("whatever")),
            Ok(()),
        ),
        (
            "but not after the first eight",
            &nameless,
            sign(8, Some("whatever")),
            Err(Unknown),
        ),
    ];
    for (name, issuers, token, expected) in cases {
        assert_eq!(verify(issuers, &token).map(drop), expected, "{name}");
    }
}

/// A stream goes on when its token ends, and not when its issuer no longer stands for it.
#[test]
fn what_was_verified_holds_as_long_as_key_and_configuration_do() {
    let (signer, other) = (Signer::new(JwtAlgorithm::ES256), Signer::new(JwtAlgorithm::ES256));
    let base = issuer(&[JwtAlgorithm::ES256]);
    let both = json!({"keys": [other.jwk(), signer.jwk()]});
    let verified = trusting(&base, &signer.jwk())
        .verify(signer.sign(&payload()).as_bytes(), now())
        .unwrap();
    type Edit = fn(&mut JwtIssuer);
    let cases: [(&str, &Value, Edit, bool); 9] = [
        ("the same", &signer.jwk(), |_| {}, true),
        ("another key beside it", &both, |_| {}, true),
        ("another key in its place", &other.jwk(), |_| {}, false),
        (
            "another issuer",
            &signer.jwk(),
            |issuer| issuer.issuer.push('/'),
            false,
        ),
        (
            "its audience is gone",
            &signer.jwk(),
            |issuer| drop(issuer.audiences.remove(0)),
            false,
        ),
        (
            "another audience is gone",
            &signer.jwk(),
            |issuer| drop(issuer.audiences.remove(1)),
            true,
        ),
        (
            "another algorithm",
            &signer.jwk(),
            |issuer| issuer.algorithms = vec![JwtAlgorithm::ES384],
            false,
        ),
        (
            "named by another claim",
            &signer.jwk(),
            |issuer| issuer.client_claim = "azp".into(),
            false,
        ),
        (
            "with groups, which it hadn't then",
            &signer.jwk(),
            |issuer| issuer.groups_claim = Some("groups".into()),
            false,
        ),
    ];
    for (name, keys, edit, holds) in cases {
        let mut issuer = base.clone();
        edit(&mut issuer);
        assert_eq!(trusting(&issuer, keys).holds(&verified), holds, "{name}");
    }
    let ends = |seconds| Timestamp::from_second(NOW + 60 + seconds).unwrap();
    let issuers = trusting(&base, &signer.jwk());
    assert!(!issuers.has_ended(&verified, ends(29)) && issuers.has_ended(&verified, ends(30)));
    assert!(
        Issuers::default().has_ended(&verified, now()),
        "of an issuer that is gone"
    );
}

/// The secret of an HMAC counts only where its algorithms are listed.
#[test]
fn a_secret_lets_in_where_it_is_listed() {
    let signer = Signer::new(JwtAlgorithm::HS256);
    let token = signer.sign(&payload());
    let mut list = KeyList::default();
    list.add_file(SECRET).unwrap();
    let mut issuers = Issuers::default();
    issuers.add(&issuer(&[JwtAlgorithm::HS256]), KeySet::of_files(list).unwrap());
    assert_eq!(verify(&issuers, &token).as_deref(), Ok("alice"));
    let unlisted = trusting(&issuer(&JwtAlgorithm::with_key_pair()), &signer.jwk());
    assert_eq!(verify(&unlisted, &token), Err(Unauthenticated::Wrong));
}
