//! A certificate chain and its private key: from PEM to what a handshake needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::Tls;
use crate::credentials::entries::{ReadError, read_entries};
use crate::status::CertificateStatus;

/// How often a mount that is swapped while it is being read is read anew.
const ATTEMPTS: usize = 5;

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The chain: the server's certificate first, then those that lead to its authority.
    Certificate,
    /// The private key.
    Key,
}

impl Part {
    /// The entry of a Secret of type kubernetes.io/tls (Kubernetes API, `SecretTypeTLS`).
    pub const fn entry(self) -> &'static str {
        match self {
            Self::Certificate => "tls.crt",
            Self::Key => "tls.key",
        }
    }
}

/// Why a certificate can't be served. Never says what stands in a file: one of them is secret.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{problem}")]
pub struct CertificateError {
    /// Which file is wrong.
    pub part: Part,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a certificate or its key, and what would be right.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Problem {
    /// Nothing of the kind stands there.
    #[error("has no certificate: it must be PEM with a block that begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    /// The like for the key.
    #[error(
        "has no private key: it must be PEM with a block that begins with -----BEGIN PRIVATE KEY-----, not encrypted"
    )]
    NoKey,
    /// A block without an end, or not in base64.
    #[error("is malformed PEM: a block has no end or isn't base64")]
    Pem,
    /// It is no X.509 certificate.
    #[error("its first certificate can't be read: it must be an X.509 certificate")]
    Unreadable,
    /// Damaged, or of a kind that TLS doesn't use.
    #[error("its private key can't be used: it must be an RSA key of at least 2048 bits, ECDSA or Ed25519")]
    Unusable,
    /// The two don't belong together.
    #[error("is not the key of the certificate")]
    Mismatch,
}

impl Problem {
    const fn of(self, part: Part) -> CertificateError {
        CertificateError { part, problem: self }
    }
}

/// Parses a chain and its key, and checks that they belong together.
///
/// # Errors
/// What is wrong with which of them.
pub fn parse(certificate: &[u8], key: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Problem::Pem.of(Part::Certificate))?;
    if chain.is_empty() {
        return Err(Problem::NoCertificate.of(Part::Certificate));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
        pem::Error::NoItemsFound => Problem::NoKey.of(Part::Key),
        _ => Problem::Pem.of(Part::Key),
    })?;
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(key)
        .map_err(|_| Problem::Unusable.of(Part::Key))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Problem::Mismatch.of(Part::Key)),
        Err(_) => Err(Problem::Unreadable.of(Part::Certificate)),
    }
}

/// The certificate in force, and what is wrong with the files as they are now.
#[derive(Clone, Debug, Default)]
pub struct Certificate {
    pair: Option<Pair>,
    error: Option<String>,
}

#[derive(Clone, Debug)]
struct Pair {
    key: Arc<CertifiedKey>,
    fingerprint: String,
    loaded_at: Timestamp,
}

impl Certificate {
    /// Reads the files of the configuration; nothing where it has none. Blocks.
    pub fn load(tls: Option<&Tls>) -> Self {
        Self::default().reload(tls)
    }

    /// The files as they are now; where they are wrong, the last good pair with the reason. Blocks.
    #[must_use]
    pub fn reload(&self, tls: Option<&Tls>) -> Self {
        let Some(tls) = tls else { return self.clone() };
        match read(tls) {
            Ok(key) => Self {
                pair: Some(self.pair_of(key)),
                error: None,
            },
            Err(error) => Self {
                pair: self.pair.clone(),
                error: Some(error),
            },
        }
    }

    fn pair_of(&self, key: CertifiedKey) -> Pair {
        let fingerprint = hex::encode(Sha256::digest(key.cert.first().map_or(&[][..], |leaf| leaf)));
        let same = self.pair.as_ref().filter(|pair| pair.fingerprint == fingerprint);
        Pair {
            loaded_at: same.map_or_else(Timestamp::now, |pair| pair.loaded_at),
            key: Arc::new(key),
            fingerprint,
        }
    }

    /// What handshakes are served with.
    pub fn key(&self) -> Option<Arc<CertifiedKey>> {
        self.pair.as_ref().map(|pair| Arc::clone(&pair.key))
    }

    /// What is wrong with the files as they are now.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// For `/status`.
    pub fn status(&self) -> CertificateStatus {
        CertificateStatus {
            fingerprint: self.pair.as_ref().map(|pair| pair.fingerprint.clone()),
            loaded_at: self.pair.as_ref().map(|pair| pair.loaded_at),
            error: self.error.clone(),
        }
    }
}

fn read(tls: &Tls) -> Result<CertifiedKey, String> {
    let (certificate, key) = read_files(tls).map_err(|error| error.to_string())?;
    parse(&certificate, &key).map_err(|error| {
        let file = match error.part {
            Part::Certificate => &tls.cert_file,
            Part::Key => &tls.key_file,
        };
        format!("{}: {error}", file.display())
    })
}

type Files = (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>);

