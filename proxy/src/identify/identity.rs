//! What identifying a caller comes to.

use std::sync::Arc;
use std::{fmt, iter};

use jiff::Timestamp;

use super::{ClientCertificate, Shown};
use crate::credentials::{Client, CredentialId, CredentialKind, Key, Means, User};
use crate::jwt::Verified;

/// A caller who has shown valid credentials, by as many means as it takes, or none where none is needed. Only
/// [`super::Verifier::identify`] makes one.
#[derive(Clone)]
pub struct Identity {
    /// What names the client.
    first: Evidence,
    /// By other means; nothing in most cases, and then no memory either.
    further: Vec<Evidence>,
}

/// What a caller has shown by one means, and was found to be true.
#[derive(Clone)]
pub(crate) enum Evidence {
    /// A credential that stands in a file.
    Stored {
        /// What the file holds.
        kind: CredentialKind,
        /// Whose it is.
        client: Arc<Client>,
        /// Which it is.
        credential: CredentialId,
    },
    /// A certificate of the connection's handshake.
    Certificate {
        /// What was shown.
        certificate: Arc<ClientCertificate>,
        /// Whose it is.
        client: Arc<Client>,
    },
    /// No credential, where none is needed.
    None {
        /// What such callers are called.
        client: Arc<Client>,
    },
    /// A token of a trusted issuer.
    Token(Arc<Verified>),
    /// A token of a Kubernetes service account.
    ServiceAccount(Shown),
}

impl Evidence {
    pub(super) fn of_user(user: &User) -> Self {
        Self::Stored {
            kind: CredentialKind::Basic,
            client: Arc::clone(&user.client),
            credential: user.credential,
        }
    }

    pub(super) fn of_key(kind: CredentialKind, key: &Key) -> Self {
        Self::Stored {
            kind,
            client: Arc::clone(&key.client),
            credential: key.credential,
        }
    }

    pub(super) fn of_anonymous(client: &Arc<Client>) -> Self {
        Self::None {
            client: Arc::clone(client),
        }
    }

    fn client(&self) -> &Client {
        match self {
            Self::Stored { client, .. } | Self::Certificate { client, .. } | Self::None { client } => client,
            Self::Token(token) => &token.client,
            Self::ServiceAccount(shown) => shown.client(),
        }
    }

    /// By which means.
    pub(crate) fn means(&self) -> Means {
        match self {
            Self::Stored { kind, .. } => kind.means(),
            Self::Certificate { .. } => Means::ClientCertificates,
            Self::None { .. } => Means::Anonymous,
            Self::Token(_) => Means::Jwt,
            Self::ServiceAccount(_) => Means::Kubernetes,
        }
    }

    fn groups(&self) -> Option<&[String]> {
        match self {
            Self::Stored { .. } | Self::Certificate { .. } | Self::None { .. } => None,
            Self::Token(token) => Some(token.groups()),
            Self::ServiceAccount(shown) => Some(shown.groups()),
        }
    }
}

impl Identity {
    /// What the checks of a caller's credentials come to together; of those that succeeded the first names the client.
    pub(super) fn of(
        checks: impl IntoIterator<Item = Option<Result<Evidence, Unauthenticated>>>,
    ) -> Result<Self, Unauthenticated> {
        let mut checks = checks.into_iter().flatten();
        let identity = Self {
            first: checks.next().ok_or(Unauthenticated::Missing)??,
            further: checks.collect::<Result<_, _>>()?,
        };
        identity.touch(Timestamp::now());
        Ok(identity)
    }

    /// The same caller, with another request.
    pub(super) fn again(&self, now: Timestamp) -> Self {
        self.touch(now);
        self.clone()
    }

    fn touch(&self, now: Timestamp) {
        self.evidence().for_each(|evidence| evidence.client().touch(now));
    }

    /// What was shown, if that is one thing.
    pub(super) fn sole_evidence(&self) -> Option<&Evidence> {
        self.further.is_empty().then_some(&self.first)
    }

    /// The client's name, as access rules and log use it.
    pub fn name(&self) -> &Arc<str> {
        &self.first.client().name
    }

    /// What metrics call the client: its name, if it is told apart from others.
    pub fn label(&self) -> Arc<str> {
        self.first.client().label()
    }

    /// The groups that its token gives it, whatever names it; none without a token. Of two tokens the first that gives any
    /// counts.
    pub fn groups(&self) -> &[String] {
        self.evidence()
            .filter_map(Evidence::groups)
            .find(|groups| !groups.is_empty())
            .unwrap_or_default()
    }

    /// By which means it has its name.
    pub fn means(&self) -> Means {
        self.first.means()
    }

    /// All that it has shown.
    pub(crate) fn evidence(&self) -> impl Iterator<Item = &Evidence> {
        iter::once(&self.first).chain(&self.further)
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
/// [`Self::Overloaded`] and [`Self::Unverifiable`] are not the caller's fault and pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unauthenticated {
    /// No credential at all.
    #[error("no credential")]
    Missing,
    /// Something that is no credential: an unknown scheme, no or several tokens, bad base64, no colon, too long.
    #[error("malformed credential")]
    Malformed,
    /// Several credentials where one is needed: which one counts must not be left to chance.
    #[error("more than one credential")]
    Ambiguous,
    /// Not all of the credentials that are needed together.
    #[error("another credential is needed as well")]
    Incomplete,
    /// A user, key or issuer that isn't in force.
    #[error("unknown user, key or issuer")]
    Unknown,
    /// A known user with another password, or a signature that isn't by the key or of what was sent.
    #[error("wrong password or signature")]
    Wrong,
    /// Signed too long ago or later than now, or a token that has ended or not begun.
    #[error("signed for another time")]
    Expired,
    /// A token that an issuer has signed, and that doesn't say what is asked for.
    #[error("a token for another purpose")]
    Claims,
    /// Too many passwords or tokens are being checked already. Worth another try a little later.
    #[error("too many passwords or tokens to check")]
    Overloaded,
    /// The API server that knows whose a token is can't be asked. Worth another try a little later.
    #[error("nobody can be asked whose the token is")]
    Unverifiable,
}

impl Unauthenticated {
    /// The category, as a label of a metric.
    pub fn category(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::Ambiguous => "ambiguous",
            Self::Incomplete => "incomplete",
            Self::Unknown => "unknown",
            Self::Wrong => "wrong",
            Self::Expired => "expired",
            Self::Claims => "claims",
            Self::Overloaded => "overloaded",
            Self::Unverifiable => "unverifiable",
        }
    }
}
