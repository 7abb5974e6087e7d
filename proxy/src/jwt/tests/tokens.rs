//! Tokens that let their bearers in, and all the others (attack cases 62 to 69).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::signer::{SECRET, Signer, encode, mac};
use crate::config::{CredentialSource, JwtAlgorithm, JwtIssuer};
use crate::identify::Unauthenticated;
use crate::jwt::{Issuers, KeyList, KeySet};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";

fn issuer(algorithms: &[JwtAlgorithm]) -> JwtIssuer {
    JwtIssuer {
        issuer: ISSUER.into(),
        audiences: vec!["ollama".into(), "models".into()],
        keys: Some(CredentialSource {
            path: "jwks.json".into(),
            key: None,
        }),
        jwks_uri: None,
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
fn trusting(issuer: &JwtIssuer, set: &Value) -> Issuers {
    let mut issuers = Issuers::default();
    issuers.add(issuer, keys(set));
    issuers
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

/// The client that a token lets in, or why nobody.
fn verify(issuers: &Issuers, token: &str) -> Result<String, Unauthenticated> {
    match issuers.verify(token.as_bytes(), now()) {
        Ok(verified) => Ok(verified.client.name.to_string()),
        Err(refused) => Err(refused.cause()),
    }
}

fn payload() -> Value {
    json!({"iss": ISSUER, "aud": "ollama", "sub": "alice", "exp": NOW + 60})
}

fn payload_with(members: &Value) -> Value {
    let mut payload = payload();
    payload
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    payload
}

fn payload_without(member: &str) -> Value {
    let mut payload = payload();
    payload.as_object_mut().unwrap().remove(member);
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
#[rustfmt::skip] // one case a line
fn claims_are_what_is_asked_for() {
    use Unauthenticated::{Claims, Expired, Malformed, Unknown};
    let signer = Signer::new(JwtAlgorithm::ES256);
    let issuers = trusting(&issuer(&[JwtAlgorithm::ES256]), &signer.jwk());
    let with = |members: Value| payload_with(&members).to_string();
    let text = |from: &str, to: &str| payload().to_string().replace(from, to);
    let exp = format!("\"exp\":{}", NOW + 60);
    let cases = [
        ("as it should be", payload().to_string(), Ok("alice")),
        ("an audience of several", with(json!({"aud": ["x", "models"]})), Ok("alice")),
        ("all times", with(json!({"nbf": NOW, "iat": NOW - 5})), Ok("alice")),
        ("ended within the leeway", with(json!({"exp": NOW - 29})), Ok("alice")),
        ("ended at the leeway", with(json!({"exp": NOW - 30})), Err(Expired)),
        ("ended long ago", with(json!({"exp": 0})), Err(Expired)),
        ("a fraction counts against it", with(json!({"exp": NOW as f64 - 29.5})), Err(Expired)),
        ("an end with an exponent", text(&exp, "\"exp\":18e8"), Ok("alice")),
        ("an end at the end of time", with(json!({"exp": 253_402_300_799_i64})), Ok("alice")),
        ("an end after that", with(json!({"exp": 253_402_300_800_i64})), Err(Claims)),
        ("a huge end", with(json!({"exp": u64::MAX})), Err(Claims)),
        ("a huge end with an exponent", text(&exp, "\"exp\":1e300"), Err(Claims)),
        ("an end without end", text(&exp, "\"exp\":1e999"), Err(Malformed)),
        ("a negative end", with(json!({"exp": -1})), Err(Claims)),
        ("an end in quotes", with(json!({"exp": (NOW + 60).to_string()})), Err(Claims)),
        ("an end that is a list", with(json!({"exp": [NOW + 60]})), Err(Claims)),
        ("an end that is null", with(json!({"exp": null})), Err(Claims)),
        ("an end that is true", with(json!({"exp": true})), Err(Claims)),
        ("no end", payload_without("exp").to_string(), Err(Claims)),
        ("begins within the leeway", with(json!({"nbf": NOW + 30})), Ok("alice")),
        ("begins later", with(json!({"nbf": NOW + 31})), Err(Expired)),
        ("begins a fraction later", with(json!({"nbf": NOW as f64 + 30.5})), Err(Expired)),
        ("begins in quotes", with(json!({"nbf": NOW.to_string()})), Err(Claims)),
        ("begins at null", with(json!({"nbf": null})), Err(Claims)),
        ("made later", with(json!({"iat": NOW + 31})), Err(Expired)),
        ("made in quotes", with(json!({"iat": "0"})), Err(Claims)),
        ("another issuer", with(json!({"iss": "https://idp.example/"})), Err(Unknown)),
        ("an issuer in other letters", with(json!({"iss": "https://IDP.example"})), Err(Unknown)),
        ("a list of issuers", with(json!({"iss": [ISSUER]})), Err(Claims)),
        ("no issuer", payload_without("iss").to_string(), Err(Claims)),
        ("another audience", with(json!({"aud": "ollama2"})), Err(Claims)),
        ("an audience in other letters", with(json!({"aud": "Ollama"})), Err(Claims)),
        ("no audience of several", with(json!({"aud": []})), Err(Claims)),
        ("an audience that is no text", with(json!({"aud": ["ollama", 1]})), Err(Claims)),
        ("an audience that is an object", with(json!({"aud": {"ollama": true}})), Err(Claims)),
        ("no audience", payload_without("aud").to_string(), Err(Claims)),
        ("no client", payload_without("sub").to_string(), Err(Claims)),
        ("an empty client", with(json!({"sub": ""})), Err(Claims)),
        ("a client with a space behind it", with(json!({"sub": "alice "})), Err(Claims)),
        ("a client with a line end", with(json!({"sub": "alice\nadmin"})), Err(Claims)),
        ("a client that is too long", with(json!({"sub": "a".repeat(254)})), Err(Claims)),
        ("a client that is a number", with(json!({"sub": 1})), Err(Claims)),
        ("a client that is a list", with(json!({"sub": ["alice"]})), Err(Claims)),
        ("a claim twice", text("\"sub\":", "\"sub\":\"admin\",\"sub\":"), Err(Malformed)),
        ("no claims", "{}".to_owned(), Err(Claims)),
        ("a list", "[]".to_owned(), Err(Malformed)),
        ("no JSON", "alice".to_owned(), Err(Malformed)),
        ("nothing", String::new(), Err(Malformed)),
    ];
    for (name, payload, expected) in cases {
        let token = signer.sign_text(r#"{"alg":"ES256"}"#, &payload);
        assert_eq!(verify(&issuers, &token), expected.map(str::to_owned), "{name}");
    }
}

/// Rows 62, 63, 64, 65 and 69: a token has no say in how it is checked.
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

#[test]
fn the_client_is_named_by_the_claim_that_is_configured() {
    let signer = Signer::new(JwtAlgorithm::EdDSA);
    let token = signer.sign(&payload_with(&json!({
        "azp": "app", "user": {"name": "bob", "id": 1}, "https://idp.example/name": "carol", "user.nick": "dave",
    })));
    let cases = [
        ("sub", Some("alice")),
        ("azp", Some("app")),
        ("user.name", Some("bob")),
        ("https://idp.example/name", Some("carol")),
        ("user.nick", Some("dave")),
        ("user.id", None),
        ("user", None),
        ("user.name.first", None),
        ("none", None),
    ];
    for (claim, client) in cases {
        let issuer = JwtIssuer {
            client_claim: claim.into(),
            ..issuer(&[JwtAlgorithm::EdDSA])
        };
        let verified = verify(&trusting(&issuer, &signer.jwk()), &token).ok();
        assert_eq!(verified.as_deref(), client, "{claim}");
    }
}

#[test]
#[rustfmt::skip] // one case a line
fn groups_are_those_of_the_claim_that_is_configured() {
    let signer = Signer::new(JwtAlgorithm::EdDSA);
    let many = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
    let long = |length: usize| vec!["g".repeat(length)];
    let several = || Ok(vec!["team-a".to_owned(), "ops".to_owned()]);
    let cases = [
        ("a list", "groups", json!({"groups": ["team-a", "ops"]}), several()),
        ("one name", "groups", json!({"groups": "team a"}), Ok(vec!["team a".to_owned()])),
        ("in another claim", "realm.roles", json!({"realm": {"roles": ["team-a", "ops"]}}), several()),
        ("a name with dots", "https://idp.example/groups", json!({"https://idp.example/groups": ["team-a", "ops"]}), several()),
        ("an empty list", "groups", json!({"groups": []}), Ok(vec![])),
        ("no such claim", "groups", json!({"Groups": ["ops"]}), Ok(vec![])),
        ("no claim to hold it", "realm.roles", json!({"roles": ["ops"]}), Ok(vec![])),
        ("as many as there may be", "groups", json!({"groups": many(200)}), Ok(many(200))),
        ("one more", "groups", json!({"groups": many(201)}), Err(Unauthenticated::Claims)),
        ("as long as one may be", "groups", json!({"groups": long(253)}), Ok(long(253))),
        ("a longer one", "groups", json!({"groups": long(254)}), Err(Unauthenticated::Claims)),
        ("a longer one alone", "groups", json!({"groups": "g".repeat(254)}), Err(Unauthenticated::Claims)),
        ("one of two lines", "groups", json!({"groups": ["ops", "a\nb"]}), Err(Unauthenticated::Claims)),
        ("an empty one", "groups", json!({"groups": ["ops", ""]}), Err(Unauthenticated::Claims)),
        ("a number among them", "groups", json!({"groups": ["ops", 1]}), Err(Unauthenticated::Claims)),
        ("a list in a list", "groups", json!({"groups": [["ops"]]}), Err(Unauthenticated::Claims)),
        ("an object", "groups", json!({"groups": {"ops": true}}), Err(Unauthenticated::Claims)),
        ("a number", "groups", json!({"groups": 1}), Err(Unauthenticated::Claims)),
        ("true", "groups", json!({"groups": true}), Err(Unauthenticated::Claims)),
        ("null", "groups", json!({"groups": null}), Err(Unauthenticated::Claims)),
    ];
    for (name, claim, members, expected) in cases {
        let asking = JwtIssuer {
            groups_claim: Some(claim.into()),
            ..issuer(&[JwtAlgorithm::EdDSA])
        };
        let token = signer.sign(&payload_with(&members));
        let groups = |issuer: &JwtIssuer| match trusting(issuer, &signer.jwk()).verify(token.as_bytes(), now()) {
            Ok(verified) => Ok(verified.groups().to_vec()),
            Err(refused) => Err(refused.cause()),
        };
        assert_eq!(groups(&asking), expected, "{name}");
        assert_eq!(groups(&issuer(&[JwtAlgorithm::EdDSA])), Ok(vec![]), "{name}: nobody asks");
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
