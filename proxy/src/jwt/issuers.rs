//! The issuers in force, and what their tokens say of their bearers.

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use super::claims::{Accepted, ClaimError, Policy, claimed_issuer};
use super::clients::Clients;
use super::compact::{Compact, Malformed};
use super::keys::{KeySet, NotSigned};
use crate::config::{JwtAlgorithm, JwtIssuer};
use crate::credentials::{Client, CredentialId};
use crate::identify::Unauthenticated;
use crate::status::{ClientStatus, IssuerStatus, KeyStatus};

/// Every issuer in force. It never changes; a reload makes another.
#[derive(Debug, Default)]
pub(crate) struct Issuers {
    all: Vec<Issuer>,
    clients: Arc<Clients>,
}

/// An issuer in force.
#[derive(Debug)]
struct Issuer {
    policy: Policy,
    algorithms: Vec<JwtAlgorithm>,
    keys: KeySet,
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
    /// None yet, for clients that are known from `previous`.
    pub(crate) fn following(previous: &Self) -> Self {
        Self {
            all: Vec::new(),
            clients: Arc::clone(&previous.clients),
        }
    }

    /// Trusts an issuer with these keys.
    pub(crate) fn add(&mut self, issuer: &JwtIssuer, keys: KeySet) {
        self.all.push(Issuer {
            policy: Policy::new(issuer),
            algorithms: issuer.algorithms.clone(),
            keys,
        });
    }

    /// Whether there is one at all.
    pub(crate) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What a token shows.
    ///
    /// # Errors
    /// Why it lets nobody in.
    pub(crate) fn verify(&self, token: &[u8], now: Timestamp) -> Result<Verified, TokenRefused> {
        let token = Compact::parse(token)?;
        let claimed = claimed_issuer(&token.payload)?;
        let issuer = self.get(&claimed).ok_or(TokenRefused::UnknownIssuer)?;
        let signed = issuer.keys.verify(&token, &issuer.algorithms)?;
        let accepted = issuer.policy.judge(&signed, now)?;
        Ok(Verified {
            client: self.clients.get(&accepted.client),
            issuer: claimed,
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
            issuer.keys.holds(*key)
                && issuer.algorithms.contains(algorithm)
                && issuer.policy.still_accepts(accepted)
        })
    }

    /// Whether a token that was verified has ended.
    pub(crate) fn has_ended(&self, token: &Verified, now: Timestamp) -> bool {
        self.get(&token.issuer)
            .is_none_or(|issuer| issuer.policy.has_ended(token.accepted.expires, now.as_second()))
    }

    /// For `/status`: the clients that have come, as many as are remembered.
    pub(crate) fn clients(&self) -> Vec<ClientStatus> {
        self.clients.statuses()
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
        let keys = self.keys.iter().map(|key| KeyStatus {
            name: key.name.clone(),
            kind: key.type_name(),
        });
        IssuerStatus {
            issuer: self.policy.issuer.clone(),
            keys: keys.collect(),
        }
    }
}
