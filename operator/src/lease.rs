//! Which of several operators acts: the holder of a Lease.

use std::time::Duration;

use kube::{Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::time::{Instant, sleep};

/// Name of the Lease.
pub const LEASE: &str = "corral-operator";
/// How long the Lease holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long before its end it is renewed.
const GRACE: Duration = Duration::from_secs(10);
/// How long the API server may take to answer about the Lease.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failed look at the Lease.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the Lease can't be renewed before it counts as lost: with the time between two renewals, and that of a last try, it is
/// less than the Lease holds.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Lease that is sought or held.
pub struct Lease(LeaseManager);

impl Lease {
    /// Prepares to seek the Lease.
    ///
    /// # Errors
    /// When the Lease can't be read or made.
    pub async fn new(mut config: Config, namespace: &str, identity: &str) -> Result<Self, LeaseManagerError> {
        // A client of its own: watches are silent for minutes, but an answer about the Lease that doesn't come in time must not
        // be waited for.
        for timeout in [
            &mut config.connect_timeout,
            &mut config.read_timeout,
            &mut config.write_timeout,
        ] {
            *timeout = Some(TIMEOUT);
        }
        let client = Client::try_from(config).map_err(LeaseManagerError::from)?;
        let builder = LeaseManagerBuilder::new(client, LEASE)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(DURATION.as_secs())
            .with_grace(GRACE.as_secs());
        builder.build().await.map(Self)
    }

    /// Returns once the Lease is held.
    pub async fn acquired(&self) {
        loop {
            match self.0.changed().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the Lease can't be looked at");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Renews the Lease, and returns once it is held no more: somebody else has it, or it could not be renewed in time.
    pub async fn lost(&self) {
        let mut failing_since: Option<Instant> = None;
        loop {
            match self.0.changed().await {
                Ok(true) => failing_since = None,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "the Lease can't be renewed");
                    if failing_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE {
                        return;
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Gives the Lease back, so that the next operator need not wait for its end.
    pub async fn release(&self) {
        if let Err(error) = self.0.release().await {
            tracing::warn!(%error, "the Lease could not be given back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_as_lost_before_another_can_have_it() {
        let renewed_every = DURATION - GRACE;
        assert!(renewed_every + TIMEOUT + PATIENCE + PAUSE + TIMEOUT <= DURATION);
    }
}
