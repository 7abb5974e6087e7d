//! An issuer that signs what it is told to.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaPublicKeyComponents,
};
use aws_lc_rs::{encoding::AsDer, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::config::JwtAlgorithm;

/// A secret of the length that each HMAC takes.
pub(super) const SECRET: &[u8; 64] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Signs by one algorithm.
pub(super) struct Signer {
    pub(super) algorithm: JwtAlgorithm,
    private: Private,
}

enum Private {
    Secret,
    Rsa(&'static RsaKeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair, &'static str),
    Ed25519(Ed25519KeyPair),
}

/// Made once: a key of RSA takes its time.
static RSA_KEYS: LazyLock<[RsaKeyPair; 2]> =
    LazyLock::new(|| [(); 2].map(|()| RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));

impl Signer {
    /// With a key of its own, except that the secret is always [`SECRET`] and the RSA key always the same.
    pub(super) fn new(algorithm: JwtAlgorithm) -> Self {
        Self::with(algorithm, &RSA_KEYS[0])
    }

    /// The like with another RSA key.
    pub(super) fn another(algorithm: JwtAlgorithm) -> Self {
        Self::with(algorithm, &RSA_KEYS[1])
    }

    fn with(algorithm: JwtAlgorithm, rsa_key: &'static RsaKeyPair) -> Self {
        use JwtAlgorithm as A;
        let rsa = |encoding| Private::Rsa(rsa_key, encoding);
        let private = match algorithm {
            A::HS256 | A::HS384 | A::HS512 => Private::Secret,
            A::RS256 => rsa(&signature::RSA_PKCS1_SHA256),
            A::RS384 => rsa(&signature::RSA_PKCS1_SHA384),
            A::RS512 => rsa(&signature::RSA_PKCS1_SHA512),
            A::PS256 => rsa(&signature::RSA_PSS_SHA256),
            A::PS384 => rsa(&signature::RSA_PSS_SHA384),
            A::PS512 => rsa(&signature::RSA_PSS_SHA512),
            A::ES256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, "P-256"),
            A::ES384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING, "P-384"),
            A::ES512 => ecdsa(&signature::ECDSA_P521_SHA512_FIXED_SIGNING, "P-521"),
            A::EdDSA => Private::Ed25519(Ed25519KeyPair::generate().unwrap()),
        };
        Self { algorithm, private }
    }

    /// Its public key, or its secret, as a JWK that says no more than it must.
    pub(super) fn jwk(&self) -> Value {
        match &self.private {
            Private::Secret => json!({"kty": "oct", "k": encode(SECRET)}),
            Private::Rsa(pair, _) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Private::Ecdsa(pair, curve) => {
                let point = &pair.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Private::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
        }
    }

    /// That JWK with more members.
    pub(super) fn jwk_with(&self, members: &Value) -> Value {
        let mut jwk = self.jwk();
        jwk.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        jwk
    }

    /// Its public key in PEM.
    pub(super) fn pem(&self) -> String {
        let der = match &self.private {
            Private::Secret => panic!("a secret has no PEM"),
            Private::Rsa(pair, _) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Private::Ecdsa(pair, _) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        )
    }

    /// A token with that payload, and a header that says no more than it must.
    pub(super) fn sign(&self, payload: &Value) -> String {
        self.sign_with(&json!({"alg": self.algorithm.name()}), payload)
    }

    pub(super) fn sign_with(&self, header: &Value, payload: &Value) -> String {
        self.sign_text(&header.to_string(), &payload.to_string())
    }

    pub(super) fn sign_text(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.signature(message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.private {
            Private::Secret => mac(self.algorithm, SECRET, message),
            Private::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature).unwrap();
                signature
            }
            Private::Ecdsa(pair, _) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, curve: &'static str) -> Private {
    Private::Ecdsa(EcdsaKeyPair::generate(algorithm).unwrap(), curve)
}

/// The HMAC of a message under any secret.
pub(super) fn mac(algorithm: JwtAlgorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let hash = match algorithm {
        JwtAlgorithm::HS384 => hmac::HMAC_SHA384,
        JwtAlgorithm::HS512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    hmac::sign(&hmac::Key::new(hash, secret), message)
        .as_ref()
        .to_vec()
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
