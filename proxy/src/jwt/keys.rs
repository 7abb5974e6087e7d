//! The keys of an issuer, and which of them a token is signed by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use thiserror::Error;

use super::compact::Compact;
use super::key::{Key, Material};
use super::key_list::{KeyList, Refused};
use super::problem::{KeyProblem, MOST_KEYS};
use super::{jwk, pem};
use crate::config::JwtAlgorithm;
use crate::credentials::CredentialId;

/// Most keys that a token is tried against, so that one without a key's name costs a few signatures and not all.
const MOST_TRIED: usize = 8;

/// The keys of an issuer.
#[derive(Default)]
pub(crate) struct KeySet(Vec<Key>);

/// What an issuer has signed. Only [`KeySet::verify`] makes one.
pub(super) struct Signed<'token> {
    token: &'token Compact<'token>,
    key: CredentialId,
    algorithm: JwtAlgorithm,
}

impl Signed<'_> {
    /// The token, of which all is true now that the issuer says.
    pub(super) const fn token(&self) -> &Compact<'_> {
        self.token
    }

    /// By which key.
    pub(super) const fn key(&self) -> CredentialId {
        self.key
    }

    /// By which algorithm.
    pub(super) const fn algorithm(&self) -> JwtAlgorithm {
        self.algorithm
    }
}

/// Why no key has signed a token.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum NotSigned {
    #[error("the issuer doesn't sign by this algorithm")]
    Algorithm,
    #[error("the issuer has no key of this name")]
    UnknownKey,
    #[error("the signature is by none of the issuer's keys")]
    Wrong,
}

impl KeyList {
    /// Adds what an issuer's keys can stand in: PEM, a JWK or JWK set, or else the secret of an HMAC.
    ///
    /// # Errors
    /// Something in it doesn't count.
    pub(crate) fn add_file(&mut self, content: &[u8]) -> Result<(), KeyProblem> {
        let start = content.trim_ascii_start();
        if start.starts_with(pem::BEGIN.as_bytes()) {
            self.keys.extend(pem::parse(content)?);
        } else if start.starts_with(b"{") {
            let Self { keys, refused } = jwk::parse(content)?;
            if let Some(refused) = refused.into_iter().next() {
                return Err(refused.problem);
            }
            self.keys.extend(keys);
        } else {
            let secret = Material::secret(without_line_end(content))?;
            self.keys.push(Key::new(secret));
        }
        Ok(())
    }
}

impl KeySet {
    /// The keys of files, all of which must count.
    ///
    /// # Errors
    /// What is wrong with one of them, or with all together.
    pub(crate) fn of_files(list: KeyList) -> Result<Self, KeyProblem> {
        let (keys, problems) = Self::of(list)?;
        problems.into_iter().next().map_or(Ok(keys), Err)
    }

