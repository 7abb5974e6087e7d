//! Keeps the keys fresh that issuers publish.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;

use futures::future::join_all;

use crate::jwt::Fetcher;
use crate::proxy::Proxy;

/// Fetches the keys of every issuer in force that publishes them, again and again, for ever. Requests under way are judged
/// again when keys change.
pub(super) async fn keep_published(fetcher: Fetcher, proxy: Arc<Proxy>) -> Infallible {
    let mut swaps = proxy.swaps();
    loop {
        let issuers = proxy.in_force().credentials.published();
        let kept = issuers
            .iter()
            .map(|published| published.keep_fresh(&fetcher, || proxy.judge_again_all()));
        let all = async {
            join_all(kept).await;
            pending::<()>().await;
        };
        tokio::select! {
            () = all => {}
            _ = swaps.changed() => {}
        }
    }
}
