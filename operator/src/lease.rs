//! Which of several operators acts: the holder of a Lease.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::time::{Instant, sleep};

/// Name of the Lease.
pub const LEASE: &str = "corral-operator";
/// How long the Lease holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long before its end it is renewed.
const GRACE: Duration = Duration::from_secs(10);
/// Pause after a failed look at the Lease.
const PAUSE: Duration = Duration::from_secs(1);

/// A Lease that is sought or held.
pub struct Lease(LeaseManager);

impl Lease {
    /// Prepares to seek the Lease.
    ///
    /// # Errors
    /// When the Lease can't be read or made.
    pub async fn new(client: Client, namespace: &str, identity: &str) -> Result<Self, LeaseManagerError> {
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
                    // The first failure came at most DURATION - GRACE after the last renewal.
                    if failing_since.get_or_insert_with(Instant::now).elapsed() + PAUSE >= GRACE {
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
