//! Who may come in, at each moment: credentials come and go, and between a file's edit and the status that names it
//! neither answer would be wrong.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The means, of which each has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Means {
    Key,
    Password,
    Signature,
}

pub(crate) const MEANS: [Means; 3] = [Means::Key, Means::Password, Means::Signature];

impl Means {
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Password => "users",
            Self::Signature => "authorized_keys",
        }
    }
}

/// A credential, of which there is never another like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Credential {
    pub(crate) means: Means,
    pub(crate) number: u64,
}

impl Credential {
    /// The client's name.
    pub(crate) fn name(self) -> String {
        format!("{:?}-{}", self.means, self.number).to_ascii_lowercase()
    }

    fn secret(self) -> String {
        format!("sk-soak-{}-0123456789", self.number)
    }

    fn pair(self) -> Ed25519KeyPair {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.number.to_le_bytes());
        Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed")
    }

    fn public_key(self) -> String {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend(self.pair().public_key().as_ref());
        STANDARD.encode(blob)
    }

    /// Its line in the file of its means.
    fn line(self) -> String {
        let name = self.name();
        match self.means {
            Means::Key => format!("{name}:{}", self.secret()),
            Means::Password => {
                let hash = bcrypt::hash_with_salt(self.secret(), 4, [7; 16]).expect("a short password");
                format!("{name}:{hash}")
            }
            Means::Signature => format!("ssh-ed25519 {} {name}", self.public_key()),
        }
    }

    /// The target and the header that show it; `way` chooses among those that say the same.
    pub(crate) fn shown(self, method: &str, path: &str, way: u64) -> (String, &'static str, String) {
        let secret = self.secret();
        match (self.means, way % 3) {
            (Means::Key, 0) => (path.to_owned(), "x-api-key", secret),
            (Means::Key, 1) => (path.to_owned(), "x-ollama-token", secret),
            (Means::Key, _) => (path.to_owned(), "authorization", format!("Bearer {secret}")),
            (Means::Password, _) => {
                let token = STANDARD.encode(format!("{}:{secret}", self.name()));
                (path.to_owned(), "authorization", format!("Basic {token}"))
            }
            (Means::Signature, _) => {
                let seconds = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |time| time.as_secs());
                let target = format!("{path}?ts={seconds}");
                let signature = self.pair().sign(format!("{method},{target}").as_bytes());
                let value = format!("{}:{}", self.public_key(), STANDARD.encode(signature));
                (target, "authorization", value)
            }
        }
    }
}

/// What a credential is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its file is being edited: either answer is right.
    Changing,
    InForce,
    /// Since then.
    Revoked(Instant),
}

/// The standing of every credential that ever was.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<Credential, Standing>>>);

impl Ledger {
    pub(crate) fn put(&self, credential: Credential, standing: Standing) {
        self.lock().insert(credential, standing);
    }

    /// One that never was in force is revoked from the beginning.
    pub(crate) fn standing(&self, credential: Credential, beginning: Instant) -> Standing {
        let standing = self.lock().get(&credential).copied();
        standing.unwrap_or(Standing::Revoked(beginning))
    }

    /// Those of a means that are not revoked, in order.
    pub(crate) fn current(&self, means: Means) -> Vec<Credential> {
        self.those(|credential, standing| {
            credential.means == means && !matches!(standing, Standing::Revoked(_))
        })
    }

    /// Those of any means that are revoked, the newest last.
    pub(crate) fn revoked(&self) -> Vec<Credential> {
        self.those(|_, standing| matches!(standing, Standing::Revoked(_)))
    }

    fn those(&self, which: impl Fn(&Credential, &Standing) -> bool) -> Vec<Credential> {
        let ledger = self.lock();
        let those = ledger
            .iter()
            .filter(|(credential, standing)| which(credential, standing));
        those.map(|(credential, _)| *credential).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Credential, Standing>> {
        self.0.lock().expect("no thread panics")
    }
}

/// A whole file.
pub(crate) fn file(credentials: &[Credential]) -> String {
    credentials.iter().fold(String::new(), |mut file, credential| {
        writeln!(file, "{}", credential.line()).expect("writing to a string");
        file
    })
}
