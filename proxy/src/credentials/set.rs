//! The snapshot of all credentials in force.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::api_keys::ParsedKey;
use super::client::LastUsed;
use super::entries::{Entries, Found, read_entries};
use super::hash::StoredHash;
use super::htpasswd::ParsedUser;
use super::parse::{ParsedCredentials, parse};
use super::{Client, CredentialId};
use crate::config::{CredentialSource, Credentials};
use crate::digest::DigestKey;
use crate::identify::Identity;
use crate::status::{ClientStatus, Means, SourceStatus};

/// Every credential in force. It never changes; a reload makes another.
#[derive(Debug, Default)]
pub struct CredentialSet {
    sources: Vec<Source>,
    users: Users,
    keys: HashMap<CredentialId, ApiKey>,
}

impl CredentialSet {
    /// Reads all sources. One that can't be read or parsed lets nobody in, and its status says why. Blocks.
    pub fn load(credentials: &Credentials, digest_key: Option<&DigestKey>) -> Self {
        Self::default().reload(credentials, digest_key)
    }

    /// Like [`Self::load`], keeping what is known of clients and credentials that are still the same: when they were
    /// last used, and which password a slow hash was found to be of. Blocks.
    #[must_use]
    pub fn reload(&self, credentials: &Credentials, digest_key: Option<&DigestKey>) -> Self {
        let mut next = Self::default();
        let Credentials { basic, api_keys } = credentials;
        for (means, source) in [(Means::Basic, basic), (Means::ApiKeys, api_keys)] {
            if let Some(source) = source {
                next.add(means, source, digest_key, self);
            }
        }
        next
    }

    fn add(
        &mut self,
        means: Means,
        source: &CredentialSource,
        digest_key: Option<&DigestKey>,
        previous: &Self,
    ) {
        let mut loaded = Loaded::of(means, source, digest_key);
        let clients = match loaded.credentials.take() {
            Some(ParsedCredentials::Basic(users)) => self.add_users(users, previous),
            Some(ParsedCredentials::ApiKeys(keys)) => self.add_keys(keys, previous),
            None => Vec::new(),
        };
        self.sources.push(loaded.into_source(means, clients, previous));
    }

    fn add_users(&mut self, users: Vec<ParsedUser>, previous: &Self) -> Vec<Arc<Client>> {
        self.users = Users::new(users, &previous.users);
        self.users
            .all
            .iter()
            .map(|user| Arc::clone(&user.client))
            .collect()
    }

    fn add_keys(&mut self, keys: Vec<ParsedKey>, previous: &Self) -> Vec<Arc<Client>> {
        let mut clients: BTreeMap<Arc<str>, Arc<Client>> = BTreeMap::new();
        for ParsedKey {
            client,
            unnamed,
            digest,
        } in keys
        {
            let credential = CredentialId(digest);
            let client = clients.entry(Arc::clone(&client)).or_insert_with(|| {
                let last_used = previous.last_used(&client, unnamed, credential);
                Arc::new(Client {
                    name: client,
                    means: Means::ApiKeys,
                    unnamed,
                    last_used,
                })
            });
            self.keys.insert(
                credential,
                ApiKey {
                    credential,
                    client: Arc::clone(client),
                },
            );
        }
        clients.into_values().collect()
    }

    /// An unnamed key's name moves with its line, so such a client is recognized by its key.
    fn last_used(&self, name: &str, unnamed: bool, credential: CredentialId) -> LastUsed {
        let client = if unnamed {
            self.keys
                .get(&credential)
                .map(|key| &key.client)
                .filter(|client| client.unnamed)
        } else {
            self.source(Means::ApiKeys).and_then(|source| {
                source
                    .clients
                    .iter()
                    .find(|client| &*client.name == name && !client.unnamed)
            })
        };
        client.map(|client| client.last_used.clone()).unwrap_or_default()
    }

    fn source(&self, means: Means) -> Option<&Source> {
        self.sources.iter().find(|source| source.status.means == means)
    }

    /// For `/status`: each configured means, with the reason why it lets nobody in if it doesn't.
    pub fn sources(&self) -> Vec<SourceStatus> {
        self.sources.iter().map(|source| source.status.clone()).collect()
    }

    /// For `/status`: every client that has a credential, once for each means, by name.
    pub fn clients(&self) -> Vec<ClientStatus> {
        let mut clients: Vec<_> = self
            .sources
            .iter()
            .flat_map(|source| &source.clients)
            .map(|client| client.status())
            .collect();
        clients.sort_by(|one, other| (&one.name, one.means).cmp(&(&other.name, other.means)));
        clients
    }

