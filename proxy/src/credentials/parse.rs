//! From entries to credentials, without any I/O.

use std::collections::BTreeSet;

use rustls::RootCertStore;

use super::authorities::{ParsedAuthorities, parse_bundle, parse_for_clients};
use super::htpasswd::{ParsedUser, parse_basic_auth, parse_htpasswd};
use super::owners::ParsedKey;
use super::{CredentialError, CredentialKind, api_keys, authorized_keys};
use crate::config::JwtAlgorithm;
use crate::digest::Entries;
use crate::jwt::{KeyList, KeySet};

/// The entry that is the htpasswd file when none is named, as ingress-nginx has it.
const DEFAULT_BASIC_KEY: &str = "auth";

/// The entry that is the file of the CLI's keys when none is named, as sshd has it.
const DEFAULT_OLLAMA_KEYS_KEY: &str = "authorized_keys";

/// The entry that is the bundle of authorities when none is named, as cert-manager has it.
const DEFAULT_AUTHORITIES_KEY: &str = "ca.crt";

/// The entry beside that bundle with the lists of revoked certificates.
const REVOCATION_LISTS_KEY: &str = "ca.crl";

/// Credentials that are well formed and belong to at least one client.
pub struct Parsed {
    pub(super) credentials: ParsedCredentials,
}

pub(super) enum ParsedCredentials {
    Basic(Vec<ParsedUser>),
    ApiKeys(Vec<ParsedKey>),
    OllamaKeys(Vec<ParsedKey>),
    TokenKeys(KeySet),
    IssuerAuthorities(RootCertStore),
    ClientCertificates(ParsedAuthorities),
}

impl Parsed {
    /// The names of the clients, each once, in order; none where tokens name them.
    pub fn clients(&self) -> BTreeSet<&str> {
        match &self.credentials {
            ParsedCredentials::Basic(users) => users.iter().map(|user| &*user.name).collect(),
            ParsedCredentials::ApiKeys(keys) | ParsedCredentials::OllamaKeys(keys) => {
                keys.iter().map(|key| &*key.client).collect()
            }
            // Who they are stands in what they show.
            ParsedCredentials::TokenKeys(_)
            | ParsedCredentials::IssuerAuthorities(_)
            | ParsedCredentials::ClientCertificates(_) => BTreeSet::new(),
        }
    }

    /// Checks that keys of tokens are for the algorithms by which their issuer signs.
    ///
    /// # Errors
    /// A key that is for none of them, or an algorithm that a secret is too short for.
    pub fn check_algorithms(&self, algorithms: &[JwtAlgorithm]) -> Result<(), CredentialError> {
        self.credentials.check_algorithms(algorithms)
    }
}

impl ParsedCredentials {
    pub(super) fn check_algorithms(&self, algorithms: &[JwtAlgorithm]) -> Result<(), CredentialError> {
        match self {
            Self::TokenKeys(keys) => keys
                .check_algorithms(algorithms)
                .map_err(|problem| CredentialError::Together(problem.into())),
            Self::Basic(_)
            | Self::ApiKeys(_)
            | Self::OllamaKeys(_)
            | Self::IssuerAuthorities(_)
            | Self::ClientCertificates(_) => Ok(()),
        }
    }
}