/// Both files of one version: links are followed once, and must still lead there when all is read, since the kubelet
/// swaps a mounted Secret by a link.
fn read_files(tls: &Tls) -> Result<Files, ReadError> {
    for _ in 0..ATTEMPTS {
        let places = places(tls)?;
        let files = read_file(&places.0).and_then(|certificate| Ok((certificate, read_file(&places.1)?)));
        if self::places(tls)? == places {
            return files;
        }
    }
    Err(ReadError::Unsettled(tls.cert_file.clone()))
}

fn places(tls: &Tls) -> Result<(PathBuf, PathBuf), ReadError> {
    let place = |path: &Path| {
        fs::canonicalize(path).map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })
    };
    Ok((place(&tls.cert_file)?, place(&tls.key_file)?))
}

fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let found = read_entries(path)?;
    match (found.file, found.entries.into_values().next()) {
        (Some(_), Some(content)) => Ok(Zeroizing::new(content)),
        _ => Err(ReadError::NotAFile(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Made, KeyPair, PKCS_RSA_SHA256, generate_simple_self_signed};

    fn make(name: &str) -> (String, String) {
        let Made { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_is_taken_or_its_fault_named() {
        let (certificate, key) = make("a");
        let (other, _) = make("b");
        let chain = format!("{certificate}{other}");
        let commented = format!("subject=a\n{certificate}");
        let parameters =
            format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{key}");
        let encrypted = key.replace("PRIVATE", "ENCRYPTED PRIVATE");
        let cut = &key[..key.len() / 2];
        let garbled = certificate.replace("MII", "MI*");
        let rsa =
            KeyPair::generate_for(&PKCS_RSA_SHA256).map_or_else(|_| key.clone(), |key| key.serialize_pem());
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let wrong = |part: Part, problem: Problem| Err(problem.of(part));
        let cases: &[(&str, &str, &str, Result<usize, CertificateError>)] = &[
            ("a pair", &certificate, &key, Ok(1)),
            ("a chain", &chain, &key, Ok(2)),
            ("with words before it", &commented, &key, Ok(1)),
            ("with the curve's parameters", &certificate, &parameters, Ok(1)),
            (
                "the chain in the wrong order",
                &format!("{other}{certificate}"),
                &key,
                wrong(Part::Key, Problem::Mismatch),
            ),
            ("another's key", &other, &key, wrong(Part::Key, Problem::Mismatch)),
            (
                "a key of another kind",
                &certificate,
                &rsa,
                wrong(Part::Key, Problem::Mismatch),
            ),
            (
                "swapped",
                &key,
                &certificate,
                wrong(Part::Certificate, Problem::NoCertificate),
            ),
            (
                "no certificate",
                "",
                &key,
                wrong(Part::Certificate, Problem::NoCertificate),
            ),
            ("no key", &certificate, "", wrong(Part::Key, Problem::NoKey)),
            (
                "the certificate twice",
                &certificate,
                &certificate,
                wrong(Part::Key, Problem::NoKey),
            ),
            (
                "an encrypted key",
                &certificate,
                &encrypted,
                wrong(Part::Key, Problem::NoKey),
            ),
            ("half a key", &certificate, cut, wrong(Part::Key, Problem::Pem)),
            (
                "garbled base64",
                &garbled,
                &key,
                wrong(Part::Certificate, Problem::Pem),
            ),
            (
                "no X.509",
                empty,
                &key,
                wrong(Part::Certificate, Problem::Unreadable),
            ),
            (
                "a damaged key",
                &certificate,
                damaged,
                wrong(Part::Key, Problem::Unusable),
            ),
        ];
        for (name, certificate, key, expected) in cases {
            let parsed = parse(certificate.as_bytes(), key.as_bytes()).map(|pair| pair.cert.len());
            assert_eq!(parsed, *expected, "{name}");
        }
    }

    #[test]
    fn wrong_files_leave_the_last_good_pair_and_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let tls = Tls {
            cert_file: directory.path().join("tls.crt"),
            key_file: directory.path().join("tls.key"),
        };
        let write = |(certificate, key): &(String, String)| {
            fs::write(&tls.cert_file, certificate).unwrap();
            fs::write(&tls.key_file, key).unwrap();
        };
        let missing = Certificate::load(Some(&tls));
        assert!(missing.key().is_none() && missing.error().unwrap().contains("tls.crt"));
        let (first, second) = (make("a"), make("a"));
        write(&first);
        let good = missing.reload(Some(&tls));
        assert_eq!((good.key().is_some(), good.error()), (true, None));
        write(&(second.0.clone(), first.1));
        let mixed = good.reload(Some(&tls));
        assert_eq!(mixed.status().fingerprint, good.status().fingerprint);
        assert!(
            mixed
                .error()
                .unwrap()
                .ends_with("tls.key: is not the key of the certificate")
        );
        write(&second);
        let renewed = mixed.reload(Some(&tls));
        assert_ne!(renewed.status().fingerprint, good.status().fingerprint);
        assert_eq!(renewed.error(), None);
        assert_eq!(
            renewed.reload(Some(&tls)).status(),
            renewed.status(),
            "nothing new"
        );
        fs::remove_file(&tls.key_file).unwrap();
        fs::create_dir(&tls.key_file).unwrap();
        let error = renewed.reload(Some(&tls)).status().error.unwrap();
        assert!(
            error.contains("tls.key is neither a file nor a directory"),
            "{error}"
        );
    }
}
