//! Keys in force, each of one client: API keys, and those by which signatures are checked.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::credentials::client::LastUsed;
use crate::credentials::owners::ParsedKey;
use crate::credentials::{Client, CredentialId, CredentialKind};

/// A key in force.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) credential: CredentialId,
    pub(crate) client: Arc<Client>,
}

/// The keys of one means.
#[derive(Debug, Default)]
pub(super) struct Keys {
    by_id: HashMap<CredentialId, Key>,
    clients: BTreeMap<Arc<str>, Arc<Client>>,
}

impl Keys {
    /// Takes over when clients that were there before were last used.
    pub(super) fn new(kind: CredentialKind, keys: Vec<ParsedKey>, previous: &Self) -> Self {
        let mut next = Self::default();
        for ParsedKey { client, unnamed, id } in keys {
            let credential = CredentialId(id);
            let client = next.clients.entry(Arc::clone(&client)).or_insert_with(|| {
                let last_used = previous.last_used(&client, unnamed, credential);
                Arc::new(Client::listed(client, kind.means(), unnamed, last_used))
            });
            let client = Arc::clone(client);
            next.by_id.insert(credential, Key { credential, client });
        }
        next
    }

    /// An unnamed key's name moves with its line, so such a client is recognized by its key.
    fn last_used(&self, name: &str, unnamed: bool, credential: CredentialId) -> LastUsed {
        let client = if unnamed {
            self.get(credential).map(|key| &key.client)
        } else {
            self.clients.get(name)
        };
        client
            .filter(|client| client.unnamed == unnamed)
            .map(|client| client.last_used.clone())
            .unwrap_or_default()
    }

    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        self.clients.values().map(Arc::clone).collect()
    }

    pub(super) fn get(&self, credential: CredentialId) -> Option<&Key> {
        self.by_id.get(&credential)
    }

    /// Whether the key is there and still the same client's.
    pub(super) fn holds(&self, client: &Client, credential: CredentialId) -> bool {
        self.get(credential)
            .is_some_and(|key| key.client.name == client.name || key.client.unnamed && client.unnamed)
    }
}
