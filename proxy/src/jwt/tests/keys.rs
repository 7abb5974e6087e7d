//! What counts as a key, and what is said of what doesn't.

use serde_json::{Value, json};

use super::signer::{SECRET, Signer};
use crate::config::JwtAlgorithm;
use crate::jwt::key::Key;
use crate::jwt::{KeyList, KeyProblem, KeySet, jwk};

/// The types of the keys of a file, or why it has none.
fn read(content: impl AsRef<[u8]>) -> Result<Vec<String>, KeyProblem> {
    let mut list = KeyList::default();
    list.add_file(content.as_ref())?;
    let keys = KeySet::of_files(list)?;
    Ok(keys.iter().map(Key::type_name).collect())
}

#[test]
fn each_form_of_a_key_is_read() {
    let (rsa, p256) = (Signer::new(JwtAlgorithm::RS256), Signer::new(JwtAlgorithm::ES256));
    let [p384, p521, ed25519] =
        [JwtAlgorithm::ES384, JwtAlgorithm::ES512, JwtAlgorithm::EdDSA].map(Signer::new);
    let set = json!({"keys": [rsa.jwk(), p256.jwk(), ed25519.jwk()]});
    let encrypting = p384.jwk_with(&json!({"use": "enc"}));
    let cases = [
        ("RSA in PEM", rsa.pem(), vec!["RSA-2048"]),
        ("P-256 in PEM", p256.pem(), vec!["P-256"]),
        ("P-384 in PEM", p384.pem(), vec!["P-384"]),
        ("P-521 in PEM", p521.pem(), vec!["P-521"]),
        ("Ed25519 in PEM", ed25519.pem(), vec!["Ed25519"]),
        ("two in PEM", format!("{}\n{}", rsa.pem(), p256.pem()), vec!["RSA-2048", "P-256"]),
        ("one JWK", p521.jwk().to_string(), vec!["P-521"]),
        ("a set", format!(" \n{set}"), vec!["RSA-2048", "P-256", "Ed25519"]),
        (
            "a set with keys for other uses and of other types",
            json!({"keys": [encrypting, {"kty": "OKP", "crv": "X25519", "x": "AA"}, {"kty": "AKP"}, p256.jwk()]})
                .to_string(),
            vec!["P-256"],
        ),
        ("a key twice", json!({"keys": [p256.jwk(), p256.jwk()]}).to_string(), vec!["P-256"]),
        ("a secret", "0123456789abcdef0123456789abcdef".to_owned(), vec!["secret"]),
        ("a secret as a JWK", json!({"kty": "oct", "k": "A".repeat(43)}).to_string(), vec!["secret"]),
    ];
    for (name, content, types) in cases {
        assert_eq!(read(content).unwrap(), types, "{name}");
    }
}

