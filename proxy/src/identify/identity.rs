//! What identifying a caller comes to.

use std::fmt;
use std::sync::Arc;

use crate::credentials::{Client, CredentialId, Key, User};
use crate::status::Means;

/// A caller who has shown a valid credential. Only [`super::Verifier::identify`] makes one.
#[derive(Clone)]
pub struct Identity {
    client: Arc<Client>,
    credential: CredentialId,
}

impl Identity {
    pub(super) fn of_user(user: &User) -> Self {
        Self {
            client: Arc::clone(&user.client),
            credential: user.credential,
        }
    }

    pub(super) fn of_key(key: &Key) -> Self {
        Self {
            client: Arc::clone(&key.client),
            credential: key.credential,
        }
    }

    /// The client's name, as access rules, log and metrics use it.
    pub fn name(&self) -> &Arc<str> {
        &self.client.name
    }

    /// How it has shown who it is.
    pub fn means(&self) -> Means {
        self.client.means
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn credential(&self) -> CredentialId {
        self.credential
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Identity")
            .field("name", self.name())
            .field("means", &self.means())
            .finish()
    }
}

/// Why a caller is nobody. For log and metrics only: whoever calls gets the same answer for every cause, except that
/// [`Self::Overloaded`] is not the caller's fault and passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unauthenticated {
    /// No credential at all.
    #[error("no credential")]
    Missing,
    /// Something that is no credential: an unknown scheme, no or several tokens, bad base64, no colon, too long.
    #[error("malformed credential")]
    Malformed,
    /// Several credentials that aren't one and the same: which one counts must not be left to chance.
    #[error("more than one credential")]
    Ambiguous,
    /// A user or key that isn't in force.
    #[error("unknown user or key")]
    Unknown,
    /// A known user with another password, or a known key with another request's signature.
    #[error("wrong password or signature")]
    Wrong,
    /// Signed too long ago, or later than now.
    #[error("signed at another time")]
    Expired,
    /// Too many passwords are being checked already. Worth another try a little later.
    #[error("too many passwords to check")]
    Overloaded,
}

impl Unauthenticated {
    /// The category, as a label of a metric.
    pub fn category(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::Overloaded => "overloaded",
        }
    }
}
