//! What an algorithm of JSON Web Signatures is made of (RFC 7518, section 3; RFC 8037, section 3.1).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, EcdsaVerificationAlgorithm, RsaParameters};

use crate::config::JwtAlgorithm;

/// How a signature by an algorithm is checked, and by which type of key.
pub(super) enum Scheme {
    /// A secret that both sides know.
    Hmac(hmac::Algorithm),
    /// RSA, with either padding.
    Rsa(&'static RsaParameters),
    /// ECDSA on one curve.
    Ecdsa(Curve),
    /// Ed25519.
    Ed25519,
}

/// An elliptic curve of ECDSA. Each has one algorithm (RFC 7518, section 3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// By its name in a JWK.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "P-256" => Some(Self::P256),
            "P-384" => Some(Self::P384),
            "P-521" => Some(Self::P521),
            _ => None,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Bytes of a coordinate.
    pub(super) const fn coordinate_length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    /// How signatures are checked: of fixed length, as JSON Web Signatures have them.
    pub(super) fn verification(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::P384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::P521 => &signature::ECDSA_P521_SHA512_FIXED,
        }
    }
}

impl JwtAlgorithm {
    pub(super) fn scheme(self) -> Scheme {
        match self {
            Self::HS256 => Scheme::Hmac(hmac::HMAC_SHA256),
            Self::HS384 => Scheme::Hmac(hmac::HMAC_SHA384),
            Self::HS512 => Scheme::Hmac(hmac::HMAC_SHA512),
            Self::RS256 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::RS384 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::RS512 => Scheme::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::PS256 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            Self::PS384 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            Self::PS512 => Scheme::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            Self::ES256 => Scheme::Ecdsa(Curve::P256),
            Self::ES384 => Scheme::Ecdsa(Curve::P384),
            Self::ES512 => Scheme::Ecdsa(Curve::P521),
            Self::EdDSA => Scheme::Ed25519,
        }
    }

    /// Fewest bytes of its secret: as many as the hash has (RFC 7518, section 3.2). None where there is no secret.
    pub(super) fn shortest_secret(self) -> Option<usize> {
        match self.scheme() {
            Scheme::Hmac(hash) => Some(hash.digest_algorithm().output_len()),
            Scheme::Rsa(_) | Scheme::Ecdsa(_) | Scheme::Ed25519 => None,
        }
    }

    /// By its name in a header or a JWK. `Ed25519` is the name of EdDSA on that curve (RFC 9864).
    pub(super) fn of_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDSA);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}
