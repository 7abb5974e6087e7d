//! What can be wrong with a key: never what stands there.

use thiserror::Error;

use super::compact::LONGEST_KEY_NAME;

/// Most keys of an issuer. Those that rotate daily publish a handful.
pub(super) const MOST_KEYS: usize = 64;
/// Fewest bits of an RSA modulus (RFC 7518, section 3.3).
pub(super) const FEWEST_RSA_BITS: usize = 2048;
/// Most bits, so that no key makes its signatures slow to check.
pub(super) const MOST_RSA_BITS: usize = 8192;

/// Why something isn't a key by which tokens are checked, and what would be right.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KeyProblem {
    /// It begins as JSON does and isn't.
    #[error("not a JWK or JWK set: {0}")]
    Json(String),
    /// A set without its list.
    #[error("a JWK set has a list `keys` of JWKs (RFC 7517, section 5)")]
    NoList,
    /// More keys than an issuer can sensibly have.
    #[error("more than {MOST_KEYS} keys")]
    TooMany,
    /// No key in a set is of a type and for a use that is known here.
    #[error("no key of a set is one for signatures: RSA, EC (P-256, P-384, P-521), OKP (Ed25519) or oct")]
    NoneOfUse,
    /// One key of a set.
    #[error("key {number}: {problem}")]
    InSet {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        problem: Box<Self>,
    },
    /// A member of a JWK that is missing or wrong.
    #[error("`{0}` must be {1}")]
    Member(&'static str, &'static str),
    /// The key that signs, where the one that checks is enough.
    #[error("a private key; put only the public one here: the private one belongs to the issuer alone")]
    Private,
    /// A modulus that is too small to be safe or too large to be quick.
    #[error("an RSA key of {0} bits; it must have {FEWEST_RSA_BITS} to {MOST_RSA_BITS}")]
    RsaSize(usize),
    /// An exponent that makes forging easy, or that nobody uses.
    #[error("an RSA key with an exponent that is not safe; 65537 is")]
    RsaExponent,
    /// A modulus whose factors can be found.
    #[error("an RSA key that can be broken (ROCA, CVE-2017-15361); the issuer needs another")]
    RsaGuessable,
    /// No point of the curve, or one in another form.
    #[error("no point of its curve; an EC key must be uncompressed and whole")]
    Point,
    /// Something that is no key after all.
    #[error("a damaged key")]
    Damaged,
    /// A secret that can be guessed.
    #[error("a secret of {0} bytes; it must have at least {1}, as many as the hash: openssl rand -hex 64")]
    ShortSecret(usize, usize),
    /// A secret and public keys: a token could be checked by either, and the one isn't secret.
    #[error("a secret beside public keys; give each issuer one or the other")]
    Mixed,
    /// A secret where anyone can read it.
    #[error("a secret that is published; whoever has read it can make tokens")]
    PublishedSecret,
    /// Two keys of one name: which one is meant must not be left to chance. The issuer's text can't begin a line of its own.
    #[error("two keys are called `{}`; neither counts", .0.escape_debug())]
    SameName(String),
    /// A longer name than tokens may use.
    #[error("a `kid` has at most {LONGEST_KEY_NAME} bytes")]
    LongName,
    /// A block without an end, or not in base64.
    #[error("malformed PEM: a block has no end or isn't base64")]
    Pem,
    /// PEM without a key.
    #[error(
        "no public key: PEM needs a block that begins with -----BEGIN PUBLIC KEY-----, as `openssl pkey -pubout` prints it"
    )]
    NoPublicKey,
    /// A certificate, which says more than its key.
    #[error("a certificate; `openssl x509 -noout -pubkey` prints its key")]
    Certificate,
    /// A public key of another type.
    #[error(
        "a public key of a type that isn't used here; RSA, P-256, P-384, P-521 (uncompressed) and Ed25519 are"
    )]
    PemType,
    /// Keys by which none of the issuer's algorithms signs.
    #[error("{0}, and `algorithms` lists none of those it is for")]
    NoAlgorithm(String),
}
