//! Which of several operators acts: the holder of a Lease.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease as Object;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Name of the Lease.
pub const LEASE: &str = "corral-operator";
/// How long the Lease holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long after it was renewed it is renewed again.
const RENEWED_AFTER: Duration = Duration::from_secs(5);
/// How long after it was renewed it counts as lost: another's clock may be ahead.
const LOST_AFTER: Duration = Duration::from_secs(12);
/// How long the API server may take to answer about the Lease.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failed look at the Lease.
const PAUSE: Duration = Duration::from_secs(1);

/// A Lease that is sought or held.
pub struct Lease {
    manager: LeaseManager,
    client: Client,
    objects: Api<Object>,
    namespace: String,
    identity: String,
}

impl Lease {
    /// Prepares to seek the Lease; waits for an API server that doesn't answer.
    ///
    /// # Errors
    /// When the API server refuses to have the Lease read or made.
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
        let manager = manager(&client, namespace, identity).await?;
        Ok(Self {
            manager,
            objects: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
        })
    }

    /// Returns once the Lease is held, with the time from which on it holds.
    ///
    /// # Errors
    /// When the Lease was deleted, and the API server refuses to have another made.
    pub async fn acquired(&mut self) -> Result<Instant, LeaseManagerError> {
        loop {
            match self.manager.changed().await {
                Ok(true) => {
                    if let Some(renewed) = self.renewed().await {
                        return Ok(renewed);
                    }
                }
                Ok(false) => {}
                // The manager makes it at its own beginning only.
                Err(LeaseManagerError::NonexistentLease(_)) => {
                    tracing::warn!("the Lease was deleted; another is made");
                    self.manager = manager(&self.client, &self.namespace, &self.identity).await?;
                }
                Err(error) => {
                    tracing::warn!(%error, "the Lease can't be looked at");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Keeps the Lease renewed from the time on from which it holds, and returns once it is held no more: somebody else has it,
    /// or it could not be renewed in time.
    pub async fn lost(&self, mut held: Instant) {
        loop {
            sleep_until(held + RENEWED_AFTER).await;
            match timeout_at(held + LOST_AFTER, self.renewed()).await {
                Ok(Some(renewed)) => held = renewed,
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Renews the Lease, as many tries as that takes, and says from when on it holds; `None` where it is another's.
    ///
    /// The manager would renew it too, but says only when that fails: whether it has succeeded since, nobody would know.
    async fn renewed(&self) -> Option<Instant> {
        loop {
            let began = Instant::now();
            match self.renew().await {
                Ok(true) => return Some(began),
                Ok(false) => return None,
                Err(error) => {
                    tracing::warn!(%error, "the Lease can't be renewed");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Whether it is held, and renewed.
    async fn renew(&self) -> Result<bool, kube::Error> {
        let lease = self.objects.get(LEASE).await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        if holder.as_deref() != Some(&*self.identity) {
            return Ok(false);
        }
        // Of that version: whoever took it meanwhile has it.
        let renewal = json!({
            "metadata": {"resourceVersion": lease.metadata.resource_version},
            "spec": {"renewTime": MicroTime(Timestamp::now()), "leaseDurationSeconds": DURATION.as_secs()},
        });
        let parameters = PatchParams::default();
        self.objects
            .patch(LEASE, &parameters, &Patch::Merge(renewal))
            .await?;
        Ok(true)
    }

    /// Gives the Lease back, so that the next operator need not wait for its end.
    pub async fn release(&self) {
        if let Err(error) = self.manager.release().await {
            tracing::warn!(%error, "the Lease could not be given back");
        }
    }
}

/// Reads the Lease, or makes it, as many tries as that takes.
async fn manager(
    client: &Client,
    namespace: &str,
    identity: &str,
) -> Result<LeaseManager, LeaseManagerError> {
    loop {
        let builder = LeaseManagerBuilder::new(client.clone(), LEASE)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(DURATION.as_secs());
        match builder.build().await {
            Err(LeaseManagerError::KubeError(error)) if !is_refusal(&error) => {
                tracing::warn!(%error, "the Lease can't be looked at");
                sleep(PAUSE).await;
            }
            sought => return sought,
        }
    }
}

/// Whether the API server has answered, and will answer the same once more.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_as_lost_before_another_can_have_it_and_not_for_one_failure() {
        assert!(LOST_AFTER < DURATION);
        assert!(RENEWED_AFTER + 2 * (TIMEOUT + PAUSE) < LOST_AFTER);
    }
}
