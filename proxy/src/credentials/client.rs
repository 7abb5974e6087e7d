//! A client as one means knows it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use aws_lc_rs::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use jiff::Timestamp;

use crate::credentials::Means;
use crate::status::ClientStatus;

/// Tells one credential from all others, also those that came before it: a digest of what is stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CredentialId(pub(super) [u8; SHA256_OUTPUT_LEN]);

impl CredentialId {
    /// The credential that is stored as these bytes.
    pub(crate) fn of(stored: &[u8]) -> Self {
        let mut id = [0; SHA256_OUTPUT_LEN];
        id.copy_from_slice(digest(&SHA256, stored).as_ref());
        Self(id)
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CredentialId(…)")
    }
}

/// What metrics call all clients that aren't told apart.
pub(crate) const OTHERS: &str = "other";

/// A client that is let in.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: Arc<str>,
    pub(crate) means: Means,
    /// The name was made from a line's number, so that it changes when lines above come or go.
    pub(super) unnamed: bool,
    /// Outlives the snapshot, as long as the client is known.
    pub(super) last_used: LastUsed,
    /// Too many have come for each to have numbers of its own.
    among_others: AtomicBool,
}

impl Client {
    /// A client that nobody has seen yet.
    pub(crate) fn new(name: Arc<str>, means: Means) -> Self {
        Self {
            name,
            means,
            unnamed: false,
            last_used: LastUsed::default(),
            among_others: AtomicBool::new(false),
        }
    }

    /// A client of a file, with what is known of it.
    pub(super) fn listed(name: Arc<str>, means: Means, unnamed: bool, last_used: LastUsed) -> Self {
        Self {
            unnamed,
            last_used,
            ..Self::new(name, means)
        }
    }

    /// Whoever comes without a credential; the one who did so far, if it has the same name.
    pub(super) fn anonymous(name: &str, previous: Option<&Arc<Self>>) -> Arc<Self> {
        match previous {
            Some(previous) if *previous.name == *name => Arc::clone(previous),
            _ => Arc::new(Self::new(name.into(), Means::Anonymous)),
        }
    }

    /// From now on it isn't told apart.
    pub(super) fn count_among_others(&self) {
        self.among_others.store(true, Ordering::Relaxed);
    }

    /// What metrics call it.
    pub(crate) fn label(&self) -> Arc<str> {
        if self.among_others.load(Ordering::Relaxed) {
            OTHERS.into()
        } else {
            Arc::clone(&self.name)
        }
    }

    /// Notes that the client has shown a credential.
    pub(crate) fn touch(&self, now: Timestamp) {
        self.last_used.set(now);
    }

    pub(crate) fn status(&self) -> ClientStatus {
        ClientStatus {
            name: self.name.to_string(),
            means: self.means,
            last_used: self.last_used.get(),
        }
    }
}

/// When a client last showed a credential, to the second; shared by the snapshots that know the client.
#[derive(Clone, Debug, Default)]
pub(super) struct LastUsed(Arc<AtomicI64>);

impl LastUsed {
    /// Writes once a second at most, so that processors don't fight for the cache line.
    pub(super) fn set(&self, now: Timestamp) {
        let second = now.as_second();
        if self.0.load(Ordering::Relaxed) != second {
            self.0.store(second, Ordering::Relaxed);
        }
    }

    /// In seconds since 1970; 0 is never.
    pub(super) fn second(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn get(&self) -> Option<Timestamp> {
        let second = self.second();
        (second != 0)
            .then(|| Timestamp::from_second(second).ok())
            .flatten()
    }
}
