//! A stored password, in each form that is accepted.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha_crypt::{PasswordVerifier, ShaCrypt};
use sha1::{Digest, Sha1};
use sha2::Sha256;

use super::{Problem, apr1};

/// Highest accepted cost of bcrypt, which is also that of `htpasswd`: some eight seconds of a processor.
pub const HIGHEST_BCRYPT_COST: u32 = 17;

/// Most accepted rounds of SHA-crypt (`$5$`, `$6$`): around a second of a processor.
pub const MOST_SHA_CRYPT_ROUNDS: u32 = 1_000_000;

/// Bytes that bcrypt looks at. A longer password is refused: anything else with the same beginning would match too.
pub const LONGEST_BCRYPT_PASSWORD: usize = 72;

/// A password that can be verified and not read.
pub(crate) enum StoredHash {
    /// `$2a$`, `$2b$` or `$2y$`.
    Bcrypt(Box<str>),
    /// `$5$` or `$6$`.
    ShaCrypt(Box<str>),
    /// `$apr1$`.
    Apr1 {
        salt: Box<[u8]>,
        encoded: [u8; apr1::ENCODED_LENGTH],
    },
    /// `{SHA}`, which has no salt, or `{SSHA}`.
    Sha1 { digest: [u8; 20], salt: Box<[u8]> },
    /// SHA-256 of a password that stood readable in a `kubernetes.io/basic-auth` Secret.
    Sha256([u8; 32]),
}

impl StoredHash {
    /// Takes what stands behind the name in an htpasswd line.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        match Kind::of(text)? {
            Kind::Bcrypt => parse_bcrypt(text),
            Kind::ShaCrypt { encoded_length } => parse_sha_crypt(text, encoded_length),
            Kind::Apr1(rest) => parse_apr1(rest),
            Kind::Sha1 { salted, base64 } => parse_sha1(salted, base64),
        }
    }

    /// Whether it is the hash of this password, in a time that depends on the kind and cost of the hash only (and a
    /// little on the password's length).
    pub(crate) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => {
                password.len() <= LONGEST_BCRYPT_PASSWORD
                    && !password.contains(&0)
                    && bcrypt::verify(password, hash).unwrap_or(false)
            }
            Self::ShaCrypt(hash) => ShaCrypt::default().verify_password(password, &**hash).is_ok(),
            Self::Apr1 { salt, encoded } => are_equal(&apr1::hash(password, salt), encoded),
            Self::Sha1 { digest, salt } => {
                let computed = Sha1::new().chain_update(password).chain_update(salt).finalize();
                are_equal(&computed, digest)
            }
            Self::Sha256(digest) => are_equal(&Sha256::digest(password), digest),
        }
    }
}

/// Takes the same time whatever differs.
fn are_equal(computed: &[u8], stored: &[u8]) -> bool {
    verify_slices_are_equal(computed, stored).is_ok()
}

impl fmt::Debug for StoredHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt(…)",
            Self::ShaCrypt(_) => "ShaCrypt(…)",
            Self::Apr1 { .. } => "Apr1(…)",
            Self::Sha1 { .. } => "Sha1(…)",
            Self::Sha256(_) => "Sha256(…)",
        })
    }
}

/// An accepted kind, by what a hash begins with.
enum Kind<'text> {
    Bcrypt,
    ShaCrypt { encoded_length: usize },
    Apr1(&'text str),
    Sha1 { salted: bool, base64: &'text str },
}

impl<'text> Kind<'text> {
    fn of(text: &'text str) -> Result<Self, Problem> {
        if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            Ok(Self::Bcrypt)
        } else if text.starts_with("$5$") {
            Ok(Self::ShaCrypt { encoded_length: 43 })
        } else if text.starts_with("$6$") {
            Ok(Self::ShaCrypt { encoded_length: 86 })
        } else if let Some(rest) = text.strip_prefix(apr1::MAGIC) {
            Ok(Self::Apr1(rest))
        } else if let Some(base64) = text.strip_prefix("{SHA}") {
            Ok(Self::Sha1 {
                salted: false,
                base64,
            })
        } else if let Some(base64) = text.strip_prefix("{SSHA}") {
            Ok(Self::Sha1 { salted: true, base64 })
        } else {
            Err(refusal(text))
        }
    }
}