#[test]
fn what_is_no_key_is_refused_with_a_reason() {
    let (rsa, p256) = (Signer::new(JwtAlgorithm::RS256), Signer::new(JwtAlgorithm::ES256));
    let short = |member: &str, bytes: &str| p256.jwk_with(&json!({ member: bytes })).to_string();
    let changed = |members: Value| rsa.jwk_with(&members).to_string();
    let set = |keys: Value| json!({ "keys": keys }).to_string();
    let secret = json!({"kty": "oct", "k": "A".repeat(86)});
    let same_name = |jwk: &Signer| jwk.jwk_with(&json!({"kid": "a"}));
    let of_two_lines = |jwk: &Signer| jwk.jwk_with(&json!({"kid": "a\nlevel=INFO"}));
    let cases = [
        (
            "a short secret",
            "0123456789abcdef".to_owned(),
            "a secret of 16 bytes",
        ),
        ("nothing", "\n".to_owned(), "a secret of 0 bytes"),
        ("half of a PEM", rsa.pem()[..100].to_owned(), "malformed PEM"),
        (
            "a private key",
            rsa.pem().replace("PUBLIC", "PRIVATE"),
            "a private key",
        ),
        (
            "a certificate",
            rsa.pem().replace("PUBLIC KEY", "CERTIFICATE"),
            "openssl x509 -noout -pubkey",
        ),
        (
            "another block",
            rsa.pem().replace("PUBLIC KEY", "DH PARAMETERS"),
            "no public key",
        ),
        (
            "PEM of no key",
            "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n".to_owned(),
            "of a type",
        ),
        (
            "half of a JSON",
            rsa.jwk().to_string()[..50].to_owned(),
            "wrong in line 1, column 50",
        ),
        ("no type", "{}".to_owned(), "`kty`"),
        (
            "a set that is none",
            json!({"keys": {}}).to_string(),
            "list `keys`",
        ),
        ("an empty set", set(json!([])), "no key of a set"),
        ("a private JWK", changed(json!({"d": "AQ"})), "a private key"),
        (
            "a small modulus",
            changed(json!({"n": "_".repeat(168)})),
            "an RSA key of 1008 bits",
        ),
        (
            "a zero before the modulus",
            changed(json!({"n": format!("AAAA{}", "_".repeat(340))})),
            "a damaged key",
        ),
        ("an exponent of one", changed(json!({"e": "AQ"})), "exponent"),
        ("an even exponent", changed(json!({"e": "AQAA"})), "exponent"),
        ("a huge exponent", changed(json!({"e": "AQAAAAAB"})), "exponent"),
        ("padding", changed(json!({"e": "AQAB="})), "`e`"),
        (
            "no exponent",
            json!({"kty": "RSA", "n": rsa.jwk()["n"]}).to_string(),
            "`e`",
        ),
        (
            "another algorithm's key",
            changed(json!({"alg": "ES256"})),
            "`alg`",
        ),
        ("a number as a name", changed(json!({"kid": 1})), "`kid`"),
        (
            "a long name",
            changed(json!({"kid": "k".repeat(257)})),
            "at most 256 bytes",
        ),
        (
            "operations that are no list",
            changed(json!({"key_ops": "verify"})),
            "`key_ops`",
        ),
        ("a short coordinate", short("x", &"A".repeat(42)), "`x`"),
        ("a long coordinate", short("y", &"A".repeat(44)), "`y`"),
        ("a point off the curve", short("y", &"A".repeat(43)), "no point"),
        (
            "a secret beside a key",
            set(json!([secret, rsa.jwk()])),
            "a secret beside public keys",
        ),
        (
            "a name of two keys",
            set(json!([same_name(&rsa), same_name(&p256)])),
            "two keys are called `a`",
        ),
        (
            "a name of two keys and two lines",
            set(json!([of_two_lines(&rsa), of_two_lines(&p256)])),
            "two keys are called `a\\nlevel=INFO`",
        ),
        (
            "too many",
            set((0..65).map(|_| rsa.jwk()).collect()),
            "more than 64 keys",
        ),
        (
            "one bad key of a set",
            set(json!([p256.jwk(), {"kty": "EC"}])),
            "key 2: `crv`",
        ),
    ];
    for (name, content, expected) in cases {
        let problem = read(&content).expect_err(name).to_string();
        assert!(problem.contains(expected), "{name}: {problem}");
    }
    assert!(
        read(b"\xff".repeat(31)).is_err() && read(b"\xff".repeat(32)).is_ok(),
        "bytes"
    );
}

#[test]
fn a_line_end_behind_a_secret_is_none_of_it() {
    let exact = "0123456789abcdef0123456789abcde";
    for content in [format!("{exact}\n"), format!("{exact}\r\n")] {
        assert_eq!(read(content), Err(KeyProblem::ShortSecret(31, 32)));
    }
}

#[test]
fn keys_must_be_for_an_algorithm_that_is_allowed() {
    use JwtAlgorithm::{ES256, HS256, HS512, RS256};
    let key = |algorithm| Signer::new(algorithm).jwk().to_string();
    let cases = [
        ("RSA", key(RS256), vec![RS256, ES256], true),
        ("RSA for another", key(RS256), vec![ES256], false),
        ("RSA as a secret", key(RS256), vec![HS256], false),
        (
            "a secret as a key",
            String::from_utf8_lossy(SECRET).into_owned(),
            vec![RS256],
            false,
        ),
        (
            "a secret",
            "0123456789abcdef0123456789abcdef".to_owned(),
            vec![HS256],
            true,
        ),
        (
            "a secret too short for one",
            "0123456789abcdef0123456789abcdef".to_owned(),
            vec![HS256, HS512],
            false,
        ),
        (
            "a secret for all",
            String::from_utf8_lossy(SECRET).into_owned(),
            vec![HS256, HS512],
            true,
        ),
    ];
    for (name, content, algorithms, good) in cases {
        let mut list = KeyList::default();
        list.add_file(content.as_bytes()).unwrap();
        let keys = KeySet::of_files(list).unwrap();
        assert_eq!(keys.check_algorithms(&algorithms).is_ok(), good, "{name}");
    }
}

/// From elsewhere than a file what is wrong with one key doesn't take the others with it.
#[test]
fn of_a_published_set_the_good_keys_count() {
    let [good, one, other] = [JwtAlgorithm::ES256, JwtAlgorithm::ES256, JwtAlgorithm::EdDSA].map(Signer::new);
    let named = |signer: &Signer, name: &str| signer.jwk_with(&json!({ "kid": name }));
    let set = json!({"keys": [
        named(&good, "good"), {"kty": "RSA", "n": "AQ", "e": "AQAB", "kid": "small"}, named(&one, "twice"), named(&other, "twice"),
    ]});
    let (keys, problems) = KeySet::of(jwk::parse(set.to_string().as_bytes()).unwrap()).unwrap();
    let names: Vec<_> = keys.iter().map(|key| key.name.as_deref()).collect();
    assert_eq!(names, [Some("good")]);
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert!(
        problems[0].starts_with("key 2: an RSA key of 1 bits") && problems[1].contains("`twice`"),
        "{problems:?}"
    );
}
