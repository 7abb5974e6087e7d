//! Checks the credential of a request against those in force.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use aws_lc_rs::hmac;
use http::request::Parts;
use jiff::Timestamp;
use moka::future::Cache;
use prometheus_client::metrics::counter::Counter;

use super::asker::Asker;
use super::outcomes::{Attempt, Outcomes, REMEMBERED_FOR};
use super::pool::{Candidate, HashingLoad, Limits, Pool};
use super::presented::{NameAndPassword, Presented, presented};
use super::signature::Signature;
use super::{ClientCertificate, Evidence, Identity, Unauthenticated};
use crate::address::ClientAddress;
use crate::credentials::{Certificates, CredentialKind, CredentialSet, User};
use crate::jwt::{Issuers, Verified};

/// Identifies callers. One for the whole process, whatever credentials are in force.
pub struct Verifier {
    /// Keyed by chance at start: tags mean nothing outside this process.
    tags: hmac::Key,
    names: RandomState,
    outcomes: Outcomes,
    /// Tokens that were verified, by tag.
    tokens: Cache<[u8; 32], Arc<Verified>>,
    pool: Pool,
}

/// How many tokens are remembered: around ten MiB at most. One with many groups counts as several.
const MOST_TOKENS: u64 = 10_000;

impl Verifier {
    /// Makes one with half of the machine's processors for slow hashes, each counted in `hashed`.
    ///
    /// # Errors
    /// When the system has no random numbers or no threads.
    pub fn new(hashed: Counter) -> io::Result<Self> {
        Self::with_limits(Limits::of_this_machine(), hashed)
    }