    /// The keys that count of those that were read, and what is wrong with the others.
    ///
    /// # Errors
    /// A secret beside public keys, or too many keys.
    pub(super) fn of(list: KeyList) -> Result<(Self, Vec<KeyProblem>), KeyProblem> {
        let KeyList { mut keys, refused } = list;
        if keys.len() > MOST_KEYS {
            return Err(KeyProblem::TooMany);
        }
        if keys.iter().any(Key::is_secret) && !keys.iter().all(Key::is_secret) {
            return Err(KeyProblem::Mixed);
        }
        let shared = shared_names(&keys, &refused);
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert((key.name.clone(), key.id, key.algorithm.map(JwtAlgorithm::name))));
        keys.retain(|key| key.name.as_ref().is_none_or(|name| !shared.contains(name)));
        let mut problems: Vec<_> = refused.into_iter().map(|refused| refused.problem).collect();
        problems.extend(shared.into_iter().map(KeyProblem::SameName));
        Ok((Self(keys), problems))
    }

    /// The keys of a published set. A secret that anyone can read is none.
    ///
    /// # Errors
    /// As [`Self::of`], or a secret is among them.
    pub(super) fn of_public(list: KeyList) -> Result<(Self, Vec<KeyProblem>), KeyProblem> {
        if list.keys.iter().any(Key::is_secret) {
            return Err(KeyProblem::PublishedSecret);
        }
        Self::of(list)
    }

    /// Whether the same keys have the same names.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let known = |key: &Key| (key.name.clone(), key.id, key.algorithm);
        self.0.iter().map(known).eq(other.0.iter().map(known))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Checks that every key is for one of the algorithms, and a secret for all of them that take one.
    ///
    /// # Errors
    /// The first key that isn't.
    pub(crate) fn check_algorithms(&self, algorithms: &[JwtAlgorithm]) -> Result<(), KeyProblem> {
        for key in &self.0 {
            if let Some(length) = key.secret_length() {
                let needed = algorithms
                    .iter()
                    .filter_map(|algorithm| algorithm.shortest_secret());
                let longest = needed.max().unwrap_or_default();
                if length < longest {
                    return Err(KeyProblem::ShortSecret(length, longest));
                }
            }
            if !algorithms.iter().any(|algorithm| key.fits(*algorithm)) {
                return Err(KeyProblem::NoAlgorithm(key.type_name()));
            }
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// Whether this very key is there.
    pub(super) fn holds(&self, key: CredentialId) -> bool {
        self.0.iter().any(|other| other.id == key)
    }

    /// Checks that one of the keys has signed a token, by one of the algorithms that are allowed. A token that names its
    /// key is tried against keys of that name and those that have none; one that names none, against all of its
    /// algorithm's type.
    ///
    /// # Errors
    /// Why none has.
    pub(super) fn verify<'token>(
        &self,
        token: &'token Compact<'token>,
        allowed: &[JwtAlgorithm],
    ) -> Result<Signed<'token>, NotSigned> {
        let algorithm = token.header.algorithm;
        if !allowed.contains(&algorithm) {
            return Err(NotSigned::Algorithm);
        }
        let asked = token.header.key_name.as_ref();
        let may_be = |key: &&Key| match (asked, &key.name) {
            (Some(asked), Some(name)) => asked == name,
            _ => true,
        };
        let mut candidates = self.0.iter().filter(may_be).filter(|key| key.fits(algorithm));
        if let Some(key) = candidates
            .by_ref()
            .take(MOST_TRIED)
            .find(|key| key.has_signed(algorithm, token.signed, &token.signature))
        {
            return Ok(Signed {
                token,
                key: key.id,
                algorithm,
            });
        }
        let is_known = |asked| self.0.iter().any(|key| key.name.as_ref() == Some(asked));
        match asked {
            _ if self.0.is_empty() => Err(NotSigned::UnknownKey),
            Some(asked) if !is_known(asked) => Err(NotSigned::UnknownKey),
            _ => Err(NotSigned::Wrong),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeySet({} keys)", self.0.len())
    }
}

/// Names that several different keys have, also where one of them doesn't count.
fn shared_names(keys: &[Key], refused: &[Refused]) -> BTreeSet<String> {
    let mut owners: BTreeMap<&str, BTreeSet<Option<CredentialId>>> = BTreeMap::new();
    let names = keys.iter().map(|key| (&key.name, Some(key.id)));
    for (name, owner) in names.chain(refused.iter().map(|refused| (&refused.name, None))) {
        if let Some(name) = name {
            owners.entry(name).or_default().insert(owner);
        }
    }
    let shared = owners.into_iter().filter(|(_, owners)| owners.len() > 1);
    shared.map(|(name, _)| name.to_owned()).collect()
}

/// Editors and `echo` leave a line end behind a secret.
fn without_line_end(content: &[u8]) -> &[u8] {
    let content = content.strip_suffix(b"\n").unwrap_or(content);
    content.strip_suffix(b"\r").unwrap_or(content)
}