    /// Whether the very credential that was shown is still there, and still the same client's.
    pub fn is_in_force(&self, identity: &Identity) -> bool {
        let client = identity.client();
        match client.means {
            Means::Basic => self
                .users
                .get(&client.name)
                .is_some_and(|user| user.credential == identity.credential()),
            Means::ApiKeys => self
                .keys
                .get(&identity.credential())
                .is_some_and(|key| key.client.name == client.name || key.client.unnamed && client.unnamed),
        }
    }

    /// The user of that name.
    pub(crate) fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// A user whose hash costs what a check of an unknown name should cost: which one depends on a keyed hash of the
    /// name, so that unknown names take as long as known ones do, in the same mixture of kinds.
    pub(crate) fn decoy(&self, name_hash: u64) -> Option<&Arc<User>> {
        let index = name_hash.checked_rem(self.users.all.len() as u64)?;
        self.users.all.get(index as usize)
    }

    /// The key with that SHA-256.
    ///
    /// The look-up doesn't take the same time whatever it finds, and that gives nothing away: what is compared is a
    /// hash of what the caller sent, which they can't steer towards a stored one, and the table's order is keyed.
    pub(crate) fn key(&self, key: &[u8]) -> Option<&ApiKey> {
        self.keys.get(&CredentialId::of(key))
    }
}

/// One configured means.
#[derive(Debug)]
struct Source {
    status: SourceStatus,
    clients: Vec<Arc<Client>>,
    /// Tells whether a reload found the same as before.
    fingerprint: Option<String>,
}

/// What came of reading a source.
struct Loaded {
    credentials: Option<ParsedCredentials>,
    error: Option<String>,
    digest: Option<String>,
    fingerprint: Option<String>,
}

impl Loaded {
    fn of(means: Means, source: &CredentialSource, digest_key: Option<&DigestKey>) -> Self {
        match read_entries(&source.path) {
            Ok(found) => Self::of_found(means, source, found, digest_key),
            Err(error) => Self {
                credentials: None,
                error: Some(error.to_string()),
                digest: None,
                fingerprint: None,
            },
        }
    }

    fn of_found(
        means: Means,
        source: &CredentialSource,
        found: Found,
        digest_key: Option<&DigestKey>,
    ) -> Self {
        let Found { mut entries, file } = found;
        let parsed = parse(means, file.as_deref().or(source.key.as_deref()), &entries);
        let digest = digest_key.map(|key| key.digest(&entries));
        let fingerprint = Some(fingerprint(&entries));
        entries.values_mut().for_each(Zeroize::zeroize);
        let (credentials, error) = match parsed {
            Ok(parsed) => (Some(parsed.credentials), None),
            Err(error) => (None, Some(format!("{}: {error}", source.path.display()))),
        };
        Self {
            credentials,
            error,
            digest,
            fingerprint,
        }
    }

    fn into_source(self, means: Means, clients: Vec<Arc<Client>>, previous: &CredentialSet) -> Source {
        let Self {
            credentials: _,
            error,
            digest,
            fingerprint,
        } = self;
        let unchanged = previous
            .source(means)
            .filter(|previous| previous.fingerprint == fingerprint && previous.status.error == error);
        let loaded_at = unchanged.map_or_else(Timestamp::now, |previous| previous.status.loaded_at);
        let status = SourceStatus {
            means,
            digest,
            clients: clients.len(),
            loaded_at,
            error,
        };
        Source {
            status,
            clients,
            fingerprint,
        }
    }
}

/// Compared in this process only, and never shown: it has no secret key.
fn fingerprint(entries: &Entries) -> String {
    DigestKey::new(&[0; DigestKey::MINIMUM_LENGTH])
        .map(|key| key.digest(entries))
        .unwrap_or_default()
}

/// An API key in force.
#[derive(Debug)]
pub(crate) struct ApiKey {
    pub(crate) credential: CredentialId,
    pub(crate) client: Arc<Client>,
}

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
        let client = Arc::new(Client {
            name: name.into(),
            means: Means::Basic,
            unnamed: false,
            last_used,
        });
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
            .is_some_and(|verified| verified.ct_eq(tag).into())
    }

    /// Remembers the credential, by its tag, that the hash was found to be of. There is but one password to a hash,
    /// so one place is enough, and no flood of others can push it out.
    pub(crate) fn remember(&self, tag: [u8; 32]) {
        self.verified.get_or_init(|| tag);
    }
}

/// The users in force: in a row for decoys, and by name.
#[derive(Debug, Default)]
struct Users {
    all: Vec<Arc<User>>,
    by_name: HashMap<Arc<str>, Arc<User>>,
}

impl Users {
    /// Takes over, with all that is known of them, users whose hash is the same as before.
    fn new(users: Vec<ParsedUser>, previous: &Self) -> Self {
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

    fn get(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }
}

#[cfg(test)]
mod tests;
