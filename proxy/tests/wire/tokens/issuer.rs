//! An issuer of tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://idp.example";

/// Signs by ES256, with a key that has a name.
pub(crate) struct Issuer {
    pair: EcdsaKeyPair,
    name: &'static str,
}

impl Issuer {
    pub(crate) fn new(name: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, name }
    }

    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "kid": self.name, "use": "sig", "x": encode(x), "y": encode(y)})
    }

    /// A good token of this client.
    pub(crate) fn token(&self, client: &str) -> String {
        self.sign(&self.header(), &claims(client))
    }

    pub(crate) fn header(&self) -> Value {
        json!({"alg": "ES256", "kid": self.name, "typ": "JWT"})
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", encode(signature))
    }
}

/// The set that an issuer with these keys publishes.
pub(crate) fn set(issuers: &[&Issuer]) -> String {
    let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    json!({"keys": keys}).to_string()
}

/// What a good token says of a client.
pub(crate) fn claims(client: &str) -> Value {
    json!({"iss": ISSUER, "aud": "ollama", "sub": client, "exp": now() + 600, "iat": now()})
}

/// `object` with these members in place of its own; null takes one away.
pub(crate) fn with(object: &Value, members: &Value) -> Value {
    let mut object = object.clone();
    for (name, value) in members.as_object().unwrap() {
        let map = object.as_object_mut().unwrap();
        match value {
            Value::Null => drop(map.remove(name)),
            value => drop(map.insert(name.clone(), value.clone())),
        }
    }
    object
}

/// A token by an HMAC under any secret.
pub(crate) fn sign_with_secret(secret: &[u8], claims: &Value) -> String {
    let message = message(&json!({"alg": "HS256"}), claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", encode(tag))
}

/// A token that nobody has signed.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", message(header, claims))
}

pub(crate) fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
