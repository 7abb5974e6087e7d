//! How long an edited credential takes to be in force on every replica.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use http::StatusCode;

use crate::http_client::HttpClient;

/// Longest time that is waited for one.
const LIMIT: Duration = Duration::from_secs(150);

/// A credential as the header that carries it.
pub type Credential = (String, String);

/// Has an edit made and answers with what the edit returns and the time from then until every replica refused the old
/// credential and took the new one; zero if all did before.
///
/// # Errors
/// When the edit fails or a replica doesn't follow.
pub async fn measure<T: Send + 'static>(
    edit: impl FnOnce() -> Result<T> + Send + 'static,
    replicas: &[HttpClient],
    old: &Credential,
    new: &Credential,
) -> Result<(T, Duration)> {
    let watchers: Vec<_> = replicas
        .iter()
        .map(|replica| tokio::spawn(followed(replica.clone(), old.clone(), new.clone())))
        .collect();
    let answer = tokio::task::spawn_blocking(edit).await??;
    let edited = Instant::now();
    let mut latency = Duration::ZERO;
    for watcher in watchers {
        latency = latency.max(watcher.await??.saturating_duration_since(edited));
    }
    Ok((answer, latency))
}

/// Asks the replica every 10 ms; the moment at which it had the new credential in force, and no longer the old one.
async fn followed(replica: HttpClient, old: Credential, new: Credential) -> Result<Instant> {
    let follow = async {
        while !in_force(&replica, &old, &new).await? {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Instant::now())
    };
    tokio::time::timeout(LIMIT, follow)
        .await
        .context("a replica still has the old credential in force")?
}

/// Does the replica refuse the old credential and take the new one?
///
/// # Errors
/// When it doesn't answer.
pub async fn in_force(replica: &HttpClient, old: &Credential, new: &Credential) -> Result<bool> {
    // What is cut for the old credential's sake may take its connection along: a client then asks again, on another.
    let status = async |(name, value): &Credential| match replica.status("/api/tags", &[(name, value)]).await
    {
        Err(_) => replica.status("/api/tags", &[(name, value)]).await,
        answered => answered,
    };
    Ok(status(old).await? == StatusCode::UNAUTHORIZED && status(new).await? == StatusCode::OK)
}