/// Why something of no accepted kind is refused.
fn refusal(text: &str) -> Problem {
    let refused = |kind, reason| Problem::RefusedHash { kind, reason };
    if text.starts_with("{PLAIN}") {
        refused("{PLAIN}", "the password stands there for all to read")
    } else if text.starts_with("$2x$") {
        refused(
            "bcrypt $2x$",
            "it comes from a faulty version that mixes up passwords",
        )
    } else if text.starts_with("$1$") {
        refused("MD5 crypt ($1$)", "it is quickly guessed")
    } else if text.len() == 13 && text.bytes().all(is_crypt_digit) {
        refused(
            "DES crypt",
            "it ignores all but 8 characters and is quickly guessed",
        )
    } else {
        Problem::UnknownHash
    }
}

/// Whether a byte is a digit of crypt's base 64.
fn is_crypt_digit(byte: u8) -> bool {
    apr1::ALPHABET.contains(&byte)
}

fn parse_bcrypt(text: &str) -> Result<StoredHash, Problem> {
    let parts = bcrypt::HashParts::from_str(text).ok();
    // Rust takes `+4` for a number too.
    let parts = parts.filter(|_| text.as_bytes()[4..6].iter().all(u8::is_ascii_digit));
    let expected = "60 characters, of which the cost is two digits and the last 53 are letters, digits, dots and slashes";
    match parts.map(|parts| parts.get_cost()) {
        None => Err(Problem::MalformedHash {
            kind: "bcrypt",
            expected,
        }),
        Some(4..=HIGHEST_BCRYPT_COST) => Ok(StoredHash::Bcrypt(text.into())),
        Some(_) => Err(Problem::BcryptCost),
    }
}

fn parse_sha_crypt(text: &str, encoded_length: usize) -> Result<StoredHash, Problem> {
    let expected = "`$5$` or `$6$`, perhaps `rounds=N$`, then a salt of up to 16 and, behind a `$`, a hash of 43 or \
                    86 letters, digits, dots and slashes";
    let malformed = Problem::MalformedHash {
        kind: "SHA-crypt",
        expected,
    };
    let mut rest = &text[3..];
    if let Some(parameter) = rest.strip_prefix("rounds=") {
        let (rounds, behind) = parameter.split_once('$').ok_or_else(|| malformed.clone())?;
        check_rounds(rounds)?;
        rest = behind;
    }
    let well_formed = rest.split_once('$').is_some_and(|(salt, encoded)| {
        (1..=16).contains(&salt.len())
            && encoded.len() == encoded_length
            && salt.bytes().chain(encoded.bytes()).all(is_crypt_digit)
    });
    if well_formed {
        Ok(StoredHash::ShaCrypt(text.into()))
    } else {
        Err(malformed)
    }
}

fn check_rounds(text: &str) -> Result<(), Problem> {
    let rounds = text.parse::<u32>().map_err(|_| Problem::ShaCryptRounds)?;
    let canonical = rounds.to_string() == text;
    match rounds {
        1000..=MOST_SHA_CRYPT_ROUNDS if canonical => Ok(()),
        _ => Err(Problem::ShaCryptRounds),
    }
}

fn parse_apr1(rest: &str) -> Result<StoredHash, Problem> {
    let well_formed = rest.split_once('$').and_then(|(salt, encoded)| {
        let salt_fits = (1..=apr1::LONGEST_SALT).contains(&salt.len())
            && salt.bytes().all(|byte| byte.is_ascii_graphic());
        let encoded = <[u8; apr1::ENCODED_LENGTH]>::try_from(encoded.as_bytes()).ok()?;
        let encoded_fits = encoded.iter().all(|byte| is_crypt_digit(*byte));
        (salt_fits && encoded_fits).then(|| StoredHash::Apr1 {
            salt: salt.as_bytes().into(),
            encoded,
        })
    });
    let expected = "a salt of up to 8 characters, `$`, and 22 letters, digits, dots and slashes";
    well_formed.ok_or(Problem::MalformedHash {
        kind: "apr1",
        expected,
    })
}

fn parse_sha1(salted: bool, base64: &str) -> Result<StoredHash, Problem> {
    let (kind, expected) = if salted {
        ("{SSHA}", "the base64 of 20 bytes and a salt of up to 64 more")
    } else {
        ("{SHA}", "the base64 of 20 bytes, 28 characters")
    };
    let decoded = STANDARD.decode(base64).ok();
    let well_formed = decoded
        .as_deref()
        .and_then(|bytes| bytes.split_first_chunk::<20>());
    match well_formed {
        Some((digest, salt))
            if if salted {
                (1..=64).contains(&salt.len())
            } else {
                salt.is_empty()
            } =>
        {
            Ok(StoredHash::Sha1 {
                digest: *digest,
                salt: salt.into(),
            })
        }
        _ => Err(Problem::MalformedHash { kind, expected }),
    }
}

#[cfg(test)]
mod tests;
