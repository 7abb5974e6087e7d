//! A key by which signatures are checked, of the one type that it is.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey};
use aws_lc_rs::{hmac, rsa};
use zeroize::Zeroizing;

use super::algorithm::{Curve, Scheme};
use super::problem::{FEWEST_RSA_BITS, KeyProblem, MOST_RSA_BITS};
use crate::config::JwtAlgorithm;
use crate::credentials::CredentialId;

/// Fewest bytes of the secret of an HMAC: what the shortest hash has (RFC 7518, section 3.2).
pub(super) const SHORTEST_SECRET: usize = 32;

/// A key in force.
pub(super) struct Key {
    pub(super) id: CredentialId,
    /// What tokens call it.
    pub(super) name: Option<String>,
    /// The only algorithm that it may be used with, where it says so.
    pub(super) algorithm: Option<JwtAlgorithm>,
    material: Material,
}

/// What a key is made of.
pub(super) enum Material {
    Secret(Zeroizing<Vec<u8>>),
    Rsa(PublicKeyComponents<Vec<u8>>),
    /// An uncompressed point (SEC 1, section 2.3.3).
    Ecdsa(Curve, Vec<u8>),
    Ed25519([u8; 32]),
}

impl Material {
    /// The secret of an HMAC.
    pub(super) fn secret(bytes: &[u8]) -> Result<Self, KeyProblem> {
        if bytes.len() < SHORTEST_SECRET {
            return Err(KeyProblem::ShortSecret(bytes.len(), SHORTEST_SECRET));
        }
        Ok(Self::Secret(Zeroizing::new(bytes.to_vec())))
    }

    /// An RSA key of a modulus and an exponent, big-endian and without zeros before them.
    pub(super) fn rsa(modulus: Vec<u8>, exponent: Vec<u8>) -> Result<Self, KeyProblem> {
        let bits = modulus
            .first()
            .map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
        if !(FEWEST_RSA_BITS..=MOST_RSA_BITS).contains(&bits) {
            return Err(KeyProblem::RsaSize(bits));
        }
        // An exponent of 1 would make every message its own signature; larger ones than these nobody uses.
        let odd = exponent.last().is_some_and(|last| last % 2 == 1);
        if !odd || exponent.len() > 4 || exponent.first() == Some(&0) || exponent == [1] {
            return Err(KeyProblem::RsaExponent);
        }
        if is_guessable(&modulus) {
            return Err(KeyProblem::RsaGuessable);
        }
        let components = PublicKeyComponents {
            n: modulus,
            e: exponent,
        };
        components
            .to_parsed_public_key(&signature::RSA_PKCS1_2048_8192_SHA256)
            .map_err(|_| KeyProblem::Damaged)?;
        Ok(Self::Rsa(components))
    }

    /// The point of two coordinates, which must be on the curve.
    pub(super) fn ecdsa(curve: Curve, point: Vec<u8>) -> Result<Self, KeyProblem> {
        let uncompressed = point.len() == 1 + 2 * curve.coordinate_length() && point.first() == Some(&4);
        if !uncompressed || ParsedPublicKey::new(curve.verification(), &point).is_err() {
            return Err(KeyProblem::Point);
        }
        Ok(Self::Ecdsa(curve, point))
    }

    pub(super) fn ed25519(bytes: &[u8]) -> Result<Self, KeyProblem> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| KeyProblem::Point)?;
        ParsedPublicKey::new(&signature::ED25519, bytes).map_err(|_| KeyProblem::Point)?;
        Ok(Self::Ed25519(bytes))
    }

    /// A public key in DER: `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
    pub(super) fn of_der(der: &[u8]) -> Result<Self, KeyProblem> {
        for (prefix, curve) in [
            (P256_PREFIX, Curve::P256),
            (P384_PREFIX, Curve::P384),
            (P521_PREFIX, Curve::P521),
        ] {
            if let Some(point) = der.strip_prefix(prefix) {
                return Self::ecdsa(curve, point.to_vec());
            }
        }
        if let Some(bytes) = der.strip_prefix(ED25519_PREFIX) {
            return Self::ed25519(bytes);
        }
        let key = rsa::PublicKey::from_der(der).map_err(|_| KeyProblem::PemType)?;
        let PublicKeyComponents { n, e } = PublicKeyComponents::from(&key);
        Self::rsa(n, e)
    }

    fn id(&self) -> CredentialId {
        let parts: [&[u8]; 3] = match self {
            Self::Secret(bytes) => [b"secret:", bytes, b""],
            Self::Rsa(PublicKeyComponents { n, e }) => [b"rsa:", n, e],
            Self::Ecdsa(_, point) => [b"ecdsa:", point, b""],
            Self::Ed25519(bytes) => [b"ed25519:", bytes, b""],
        };
        CredentialId::of(&Zeroizing::new(parts.concat()))
    }
}

