//! What is kept true beside the requests, each by a task of its own, for ever.

mod published;
mod reviewed;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::jwt::Fetcher;
use crate::limit::{Keeper, Moment};
use crate::models;
use crate::proxy::Proxy;

/// How often is looked whether a client's access has ended.
const EXPIRY_LOOK: Duration = Duration::from_secs(1);

/// How often is looked for what is no longer needed: the numbers of clients that are gone, connections that nobody uses.
const TIDY_LOOK: Duration = Duration::from_secs(60);

/// How much of the day's use a process that is killed takes with it.
const SAVE_PAUSE: Duration = Duration::from_secs(10);

/// Starts all of it; the day's use is saved where there is a place for it.
pub(crate) fn start(proxy: &Arc<Proxy>, fetcher: Fetcher, keeper: Option<&Arc<Keeper>>) {
    if let Some(keeper) = keeper {
        tokio::spawn(save(Arc::clone(keeper), Arc::clone(proxy)));
    }
    tokio::spawn(published::keep_published(fetcher, Arc::clone(proxy)));
    tokio::spawn(reviewed::keep_reviewed(Arc::clone(proxy)));
    tokio::spawn(keep_models_ready(Arc::clone(proxy)));
    tokio::spawn(end_expired(Arc::clone(proxy)));
    tokio::spawn(tidy(Arc::clone(proxy)));
}

/// Saves what clients have used of the day, now and then.
async fn save(keeper: Arc<Keeper>, proxy: Arc<Proxy>) -> Infallible {
    loop {
        tokio::time::sleep(SAVE_PAUSE).await;
        let (keeper, proxy) = (Arc::clone(&keeper), Arc::clone(&proxy));
        let saved = tokio::task::spawn_blocking(move || keeper.save(proxy.limiter(), Moment::now()));
        if let Err(error) = saved.await {
            tracing::error!(%error, "can't save the tokens of the day");
        }
    }
}

async fn keep_models_ready(proxy: Arc<Proxy>) -> Infallible {
    models::keep_ready(Arc::clone(proxy.upstream()), proxy.models(), proxy.readiness()).await
}

/// Looks once a second whether a client's access has ended.
async fn end_expired(proxy: Arc<Proxy>) -> Infallible {
    let mut looked = Timestamp::now();
    loop {
        tokio::time::sleep(EXPIRY_LOOK).await;
        let now = Timestamp::now();
        proxy.end_expired(looked, now);
        looked = now;
    }
}

/// Gives back what is no longer needed.
async fn tidy(proxy: Arc<Proxy>) -> Infallible {
    loop {
        tokio::time::sleep(TIDY_LOOK).await;
        proxy.forget_gone(Instant::now());
        proxy.upstream().close_unused();
    }
}
