//! Secrets that are at hand before anybody asks for them: the operator's own, when it has just made them and, many at a time,
//! when it starts. One by one the API server would be asked twice for each OllamaService.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ListParams};

use super::Readings;
use crate::memory::key_of;
use crate::plan::child_selector;
use crate::watch::PAGE;

/// How long what nobody has taken stays at hand.
pub const HELD: Duration = Duration::from_secs(60);

impl Readings {
    /// Keeps a Secret at hand until it is asked for, once.
    pub fn hold(&self, secret: Secret) {
        self.at_hand.insert(key_of(&secret), secret.into());
    }

    /// Reads the Secrets that the operator has made, in that namespace or in all.
    ///
    /// # Errors
    /// When the API server doesn't answer. Those that came before are at hand.
    pub async fn read_ahead(&self, client: &Client, namespace: Option<&str>) -> Result<(), kube::Error> {
        let api: Api<Secret> = match namespace {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let mut page = ListParams::default().labels(&child_selector()).limit(PAGE);
        loop {
            let secrets = api.list(&page).await?;
            let next = secrets.metadata.continue_.filter(|token| !token.is_empty());
            secrets.items.into_iter().for_each(|secret| self.hold(secret));
            let Some(token) = next else { return Ok(()) };
            page = page.continue_token(&token);
        }
    }

    /// Lets go of what nobody has asked for.
    pub fn let_go(&self) {
        self.at_hand.forget(|_| true);
    }
}