/// Parses the entries of a Secret, or the files of a mounted one. `key` names the entry that is the credential file;
/// without it Basic takes `auth`, or `username` and `password` together; the CLI's keys are in `authorized_keys` if there
/// is such an entry; otherwise, and for API keys, each entry is a client. For tokens each entry is one of the issuer's keys
/// or a set of them. Authorities are in `ca.crt`, and what those of clients have revoked in `ca.crl`, if there is such an
/// entry, or in the bundle.
///
/// # Errors
/// One malformed or refused line is enough: nobody is let in by a file that isn't understood to its end.
pub fn parse(kind: CredentialKind, key: Option<&str>, entries: &Entries) -> Result<Parsed, CredentialError> {
    let credentials = match kind {
        CredentialKind::Basic => ParsedCredentials::Basic(parse_basic(key, entries)?),
        CredentialKind::ApiKeys => ParsedCredentials::ApiKeys(parse_api_keys(key, entries)?),
        CredentialKind::OllamaKeys => ParsedCredentials::OllamaKeys(parse_ollama_keys(key, entries)?),
        CredentialKind::TokenKeys => ParsedCredentials::TokenKeys(parse_token_keys(key, entries)?),
        CredentialKind::IssuerAuthorities => {
            let key = key.unwrap_or(DEFAULT_AUTHORITIES_KEY);
            ParsedCredentials::IssuerAuthorities(parse_bundle((key, file(key, entries)?))?.into_roots())
        }
        CredentialKind::ClientCertificates => {
            let key = key.unwrap_or(DEFAULT_AUTHORITIES_KEY);
            let bundle = (key, file(key, entries)?);
            let beside = entries.get_key_value(REVOCATION_LISTS_KEY);
            let beside = beside.map(|(entry, content)| (entry.as_str(), content.as_slice()));
            ParsedCredentials::ClientCertificates(parse_for_clients(bundle, beside)?)
        }
    };
    Ok(Parsed { credentials })
}

fn parse_basic(key: Option<&str>, entries: &Entries) -> Result<Vec<ParsedUser>, CredentialError> {
    if key.is_none()
        && !entries.contains_key(DEFAULT_BASIC_KEY)
        && let (Some(username), Some(password)) = (entries.get("username"), entries.get("password"))
    {
        return Ok(vec![parse_basic_auth(username, password)?]);
    }
    let name = key.unwrap_or(DEFAULT_BASIC_KEY);
    let content = entries.get(name).ok_or_else(|| {
        not_found(entries, || match key {
            Some(key) => format!("entry `{key}`"),
            None => "entry `auth` (an htpasswd file), or `username` and `password` together".to_owned(),
        })
    })?;
    parse_htpasswd(name, content)
}

fn parse_api_keys(key: Option<&str>, entries: &Entries) -> Result<Vec<ParsedKey>, CredentialError> {
    match key {
        Some(key) => api_keys::parse_key_file(key, file(key, entries)?),
        None if entries.is_empty() => Err(not_found(entries, || "one for each client".to_owned())),
        None => api_keys::parse_key_entries(entries),
    }
}

fn parse_ollama_keys(key: Option<&str>, entries: &Entries) -> Result<Vec<ParsedKey>, CredentialError> {
    let default = entries
        .contains_key(DEFAULT_OLLAMA_KEYS_KEY)
        .then_some(DEFAULT_OLLAMA_KEYS_KEY);
    match key.or(default) {
        Some(key) => authorized_keys::parse_key_file(key, file(key, entries)?),
        None if entries.is_empty() => Err(not_found(entries, || {
            "entry `authorized_keys`, or one for each client".to_owned()
        })),
        None => authorized_keys::parse_key_entries(entries),
    }
}

/// A file that isn't understood to its end makes no keys: whoever wrote it is there to mend it.
fn parse_token_keys(key: Option<&str>, entries: &Entries) -> Result<KeySet, CredentialError> {
    let chosen: Vec<(&str, &[u8])> = match key {
        Some(key) => vec![(key, file(key, entries)?)],
        None if entries.is_empty() => Err(not_found(entries, || "one with the issuer's keys".to_owned()))?,
        None => entries
            .iter()
            .map(|(entry, content)| (entry.as_str(), content.as_slice()))
            .collect(),
    };
    let mut keys = KeyList::default();
    for (entry, content) in chosen {
        keys.add_file(content).map_err(|problem| CredentialError::Entry {
            entry: entry.to_owned(),
            problem: problem.into(),
        })?;
    }
    KeySet::of_files(keys).map_err(|problem| CredentialError::Together(problem.into()))
}

/// The entry that is the file.
fn file<'entries>(key: &str, entries: &'entries Entries) -> Result<&'entries [u8], CredentialError> {
    let content = entries.get(key).map(Vec::as_slice);
    content.ok_or_else(|| not_found(entries, || format!("entry `{key}`")))
}

fn not_found(entries: &Entries, expected: impl Fn() -> String) -> CredentialError {
    if entries.is_empty() {
        CredentialError::NoEntries { expected: expected() }
    } else {
        CredentialError::KeyNotFound {
            expected: expected(),
            found: entries.keys().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