    fn with_limits(limits: Limits, hashed: Counter) -> io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            tags: hmac::Key::new(hmac::HMAC_SHA256, &key),
            names: RandomState::new(),
            outcomes: Outcomes::new(),
            tokens: Cache::builder()
                .max_capacity(MOST_TOKENS)
                .time_to_live(REMEMBERED_FOR)
                .weigher(|_, token: &Arc<Verified>| 1 + token.kibibytes_of_groups())
                .build(),
            pool: Pool::start(limits, hashed)?,
        })
    }

    /// Who sends a request with this head, on a connection on which this certificate was shown. Waits only where a
    /// password has to be hashed that this process hasn't checked before. The answer is that of `credentials`: whoever
    /// keeps it for longer than a reload asks [`CredentialSet::is_in_force`] of the set that follows.
    ///
    /// # Errors
    /// The reason why it is nobody, for log and metrics.
    pub async fn identify(
        &self,
        credentials: &CredentialSet,
        head: &Parts,
        certificate: Option<&Arc<ClientCertificate>>,
        address: ClientAddress,
    ) -> Result<Identity, Unauthenticated> {
        let issuers = credentials.issuers();
        let mut presented = presented(&head.headers, |shown| credentials.kind_of_token(shown))?;
        presented.certificate = match credentials.certificates() {
            Certificates::Ignored => None,
            Certificates::Taken { .. } => certificate,
        };
        if let Some(client) = credentials.anonymous().filter(|_| presented.is_empty()) {
            return Identity::of([Some(Ok(Evidence::of_anonymous(client)))]);
        }
        credentials.requirement().check(&presented)?;
        let Presented {
            password,
            signature,
            key,
            token,
            account_token,
            certificate,
        } = presented;
        // Each is checked, whatever the others come to: how long that takes must not tell which of them is wrong.
        let signature = signature.map(|shown| by_signature(credentials, head, &shown, Timestamp::now()));
        let key = key.map(|key| by_key(credentials, key));
        let token = match token {
            Some(token) => Some(self.by_token(issuers, token, Timestamp::now()).await),
            None => None,
        };
        let account = match account_token {
            Some(token) => Some(
                self.by_account(credentials, token, address, Timestamp::now())
                    .await,
            ),
            None => None,
        };
        let certificate = certificate.map(|shown| by_certificate(credentials, shown));
        let others_hold = [&signature, &key, &token, &account, &certificate]
            .into_iter()
            .flatten()
            .all(Result::is_ok);
        let password = match password {
            Some(shown) if others_hold => Some(self.by_password(credentials, shown, address).await),
            Some(shown) => Some(Err(self.as_slowly_as_a_user(credentials, shown, address).await)),
            None => None,
        };
        // The order in which they name the client.
        Identity::of([password, signature, token, account, key, certificate])
    }

    /// How many passwords are being hashed, and wait for it.
    pub fn load(&self) -> HashingLoad {
        self.pool.load()
    }

    async fn by_password(
        &self,
        credentials: &CredentialSet,
        shown: NameAndPassword,
        address: ClientAddress,
    ) -> Result<Evidence, Unauthenticated> {
        let Some(user) = shown.name().and_then(|name| credentials.user(name)) else {
            return Err(self.as_slowly_as_a_user(credentials, shown, address).await);
        };
        let tag = self.tag(shown.as_bytes());
        if !user.has_verified(&tag) {
            let attempt = Attempt {
                tag,
                credential: user.credential,
                decoy: false,
            };
            if !self.check(user, attempt, shown, address).await? {
                return Err(Unauthenticated::Wrong);
            }
            user.remember(tag);
        }
        Ok(Evidence::of_user(user))
    }

    /// A token that was verified costs a look-up for some minutes, unless it ends or its issuer no longer stands for it.
    async fn by_token(
        &self,
        issuers: &Issuers,
        token: &[u8],
        now: Timestamp,
    ) -> Result<Evidence, Unauthenticated> {
        let tag = self.tag(token);
        if let Some(verified) = self.tokens.get(&tag).await
            && issuers.holds(&verified)
        {
            return if issuers.has_ended(&verified, now) {
                Err(Unauthenticated::Expired)
            } else {
                Ok(Evidence::Token(verified))
            };
        }
        let verified = issuers.verify_by_newest(token, now).await.map_err(|refused| {
            tracing::debug!(%refused, "a token lets nobody in");
            refused.cause()
        })?;
        let verified = Arc::new(verified);
        self.tokens.insert(tag, Arc::clone(&verified)).await;
        Ok(Evidence::Token(verified))
    }

    async fn by_account(
        &self,
        credentials: &CredentialSet,
        token: &[u8],
        address: ClientAddress,
        now: Timestamp,
    ) -> Result<Evidence, Unauthenticated> {
        let reviewer = credentials.reviewer().ok_or(Unauthenticated::Unknown)?;
        let shown = reviewer.identify(self.tag(token), token, address, now).await?;
        Ok(Evidence::ServiceAccount(shown))
    }

    /// Lets nobody in, whatever the check of the decoy comes to: for unknown users, and for passwords beside another
    /// credential that is wrong, so that nobody can try out one of the two without the other.
    async fn as_slowly_as_a_user(
        &self,
        credentials: &CredentialSet,
        shown: NameAndPassword,
        address: ClientAddress,
    ) -> Unauthenticated {
        let Some(decoy) = credentials.decoy(self.name_hash(&shown)) else {
            return Unauthenticated::Unknown;
        };
        let attempt = Attempt {
            tag: self.tag(shown.as_bytes()),
            credential: decoy.credential,
            decoy: true,
        };
        self.check(decoy, attempt, shown, address)
            .await
            .err()
            .unwrap_or(Unauthenticated::Unknown)
    }

    async fn check(
        &self,
        user: &Arc<User>,
        attempt: Attempt,
        shown: NameAndPassword,
        address: ClientAddress,
    ) -> Result<bool, Unauthenticated> {
        let asker = Asker::new(address, self.name_hash(&shown));
        let candidate = Candidate {
            user: Arc::clone(user),
            decoy: attempt.decoy,
            shown,
        };
        let check = self.pool.verify(asker, candidate);
        // Boxed: it is rare, and would make each request larger.
        Box::pin(self.outcomes.of(attempt, check)).await
    }

    fn tag(&self, shown: &[u8]) -> [u8; 32] {
        let mut tag = [0; 32];
        tag.copy_from_slice(hmac::sign(&self.tags, shown).as_ref());
        tag
    }

    fn name_hash(&self, shown: &NameAndPassword) -> u64 {
        self.names.hash_one(shown.name_bytes())
    }
}

fn by_key(credentials: &CredentialSet, key: &[u8]) -> Result<Evidence, Unauthenticated> {
    let key = credentials.api_key(key).ok_or(Unauthenticated::Unknown)?;
    Ok(Evidence::of_key(CredentialKind::ApiKeys, key))
}

fn by_certificate(
    credentials: &CredentialSet,
    shown: &Arc<ClientCertificate>,
) -> Result<Evidence, Unauthenticated> {
    let client = credentials.client_of(shown, Timestamp::now())?;
    Ok(Evidence::Certificate {
        certificate: Arc::clone(shown),
        client,
    })
}

fn by_signature(
    credentials: &CredentialSet,
    head: &Parts,
    shown: &Signature,
    now: Timestamp,
) -> Result<Evidence, Unauthenticated> {
    let key = credentials
        .ollama_key(shown.public_key)
        .ok_or(Unauthenticated::Unknown)?;
    shown.verify(head, now, credentials.clock_skew())?;
    Ok(Evidence::of_key(CredentialKind::OllamaKeys, key))
}

#[cfg(test)]
mod tests;
