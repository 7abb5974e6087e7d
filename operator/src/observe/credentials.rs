//! The Secrets with the credentials: what they hold, as digests and counts. Their content is never kept.

use corral_proxy::config::{JwtAlgorithm, paths};
use corral_proxy::credentials::{CredentialKind, parse};
use corral_proxy::digest::{DigestKey, Entries};
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, GetParams};

use super::config_maps::Held;
use super::read_secret::ReadSecret;
use super::remembered::Remembered;
use super::{CertificateState, Place, RegistryKeyState};
use crate::crd::SecretKeyRef;
use crate::memory::Key;
use crate::plan::{Plan, Source, credentials_name, digest_key_name};

/// The state of a Secret that an OllamaService takes credentials from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// The operator may not touch Secrets.
    Unread,
    /// There is none of that name. Its mount is empty then, and so is what a proxy reports.
    Missing {
        /// Digest of no entries at all; none without a digest key.
        digest: Option<String>,
    },
    /// What it holds.
    Found(Content),
}

impl SecretState {
    /// What a proxy reports that has the Secret's newest content in force.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Unread => None,
            Self::Missing { digest } | Self::Found(Content { digest, .. }) => digest.as_deref(),
        }
    }

    /// Which version was read.
    pub fn resource_version(&self) -> Option<&str> {
        match self {
            Self::Unread | Self::Missing { .. } => None,
            Self::Found(content) => Some(&content.resource_version),
        }
    }
}

/// What a Secret holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Which version of it.
    pub resource_version: String,
    /// [`DigestKey::digest`] of its entries; none without a digest key.
    pub digest: Option<String>,
    /// How many clients it lets in, or what is wrong with it.
    pub clients: Result<usize, String>,
}

/// What Secrets and ConfigMaps held when they were last read, so that one that hasn't changed is not read again.
#[derive(Debug, Default)]
pub struct Readings {
    contents: Remembered<Reading, Content>,
    keys: Remembered<(String, String), (String, DigestKey)>,
    /// By namespace and OllamaService, the Secret's name and what was found.
    pub(super) certificates: Remembered<(String, String), (String, CertificateState)>,
    /// By namespace and OllamaService, the entry and what was found.
    pub(super) registry_keys: Remembered<(String, String), (SecretKeyRef, RegistryKeyState)>,
    /// By namespace and name of the Secret.
    pub(super) at_hand: Remembered<Key, ReadSecret>,
    /// By namespace and name of the ConfigMap.
    pub(super) config_maps: Remembered<(String, String), Held>,
}

/// What a content depends on, beside the version of the Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reading {
    namespace: String,
    service: String,
    source: (String, CredentialKind, Option<String>),
    algorithms: Vec<JwtAlgorithm>,
    digest_key: Option<String>,
}

impl Readings {
    /// Forgets what was read for an OllamaService that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let key_name = digest_key_name(name);
        self.contents
            .forget(|reading| reading.namespace == namespace && reading.service == name);
        self.keys
            .forget(|(of, secret)| of == namespace && *secret == key_name);
        self.certificates
            .forget(|(of, service)| of == namespace && service == name);
        self.registry_keys
            .forget(|(of, service)| of == namespace && service == name);
        let made = [key_name, credentials_name(name)];
        self.at_hand
            .forget(|(of, secret)| of == namespace && made.contains(secret));
    }
}

/// The state of each source's Secret, and what is wrong with the one that holds the key of the digests.
pub(super) async fn secrets(
    place: Place<'_>,
    plan: &Plan,
) -> Result<(Vec<SecretState>, Option<String>), kube::Error> {
    if place.stores.secrets.is_none() {
        return Ok((vec![SecretState::Unread; plan.sources.len()], None));
    }
    let (key, wrong) = match digest_key(place).await? {
        None => (None, None),
        Some(Ok(key)) => (Some(key), None),
        Some(Err(wrong)) => (None, Some(wrong)),
    };
    let mut states = Vec::new();
    for source in &plan.sources {
        states.push(secret(place, source, key.as_ref()).await?);
    }
    Ok((states, wrong))
}

/// The key of the digests and the version of its Secret; or what is wrong with that.
type FoundKey = Result<(String, DigestKey), String>;

