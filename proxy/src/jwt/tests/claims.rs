//! What tokens say, and what of it counts.

use serde_json::{Value, json};

use super::signer::Signer;
use super::tokens::{ISSUER, NOW, issuer, now, payload, payload_with, trusting, verify};
use crate::config::{JwtAlgorithm, JwtIssuer};
use crate::identify::Unauthenticated;

fn payload_without(member: &str) -> Value {
    let mut payload = payload();
    payload.as_object_mut().unwrap().remove(member);
    payload
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
