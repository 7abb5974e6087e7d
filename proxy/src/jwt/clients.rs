//! The clients that tokens have named. Nobody lists them beforehand: they are known once they come.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::credentials::Client;
use crate::status::{ClientStatus, Means};

/// How many clients are remembered by name. An issuer can name any number of them.
const MOST_CLIENTS: usize = 1000;

/// Clients by name; they outlive a reload.
#[derive(Default)]
pub(crate) struct Clients(Mutex<BTreeMap<Arc<str>, Arc<Client>>>);

impl Clients {
    /// The client of that name, which shows itself by these means; known from now on if there is room.
    pub(crate) fn get(&self, name: &Arc<str>, means: Means) -> Arc<Client> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(name) {
            return Arc::clone(client);
        }
        let client = Arc::new(Client::new(Arc::clone(name), means));
        if clients.len() < MOST_CLIENTS {
            clients.insert(Arc::clone(name), Arc::clone(&client));
        }
        client
    }

    pub(crate) fn statuses(&self) -> Vec<ClientStatus> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clients.values().map(|client| client.status()).collect()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Clients(…)")
    }
}
