//! Asks again about tokens on requests that outlast the API server's word.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use jiff::Timestamp;

use crate::identify::Reviewer;
use crate::proxy::Proxy;

/// How often is looked whether the API server's word of a running request counts no longer.
const LOOK: Duration = Duration::from_secs(1);

/// Has running requests judged by the newest word of the API server, for ever: those are cut whose token has ended or was
/// taken back.
pub(super) async fn keep_reviewed(proxy: Arc<Proxy>) -> Infallible {
    let mut swaps = proxy.swaps();
    loop {
        let reviewer = proxy.in_force().credentials.reviewer().cloned();
        let kept = async {
            match &reviewer {
                Some(reviewer) => keep(reviewer, &proxy).await,
                None => pending().await,
            }
        };
        tokio::select! {
            never = kept => match never {},
            _ = swaps.changed() => {}
        }
    }
}

async fn keep(reviewer: &Arc<Reviewer>, proxy: &Proxy) -> Infallible {
    loop {
        let shown = proxy.requests().service_accounts();
        join(reviewer.try_out(), reviewer.renew_due(&shown)).await;
        let now = Timestamp::now();
        if !shown.iter().all(|shown| reviewer.holds(shown, now)) {
            proxy.judge_again_all();
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = reviewer.taken_back() => proxy.judge_again_all(),
        }
    }
}
