//! What checks of passwords came to, remembered.
//!
//! A client with an old password that tries again and again costs one hash, not one each time; the same attempt by
//! several at once costs one hash as well.

use std::time::Duration;

use moka::future::Cache;

use super::Unauthenticated;
use crate::credentials::CredentialId;

/// How many attempts are remembered: around two MiB.
const MOST_REMEMBERED: u64 = 10_000;
/// How long a check counts, of a password here and of a token in [`super::verifier`], before another is made: memory holds
/// only what came lately, and a check in ten minutes costs nobody anything.
pub(super) const REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);

/// A name and password, and the stored hash they were checked against. When that hash is replaced the attempt is
/// another one, so a reload forgets exactly what it changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Attempt {
    /// Keyed hash of name and password.
    pub(super) tag: [u8; 32],
    /// The stored hash.
    pub(super) credential: CredentialId,
    /// The hash only stands in, so that what is known of the user it belongs to must not make the check shorter.
    pub(super) decoy: bool,
}

/// The memory of attempts. A flood of different wrong passwords can push out other failures and nothing else:
/// successes are remembered with the user.
pub(super) struct Outcomes(Cache<Attempt, bool>);

impl Outcomes {
    pub(super) fn new() -> Self {
        let attempts = Cache::builder()
            .max_capacity(MOST_REMEMBERED)
            .time_to_live(REMEMBERED_FOR);
        Self(attempts.build())
    }

    /// What the attempt came to, or comes to by `check`, which runs once however many ask at the same time. A check
    /// that couldn't be made isn't remembered.
    pub(super) async fn of(
        &self,
        attempt: Attempt,
        check: impl Future<Output = Result<bool, Unauthenticated>>,
    ) -> Result<bool, Unauthenticated> {
        self.0.try_get_with(attempt, check).await.map_err(|error| *error)
    }
}
