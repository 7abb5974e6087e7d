//! The issuers in force, and what their tokens say of their bearers.

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::claims::{Accepted, ClaimError, Policy, claimed_issuer};
use super::compact::{Compact, Malformed};
use super::keys::{KeySet, NotSigned};
use super::published::{Published, Trusted};
use crate::config::{JwtAlgorithm, JwtIssuer, KeyAddress};
use crate::credentials::{Client, CredentialId, KnownClients, Means};
use crate::identify::Unauthenticated;
use crate::status::{IssuerStatus, KeyStatus};

/// Every issuer in force. It never changes; a reload makes another.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    all: Vec<Issuer>,
    clients: Arc<KnownClients>,
}

/// An issuer in force.
#[derive(Debug)]
struct Issuer {
    policy: Policy,
    algorithms: Vec<JwtAlgorithm>,
    keys: Keys,
}

/// Where an issuer's keys are.
#[derive(Debug)]
enum Keys {
    Read(Arc<KeySet>),
    Published(Arc<Published>),
}

impl Keys {
    fn now(&self) -> Arc<KeySet> {
        match self {
            Self::Read(keys) => Arc::clone(keys),
            Self::Published(published) => published.keys(),
        }
    }
}

/// What a token has shown. Only [`Issuers::verify`] makes one.
#[derive(Debug)]
pub(crate) struct Verified {
    /// Its bearer.
    pub(crate) client: Arc<Client>,
    issuer: String,
    key: CredentialId,
    algorithm: JwtAlgorithm,
    accepted: Accepted,
}

impl Verified {
    /// The groups that its bearer has.
    pub(crate) fn groups(&self) -> &[String] {
        &self.accepted.groups
    }

    /// How much memory they take, rounded down.
    pub(crate) fn kibibytes_of_groups(&self) -> u32 {
        let bytes = |group: &String| size_of::<String>() + group.len();
        let bytes: usize = self.groups().iter().map(bytes).sum();
        u32::try_from(bytes / 1024).unwrap_or(u32::MAX - 1)
    }
}

