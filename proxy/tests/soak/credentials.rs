//! Who may come in, at each moment: credentials come and go, and between a file's edit and the status that says that it
//! is in force neither answer would be wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use crate::certificate;

/// What the issuer of all tokens is called.
pub(crate) const ISSUER: &str = "https://idp.example";
/// For whom its tokens are.
pub(crate) const AUDIENCE: &str = "ollama";
/// How many clients there are by each means: the numbers of clients that are only named stay for a day, and are to be as
/// many early on as at the end.
const CLIENTS: u64 = 40;
/// From here on no credential was ever in force.
pub(crate) const MADE_UP: u64 = 1 << 40;

/// How a client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Means {
    Key,
    Password,
    Signature,
    /// Each by a key of its own, which its issuer takes back.
    Token,
    /// Each of an authority of its own, which is trusted no more.
    Certificate,
    /// Not at all: the configuration has it that they may come in, or not.
    Nothing,
}

/// The means of which each has a file, by which its credentials come and go.
pub(crate) const ROTATED: [Means; 5] = [
    Means::Key,
    Means::Password,
    Means::Signature,
    Means::Token,
    Means::Certificate,
];
/// The means that a request shows itself, and not its connection.
pub(crate) const SHOWN: [Means; 5] = [
    Means::Key,
    Means::Password,
    Means::Signature,
    Means::Token,
    Means::Nothing,
];

impl Means {
    /// The name that the proxy's status has for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Key => "apiKeys",
            Self::Password => "basic",
            Self::Signature => "ollamaKeys",
            Self::Token => "jwt",
            Self::Certificate => "clientCertificates",
            Self::Nothing => "anonymous",
        }
    }

    /// The whole file of these credentials.
    pub(crate) fn file(self, credentials: &[Credential]) -> String {
        let entries: Vec<_> = credentials.iter().map(|credential| credential.entry()).collect();
        if self == Self::Token {
            return format!("{{\"keys\": [{}]}}\n", entries.join(","));
        }
        entries.join("\n") + "\n"
    }

    /// What is counted when a client comes in by it.
    pub(crate) const fn let_in(self) -> &'static str {
        match self {
            Self::Key => "let in by a key",
            Self::Password => "let in by a password",
            Self::Signature => "let in by a signature",
            Self::Token => "let in by a token",
            Self::Certificate => "let in by a certificate",
            Self::Nothing => "let in without a credential",
        }
    }
}

/// A credential, of which there is never another like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Credential {
    pub(crate) means: Means,
    pub(crate) number: u64,
}

/// What all have in common who come without one.
pub(crate) const NONE: Credential = Credential {
    means: Means::Nothing,
    number: 0,
};

impl Credential {
    /// Its own name, which is also that of the client who has it from a file.
    pub(crate) fn name(self) -> String {
        format!("{:?}-{}", self.means, self.number).to_ascii_lowercase()
    }

    /// The client who is named by it, as others are that come later.
    pub(crate) fn client(self) -> String {
        format!("{:?}-{}", self.means, self.number % CLIENTS).to_ascii_lowercase()
    }

    fn secret(self) -> String {
        format!("sk-soak-{}-0123456789", self.number)
    }

    pub(crate) fn pair(self) -> Ed25519KeyPair {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.number.to_le_bytes());
        Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 bytes are a seed")
    }

    fn public_key(self) -> String {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend(self.pair().public_key().as_ref());
        STANDARD.encode(blob)
    }

    fn token(self) -> String {
        let header = json!({"alg": "EdDSA", "kid": self.name()});
        // Once a minute, or the proxy's memory of tokens, which is bounded, would fill for half an hour.
        let issued = now() / 60 * 60;
        let ends = issued + 600;
        let claims =
            json!({"iss": ISSUER, "aud": AUDIENCE, "sub": self.client(), "iat": issued, "exp": ends});
        let part = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair().sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Its entry in the file of its means.
    fn entry(self) -> String {
        let name = self.name();
        match self.means {
            Means::Key => format!("{name}:{}", self.secret()),
            Means::Password => {
                let hash = bcrypt::hash_with_salt(self.secret(), 4, [7; 16]).expect("a short password");
                format!("{name}:{hash}")
            }
            Means::Signature => format!("ssh-ed25519 {} {name}", self.public_key()),
            Means::Token => {
                let x = URL_SAFE_NO_PAD.encode(self.pair().public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": x}).to_string()
            }
            Means::Certificate => certificate::authority(self).pem,
            Means::Nothing => String::new(),
        }
    }

    /// The target of a request and the header that shows it, if one does; `way` chooses among those that say the same.
    pub(crate) fn shown(
        self,
        method: &str,
        path: &str,
        way: u64,
    ) -> (String, Option<(&'static str, String)>) {
        let header = match self.means {
            Means::Key => bearer(way, self.secret()),
            Means::Token => bearer(way, self.token()),
            Means::Password => {
                let token = STANDARD.encode(format!("{}:{}", self.name(), self.secret()));
                ("authorization", format!("Basic {token}"))
            }
            Means::Signature => {
                let target = format!("{path}?ts={}", now());
                let signature = self.pair().sign(format!("{method},{target}").as_bytes());
                let value = format!("{}:{}", self.public_key(), STANDARD.encode(signature));
                return (target, Some(("authorization", value)));
            }
            Means::Certificate | Means::Nothing => return (path.to_owned(), None),
        };
        (path.to_owned(), Some(header))
    }
}

/// A header that holds such a secret.
fn bearer(way: u64, secret: String) -> (&'static str, String) {
    match way % 3 {
        0 => ("x-api-key", secret),
        1 => ("x-ollama-token", secret),
        _ => ("authorization", format!("Bearer {secret}")),
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// What a credential is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its file is being edited: either answer is right.
    Changing,
    /// Since then.
    InForce(Instant),
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
        self.those(means, |standing| !matches!(standing, Standing::Revoked(_)))
    }

    /// Those of a means that are revoked, the newest last.
    pub(crate) fn revoked(&self, means: Means) -> Vec<Credential> {
        self.those(means, |standing| matches!(standing, Standing::Revoked(_)))
    }

    fn those(&self, means: Means, which: impl Fn(&Standing) -> bool) -> Vec<Credential> {
        let ledger = self.lock();
        let those = ledger
            .iter()
            .filter(|(credential, standing)| credential.means == means && which(standing));
        those.map(|(credential, _)| *credential).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Credential, Standing>> {
        self.0.lock().expect("no thread panics")
    }
}
