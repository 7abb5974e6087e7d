//! Checks the credential of a request against those in force.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;

use super::outcomes::{Attempt, Outcomes};
use super::pool::{Limits, Pool};
use super::presented::{NameAndPassword, Presented, presented};
use super::{Identity, Unauthenticated};
use crate::credentials::{CredentialSet, User};

/// Identifies callers. One for the whole process, whatever credentials are in force.
pub struct Verifier {
    /// Keyed by chance at start: tags mean nothing outside this process.
    tags: Hmac<Sha256>,
    names: RandomState,
    outcomes: Outcomes,
    pool: Pool,
}

impl Verifier {
    /// Makes one with half of the machine's processors for slow hashes.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        Self::with_limits(Limits::of_this_machine())
    }

    pub(super) fn with_limits(limits: Limits) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let tags = Hmac::new_from_slice(&key).expect("a key of any length");
        Ok(Self {
            tags,
            names: RandomState::new(),
            outcomes: Outcomes::new(),
            pool: Pool::new(limits),
        })
    }

    /// Who sends a request with these headers. Waits only where a password has to be hashed that this process hasn't
    /// verified before.
    ///
    /// # Errors
    /// The reason why it is nobody, for log and metrics.
    pub async fn identify(
        &self,
        credentials: &CredentialSet,
        headers: &HeaderMap,
    ) -> Result<Identity, Unauthenticated> {
        let identity = match presented(headers)? {
            Presented::Key(key) => Identity::of_key(credentials.key(key).ok_or(Unauthenticated::Unknown)?),
            Presented::Password(shown) => Identity::of_user(&*self.user(credentials, shown).await?),
        };
        identity.client().touch();
        Ok(identity)
    }

    /// The user that a name and password are of.
    async fn user(
        &self,
        credentials: &CredentialSet,
        shown: NameAndPassword,
    ) -> Result<Arc<User>, Unauthenticated> {
        let tag = self.tag(&shown);
        match shown.name().and_then(|name| credentials.user(name)) {
            Some(user) if user.has_verified(&tag) => Ok(Arc::clone(user)),
            Some(user) => {
                if !self.check(user, tag, shown).await? {
                    return Err(Unauthenticated::Wrong);
                }
                user.remember(tag);
                Ok(Arc::clone(user))
            }
            None => {
                if let Some(decoy) = credentials.decoy(self.name_hash(&shown)) {
                    self.check(decoy, tag, shown).await?;
                }
                Err(Unauthenticated::Unknown)
            }
        }
    }

    async fn check(
        &self,
        user: &Arc<User>,
        tag: [u8; 32],
        shown: NameAndPassword,
    ) -> Result<bool, Unauthenticated> {
        let attempt = Attempt {
            tag,
            credential: user.credential,
        };
        let check = self.pool.verify(self.name_hash(&shown), Arc::clone(user), shown);
        self.outcomes.of(attempt, check).await
    }

    fn tag(&self, shown: &NameAndPassword) -> [u8; 32] {
        self.tags
            .clone()
            .chain_update(shown.as_bytes())
            .finalize()
            .into_bytes()
            .into()
    }

    fn name_hash(&self, shown: &NameAndPassword) -> u64 {
        self.names.hash_one(shown.name_bytes())
    }
}