/// Why a token lets nobody in.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum TokenRefused {
    #[error("malformed: {0}")]
    Malformed(#[from] Malformed),
    #[error("of an issuer that isn't configured")]
    UnknownIssuer,
    #[error("not signed: {0}")]
    NotSigned(#[from] NotSigned),
    #[error("not accepted: {0}")]
    Claims(#[from] ClaimError),
}

impl TokenRefused {
    /// The cause as log and metrics have it.
    pub(crate) const fn cause(self) -> Unauthenticated {
        match self {
            Self::Malformed(_) | Self::Claims(ClaimError::Payload) => Unauthenticated::Malformed,
            Self::UnknownIssuer | Self::NotSigned(NotSigned::UnknownKey) => Unauthenticated::Unknown,
            Self::NotSigned(NotSigned::Algorithm | NotSigned::Wrong) => Unauthenticated::Wrong,
            Self::Claims(ClaimError::Expired | ClaimError::NotYet) => Unauthenticated::Expired,
            Self::Claims(_) => Unauthenticated::Claims,
        }
    }
}

impl Issuers {
    /// None yet; their tokens name these clients.
    pub(crate) const fn naming(clients: Arc<KnownClients>) -> Self {
        Self {
            all: Vec::new(),
            clients,
        }
    }

    /// Trusts an issuer with these keys.
    pub(crate) fn add(&mut self, issuer: &JwtIssuer, keys: KeySet) {
        self.trust(issuer, Keys::Read(Arc::new(keys)));
    }

    /// Trusts an issuer with the keys that it publishes at an address, certified by these: those that are known from
    /// `previous`, until others are fetched.
    pub(crate) fn add_published(
        &mut self,
        issuer: &JwtIssuer,
        address: KeyAddress,
        trusted: Trusted,
        previous: &Self,
    ) {
        let known = previous.published();
        let mut known = known.into_iter();
        let known = known.find(|known| known.issuer == issuer.issuer && known.address == address);
        let published = Published::following(known, issuer, address, trusted);
        self.trust(issuer, Keys::Published(published));
    }

    fn trust(&mut self, issuer: &JwtIssuer, keys: Keys) {
        self.all.push(Issuer {
            policy: Policy::new(issuer),
            algorithms: issuer.algorithms.clone(),
            keys,
        });
    }

    /// The issuers whose keys are fetched.
    pub(crate) fn published(&self) -> Vec<Arc<Published>> {
        let published = self.all.iter().filter_map(|issuer| match &issuer.keys {
            Keys::Read(_) => None,
            Keys::Published(published) => Some(Arc::clone(published)),
        });
        published.collect()
    }

    /// Whether a token says that it is of one of them. It may be wrong in all else.
    pub(crate) fn are_named_by(&self, token: &[u8]) -> bool {
        Compact::parse(token)
            .is_ok_and(|token| claimed_issuer(&token).is_ok_and(|claimed| self.get(claimed).is_some()))
    }

    /// Whether there is one at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What a token shows. One whose key isn't known has its issuer's keys fetched, where they are published.
    ///
    /// # Errors
    /// Why it lets nobody in.
    pub(crate) async fn verify_by_newest(
        &self,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Verified, TokenRefused> {
        let first = self.verify(token, now);
        if !matches!(first, Err(TokenRefused::NotSigned(NotSigned::UnknownKey))) {
            return first;
        }
        match self.publisher(token) {
            Some(published) if published.fetch_again().await => self.verify(token, now),
            _ => first,
        }
    }

    /// Who publishes the keys of a token.
    fn publisher(&self, token: &[u8]) -> Option<&Published> {
        let token = Compact::parse(token).ok()?;
        match &self.get(claimed_issuer(&token).ok()?)?.keys {
            Keys::Read(_) => None,
            Keys::Published(published) => Some(published),
        }
    }

    /// What a token shows, by the keys that are known.
    ///
    /// # Errors
    /// Why it lets nobody in.
    pub(crate) fn verify(&self, token: &[u8], now: Timestamp) -> Result<Verified, TokenRefused> {
        let token = Compact::parse(token)?;
        let claimed = claimed_issuer(&token)?;
        let issuer = self.get(claimed).ok_or(TokenRefused::UnknownIssuer)?;
        let signed = issuer.keys.now().verify(&token, &issuer.algorithms)?;
        let accepted = issuer.policy.judge(&signed, now)?;
        Ok(Verified {
            client: self.clients.get(&accepted.client, Means::Jwt, now),
            issuer: claimed.to_owned(),
            key: signed.key(),
            algorithm: signed.algorithm(),
            accepted,
        })
    }

    /// Whether a token that was verified would still be, but for the time: its key is still its issuer's, and what it says
    /// is what is asked for.
    pub(crate) fn holds(&self, token: &Verified) -> bool {
        let Verified {
            client: _,
            issuer,
            key,
            algorithm,
            accepted,
        } = token;
        self.get(issuer).is_some_and(|issuer| {
            issuer.keys.now().holds(*key)
                && issuer.algorithms.contains(algorithm)
                && issuer.policy.still_accepts(accepted)
        })
    }

    /// Whether a token that was verified has ended.
    pub(crate) fn has_ended(&self, token: &Verified, now: Timestamp) -> bool {
        self.get(&token.issuer)
            .is_none_or(|issuer| issuer.policy.has_ended(token.accepted.expires, now.as_second()))
    }

    /// For `/status`: each issuer with its keys.
    pub(crate) fn statuses(&self) -> Vec<IssuerStatus> {
        self.all.iter().map(Issuer::status).collect()
    }

    fn get(&self, name: &str) -> Option<&Issuer> {
        self.all.iter().find(|issuer| issuer.policy.issuer == name)
    }
}

impl Issuer {
    fn status(&self) -> IssuerStatus {
        let keys = self.keys.now();
        let keys = keys.iter().map(|key| KeyStatus {
            name: key.name.clone(),
            kind: key.type_name(),
        });
        let (refreshed_at, error) = match &self.keys {
            Keys::Read(_) => (None, None),
            Keys::Published(published) => {
                let state = published.state();
                (state.refreshed_at, state.error)
            }
        };
        IssuerStatus {
            issuer: self.policy.issuer.clone(),
            keys: keys.collect(),
            refreshed_at,
            error,
        }
    }
}
