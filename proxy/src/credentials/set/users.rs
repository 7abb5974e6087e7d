//! Users with passwords in force.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::credentials::hash::StoredHash;
use crate::credentials::htpasswd::ParsedUser;
use crate::credentials::{Client, CredentialId, Means};

/// A user in force.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) credential: CredentialId,
    pub(crate) client: Arc<Client>,
    pub(crate) hash: StoredHash,
    verified: OnceLock<[u8; 32]>,
}

impl User {
    fn new(parsed: ParsedUser, previous: Option<&Self>) -> Self {
        let ParsedUser { name, hash, stored } = parsed;
        let last_used = previous
            .map(|user| user.client.last_used.clone())
            .unwrap_or_default();
        let client = Arc::new(Client::listed(name.into(), Means::Basic, false, last_used));
        Self {
            credential: CredentialId::of(&stored),
            client,
            hash,
            verified: OnceLock::new(),
        }
    }

    /// Whether the hash was already found to be of the credential with this tag.
    pub(crate) fn has_verified(&self, tag: &[u8; 32]) -> bool {
        self.verified
            .get()
            .is_some_and(|verified| verify_slices_are_equal(verified, tag).is_ok())
    }

    /// Remembers the credential, by its tag, that the hash was found to be of. There is but one password to a hash,
    /// so one place is enough, and no flood of others can push it out.
    pub(crate) fn remember(&self, tag: [u8; 32]) {
        self.verified.get_or_init(|| tag);
    }
}

/// The users in force: in a row for decoys, and by name.
#[derive(Debug, Default)]
pub(super) struct Users {
    all: Vec<Arc<User>>,
    by_name: HashMap<Arc<str>, Arc<User>>,
}

impl Users {
    /// Takes over, with all that is known of them, users whose hash is the same as before.
    pub(super) fn new(users: Vec<ParsedUser>, previous: &Self) -> Self {
        let all: Vec<_> = users
            .into_iter()
            .map(|parsed| {
                let before = previous.get(&parsed.name);
                let user = User::new(parsed, before.map(|before| &**before));
                match before {
                    Some(before) if before.credential == user.credential => Arc::clone(before),
                    _ => Arc::new(user),
                }
            })
            .collect();
        let by_name = all
            .iter()
            .map(|user| (Arc::clone(&user.client.name), Arc::clone(user)))
            .collect();
        Self { all, by_name }
    }

    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        self.all.iter().map(|user| Arc::clone(&user.client)).collect()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// One of them, the same for the same number; none where there are none.
    pub(super) fn pick(&self, number: u64) -> Option<&Arc<User>> {
        let index = number.checked_rem(self.all.len() as u64)?;
        self.all.get(index as usize)
    }

    pub(super) fn holds(&self, client: &Client, credential: CredentialId) -> bool {
        self.get(&client.name)
            .is_some_and(|user| user.credential == credential)
    }
}