/// All of a `SubjectPublicKeyInfo` but the uncompressed point (RFC 5480), which is always as long for a curve.
const P256_PREFIX: &[u8] = b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
const P384_PREFIX: &[u8] =
    b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00";
const P521_PREFIX: &[u8] =
    b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23\x03\x81\x86\x00";
/// The like for Ed25519 (RFC 8410).
const ED25519_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

impl Key {
    pub(super) fn new(material: Material) -> Self {
        Self {
            id: material.id(),
            name: None,
            algorithm: None,
            material,
        }
    }

    /// Whether anyone who can check its signatures can make them.
    pub(super) const fn is_secret(&self) -> bool {
        matches!(self.material, Material::Secret(_))
    }

    /// Bytes of the secret; none where there is none.
    pub(super) fn secret_length(&self) -> Option<usize> {
        match &self.material {
            Material::Secret(bytes) => Some(bytes.len()),
            Material::Rsa(_) | Material::Ecdsa(..) | Material::Ed25519(_) => None,
        }
    }

    /// What it is, for people.
    pub(super) fn type_name(&self) -> String {
        match &self.material {
            Material::Secret(_) => "secret".to_owned(),
            Material::Rsa(components) => format!("RSA-{}", components.n.len() * 8),
            Material::Ecdsa(curve, _) => curve.name().to_owned(),
            Material::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    /// Whether it is a key of this algorithm: of its type, and meant for it.
    pub(super) fn fits(&self, algorithm: JwtAlgorithm) -> bool {
        let of_type = match (&self.material, algorithm.scheme()) {
            (Material::Secret(bytes), Scheme::Hmac(hash)) => {
                bytes.len() >= hash.digest_algorithm().output_len()
            }
            (Material::Rsa(_), Scheme::Rsa(_)) | (Material::Ed25519(_), Scheme::Ed25519) => true,
            (Material::Ecdsa(curve, _), Scheme::Ecdsa(of_algorithm)) => *curve == of_algorithm,
            _ => false,
        };
        of_type && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` is by this key and this algorithm, and of `message`.
    pub(super) fn has_signed(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        if !self.fits(algorithm) {
            return false;
        }
        match (&self.material, algorithm.scheme()) {
            (Material::Secret(secret), Scheme::Hmac(hash)) => {
                hmac::verify(&hmac::Key::new(hash, secret), message, signature).is_ok()
            }
            (Material::Rsa(components), Scheme::Rsa(parameters)) => {
                components.verify(parameters, message, signature).is_ok()
            }
            (Material::Ecdsa(curve, point), Scheme::Ecdsa(_)) => {
                let key = UnparsedPublicKey::new(curve.verification(), point);
                key.verify(message, signature).is_ok()
            }
            (Material::Ed25519(bytes), Scheme::Ed25519) => {
                let key = UnparsedPublicKey::new(&signature::ED25519, bytes);
                key.verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// Whether a modulus is of the kind whose factors can be found (ROCA, CVE-2017-15361): the chips that made such keys took
/// primes which are powers of 65537 modulo each of many small primes, and so is their product. Of others one in 10⁹ is.
fn is_guessable(modulus: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [
        11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
    ];
    PRIMES.iter().all(|prime| {
        let remainder = modulus
            .iter()
            .fold(0, |remainder, byte| (remainder * 256 + u32::from(*byte)) % prime);
        let mut powers = (0..*prime).scan(1, |power, _| {
            *power = *power * 65537 % prime;
            Some(*power)
        });
        powers.any(|power| power == remainder)
    })
}