async fn digest_key(place: Place<'_>) -> Result<Option<FoundKey>, kube::Error> {
    let name = digest_key_name(place.name);
    let index = (place.namespace.to_owned(), name.clone());
    if let Some(known) = place.readings.keys.get(&index)
        && place.version_in_store(&name).as_deref() == Some(&known.0)
    {
        return Ok(Some(Ok(known)));
    }
    let Some(secret) = place.read_generated(&name).await? else {
        return Ok(None);
    };
    let content = secret.entries.get(paths::DIGEST_KEY_FILE);
    let Some(key) = content.and_then(|key| DigestKey::new(key)) else {
        return Ok(Some(Err(not_a_key(&name))));
    };
    let read = (secret.resource_version, key);
    place.readings.keys.insert(index, read.clone());
    Ok(Some(Ok(read)))
}

fn not_a_key(secret: &str) -> String {
    format!(
        "Secret {secret}: entry `{}` must have at least {} bytes, and what replicas have in force can't be compared without; \
         delete the Secret, and the operator makes another",
        paths::DIGEST_KEY_FILE,
        DigestKey::MINIMUM_LENGTH
    )
}

async fn secret(
    place: Place<'_>,
    source: &Source,
    key: Option<&(String, DigestKey)>,
) -> Result<SecretState, kube::Error> {
    let reading = Reading {
        namespace: place.namespace.to_owned(),
        service: place.name.to_owned(),
        source: (source.secret.clone(), source.kind, source.key.clone()),
        algorithms: source.algorithms().to_vec(),
        digest_key: key.map(|(version, _)| version.clone()),
    };
    if let Some(known) = place.readings.contents.get(&reading)
        && place.version_in_store(&source.secret).as_deref() == Some(&known.resource_version)
    {
        return Ok(SecretState::Found(known));
    }
    let digest = |entries: &Entries| key.map(|(_, key)| key.digest(entries));
    let read = if source.generated {
        place.read_generated(&source.secret).await?
    } else {
        place.read(&source.secret).await?
    };
    let Some(ReadSecret {
        resource_version,
        entries,
    }) = read
    else {
        return Ok(SecretState::Missing {
            digest: digest(&Entries::new()),
        });
    };
    let parsed = parse(source.kind, source.key.as_deref(), &entries)
        .and_then(|parsed| parsed.check_algorithms(source.algorithms()).map(|()| parsed));
    let content = Content {
        resource_version,
        digest: digest(&entries),
        clients: parsed
            .map(|parsed| parsed.clients().len())
            .map_err(|error| error.to_string()),
    };
    place.readings.contents.insert(reading, content.clone());
    Ok(SecretState::Found(content))
}

impl Place<'_> {
    pub(super) fn version_in_store(&self, secret: &str) -> Option<String> {
        self.secret_in_store(secret)?.version().map(str::to_owned)
    }

    /// A Secret as it is now, or at least as new as the watch knows it: that spares the API server the way to its database.
    pub(super) async fn read(&self, secret: &str) -> Result<Option<ReadSecret>, kube::Error> {
        let api = Api::<Secret>::namespaced(self.client.clone(), self.namespace);
        let Some(version) = self.version_in_store(secret) else {
            return Ok(api.get_opt(secret).await?.map(ReadSecret::from));
        };
        let at_hand = self
            .readings
            .at_hand
            .take(&(self.namespace.to_owned(), secret.to_owned()));
        if let Some(at_hand) = at_hand
            && at_hand.resource_version == version
        {
            return Ok(Some(at_hand));
        }
        match api.get_with(secret, &GetParams::at(&version)).await {
            Ok(secret) => Ok(Some(secret.into())),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            // Another API server than the watch's, and behind it.
            Err(kube::Error::Api(status)) if status.code == StatusCode::GATEWAY_TIMEOUT.as_u16() => {
                Ok(api.get_opt(secret).await?.map(ReadSecret::from))
            }
            Err(error) => Err(error),
        }
    }

    /// The same of a Secret that the operator makes itself: until the watch has seen it, it isn't there.
    async fn read_generated(&self, secret: &str) -> Result<Option<ReadSecret>, kube::Error> {
        match self.version_in_store(secret) {
            Some(_) => self.read(secret).await,
            None => Ok(None),
        }
    }
}
