//! Every vector of Project Wycheproof for JSON Web Signatures and keys (proxy/tests/wycheproof).

use serde_json::Value;

use crate::config::JwtAlgorithm;
use crate::jwt::compact::Compact;
use crate::jwt::jwk;
use crate::jwt::keys::KeySet;

/// Vectors of signatures that are judged otherwise here, and why.
const OTHERWISE: [(u64, &str); 8] = [
    (346, "refused: its key is for PS256, and it is signed by PS384"),
    (347, "refused: its key is for ES521, which is no algorithm"),
    (350, "refused: its key is for PS256, and it is signed by PS384"),
    (351, "refused: its key is for ES521, which is no algorithm"),
    (
        367,
        "accepted: it is the very token of vector 357, which is valid",
    ),
    (
        370,
        "accepted: it is the very token of vector 357, which is valid",
    ),
    (372, "refused: `?` is not in the alphabet"),
    (373, "refused: `?` is not in the alphabet"),
];

/// Whether a token is found to be signed by one of the keys, whatever algorithm it names. A key that is refused, beside
/// others or alone, lets nobody in.
fn is_signed(keys: &Value, token: &str) -> bool {
    let Ok((keys, _)) = jwk::parse(keys.to_string().as_bytes()).and_then(KeySet::of) else {
        return false;
    };
    let Ok(token) = Compact::parse(token.as_bytes()) else {
        return false;
    };
    keys.verify(&token, &JwtAlgorithm::ALL).is_ok()
}

/// Judges every vector of a file; a group has the public key or, for an HMAC, the secret one.
fn judge(file: &str, expected: usize, otherwise: &[(u64, &str)]) {
    let file: Value = serde_json::from_str(file).unwrap();
    let mut judged = 0;
    for group in file["testGroups"].as_array().unwrap() {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for vector in group["tests"].as_array().unwrap() {
            let (id, token) = (vector["tcId"].as_u64().unwrap(), vector["jws"].as_str().unwrap());
            let stands = !otherwise.iter().any(|(other, _)| *other == id);
            let valid = (vector["result"] == "valid") == stands;
            assert_eq!(is_signed(keys, token), valid, "{}: {vector}", group["comment"]);
            judged += 1;
        }
    }
    assert_eq!(file["numberOfTests"], judged);
    assert_eq!(judged, expected);
}

#[test]
fn every_signature_vector_is_judged() {
    let file = include_str!("../../../tests/wycheproof/json_web_signature_test.json");
    judge(file, 401, &OTHERWISE);
}

#[test]
fn every_key_vector_is_judged() {
    let file = include_str!("../../../tests/wycheproof/json_web_key_test.json");
    judge(file, 26, &[]);
}
