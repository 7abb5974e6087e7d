//! One configured means: what came of reading it, and what `/status` says of it.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use zeroize::Zeroize;

use crate::config::{CredentialSource, JwtAlgorithm};
use crate::credentials::entries::{Entries, Found, read_entries};
use crate::credentials::parse::{ParsedCredentials, parse};
use crate::credentials::{Client, CredentialKind};
use crate::digest::DigestKey;
use crate::status::SourceStatus;

/// One configured means.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) status: SourceStatus,
    pub(super) clients: Vec<Arc<Client>>,
    /// Tells whether a reload found the same as before.
    fingerprint: Option<String>,
}

/// What came of reading a source.
pub(super) struct Loaded {
    pub(super) credentials: Option<ParsedCredentials>,
    error: Option<String>,
    digest: Option<String>,
    fingerprint: Option<String>,
}

impl Loaded {
    pub(super) fn of(
        kind: CredentialKind,
        source: &CredentialSource,
        digest_key: Option<&DigestKey>,
    ) -> Self {
        match read_entries(&source.path) {
            Ok(found) => Self::of_found(kind, source, found, digest_key),
            Err(error) => Self {
                credentials: None,
                error: Some(error.to_string()),
                digest: None,
                fingerprint: None,
            },
        }
    }

    fn of_found(
        kind: CredentialKind,
        source: &CredentialSource,
        found: Found,
        digest_key: Option<&DigestKey>,
    ) -> Self {
        let Found { mut entries, file } = found;
        let parsed = parse(kind, file.as_deref().or(source.key.as_deref()), &entries);
        let digest = digest_key.map(|key| key.digest(&entries));
        let fingerprint = Some(fingerprint(&entries));
        entries.values_mut().for_each(Zeroize::zeroize);
        let (credentials, error) = match parsed {
            Ok(parsed) => (Some(parsed.credentials), None),
            Err(error) => (None, Some(format!("{}: {error}", source.path.display()))),
        };
        Self {
            credentials,
            error,
            digest,
            fingerprint,
        }
    }

    /// Checks that keys of tokens are for the algorithms by which their issuer signs; others let nobody in.
    pub(super) fn check_algorithms(&mut self, path: &Path, algorithms: &[JwtAlgorithm]) {
        let checked = self
            .credentials
            .as_ref()
            .map_or(Ok(()), |credentials| credentials.check_algorithms(algorithms));
        if let Err(error) = checked {
            self.credentials = None;
            self.error = Some(format!("{}: {error}", path.display()));
        }
    }

    /// `previous` is what the same means, or the same issuer, had before.
    pub(super) fn into_source(
        self,
        kind: CredentialKind,
        issuer: Option<&str>,
        clients: Vec<Arc<Client>>,
        previous: Option<&Source>,
    ) -> Source {
        let Self {
            credentials: _,
            error,
            digest,
            fingerprint,
        } = self;
        let unchanged =
            previous.filter(|previous| previous.fingerprint == fingerprint && previous.status.error == error);
        let loaded_at = unchanged.map_or_else(Timestamp::now, |previous| previous.status.loaded_at);
        let status = SourceStatus {
            means: kind.means(),
            issuer: issuer.map(str::to_owned),
            digest,
            clients: clients.len(),
            loaded_at,
            error,
        };
        Source {
            status,
            clients,
            fingerprint,
        }
    }
}

/// Compared in this process only, and never shown: it has no secret key.
fn fingerprint(entries: &Entries) -> String {
    DigestKey::new(&[0; DigestKey::MINIMUM_LENGTH])
        .map(|key| key.digest(entries))
        .unwrap_or_default()
}
