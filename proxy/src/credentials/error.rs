//! What can be wrong with credentials: where it stands and what would be right, never what stands there.

use jiff::Timestamp;

use crate::jwt::KeyProblem;

use super::{HIGHEST_BCRYPT_COST, LONGEST_KEY, LONGEST_NAME, MOST_SHA_CRYPT_ROUNDS, SHORTEST_KEY};

/// Why a source's entries let nobody in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is not a single entry.
    #[error("there is no entry; {expected} is needed")]
    NoEntries {
        /// What would be right.
        expected: String,
    },
    /// The entries don't include the one that holds the credentials.
    #[error("there is no {expected}, but {}", listed(found))]
    KeyNotFound {
        /// What would be right.
        expected: String,
        /// The names of the entries that there are.
        found: Vec<String>,
    },
    /// An entry without a single credential.
    #[error("entry `{entry}` holds no credential")]
    Empty {
        /// Its name.
        entry: String,
    },
    /// An entry whose name or content as a whole is wrong.
    #[error("entry `{entry}`: {problem}")]
    Entry {
        /// Its name.
        entry: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// Entries each of which is good, but not all of them together.
    #[error("{0}")]
    Together(Problem),
    /// A line that is malformed or refused.
    #[error("entry `{entry}`, line {line}: {problem}")]
    Line {
        /// The name of the entry.
        entry: String,
        /// The number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// Names of entries as a person reads them; a Secret can have very many.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut listed: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    if names.len() > SHOWN {
        listed.push(format!("{} more", names.len() - SHOWN));
    }
    listed.join(", ")
}

/// What is wrong with one line or entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Bytes that aren't text.
    #[error("not UTF-8; save it as UTF-8")]
    NotUtf8,
    /// A client's name that is no name.
    #[error("a name has 1 to {LONGEST_NAME} bytes, no control characters and no space at either end")]
    Name,
    /// An htpasswd line that isn't one.
    #[error("no colon; a line is NAME:HASH, as `htpasswd -nB NAME` prints it")]
    NoColon,
    /// A user without a hash.
    #[error("no hash after the colon; `htpasswd -nB NAME` prints a whole line")]
    NoHash,
    /// The same user twice: which line counts must not be left to chance.
    #[error("the same user as in line {first}; keep one of the two")]
    DuplicateUser {
        /// The line that names the user first.
        first: usize,
    },
    /// A kind of hash that is recognized and not accepted.
    #[error("{kind} is not accepted: {reason}; make the line anew with `htpasswd -nB NAME`")]
    RefusedHash {
        /// The kind.
        kind: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Something that is no known kind of hash.
    #[error("an unknown kind of hash; make the line with `htpasswd -nB NAME` (bcrypt)")]
    UnknownHash,
    /// A hash of a known kind that is damaged.
    #[error("a damaged {kind} hash: {expected}")]
    MalformedHash {
        /// The kind.
        kind: &'static str,
        /// What would be right.
        expected: &'static str,
    },
    /// A bcrypt cost that would keep a processor busy for too long, or is no cost.
    #[error("a bcrypt cost is 4 to {HIGHEST_BCRYPT_COST}; 10 to 12 suits most")]
    BcryptCost,
    /// A number of rounds that would keep a processor busy for too long, or is none.
    #[error("SHA-crypt rounds are 1000 to {MOST_SHA_CRYPT_ROUNDS}, written without leading zeros")]
    ShaCryptRounds,
    /// A user name that HTTP Basic can't carry.
    #[error("a user name can't have a colon (RFC 7617)")]
    NameWithColon,
    /// A password of a `kubernetes.io/basic-auth` Secret that no client can send.
    #[error("a password is one line without control characters, and not empty")]
    Password,
    /// A name without a key.
    #[error("no key after the colon; a line is KEY or NAME:KEY")]
    NoKey,
    /// A key too short to withstand guessing, or too long for a header.
    #[error("a key has {SHORTEST_KEY} to {LONGEST_KEY} characters; `openssl rand -hex 32` makes a good one")]
    KeyLength,
    /// A key that a header can't carry unambiguously.
    #[error("a key has only visible ASCII characters, and neither colon, comma nor space")]
    KeyCharacters,
    /// A `NAME:KEY` line where the entry's name is the client's.
    #[error(
        "a colon, but here each line is just a key of client `{client}`, the entry's name; \
         for a file of NAME:KEY lines set `key` to the entry's name"
    )]
    NameInsideEntry {
        /// The client that the entry names.
        client: String,
    },
    /// `sha256:` with something else behind it than a digest.
    #[error("`sha256:` is followed by the 64 hexadecimal digits that `printf %s KEY | sha256sum` prints")]
    KeyDigest,
    /// One key for two clients: whose it is must not be left to chance.
    #[error("the same key as that of client `{client}`; give each client its own")]
    KeyTaken {
        /// The client that has it already.
        client: String,
    },
    /// Something that is no public key.
    #[error(
        "not a public key; a line is `ssh-ed25519 BASE64 NAME`, as in the CLI's ~/.ollama/id_ed25519.pub"
    )]
    NoPublicKey,
    /// A public key of another kind.
    #[error("only keys of type ssh-ed25519 are accepted: the ollama CLI makes and uses no other")]
    KeyType,
    /// A public key with options before it.
    #[error(
        "options before the key are not accepted, for they would limit nothing here; begin with ssh-ed25519"
    )]
    KeyOptions,
    /// A public key of the right kind that is cut off or altered.
    #[error(
        "a damaged ssh-ed25519 key: it has 68 characters of base64, as in the CLI's ~/.ollama/id_ed25519.pub"
    )]
    DamagedPublicKey,
    /// A key by which tokens can't be checked.
    #[error(transparent)]
    TokenKey(#[from] KeyProblem),
    /// A block without an end, or not in base64.
    #[error("malformed PEM: a block has no end or isn't base64")]
    Pem,
    /// No authority at all.
    #[error("no certificate: it must be PEM with a block that begins with -----BEGIN CERTIFICATE-----")]
    NoAuthority,
    /// Something in PEM that is no certificate.
    #[error("certificate {number} can't be read: it must be the X.509 certificate of an authority")]
    Authority {
        /// Which of the file's certificates, from 1.
        number: usize,
    },
    /// An entry for revocation lists without one.
    #[error("no revocation list: it must be PEM with a block that begins with -----BEGIN X509 CRL-----")]
    NoRevocationList,
    /// Something in PEM that is no revocation list that can be used.
    #[error(
        "revocation list {number} can't be used: it must be a complete X.509 CRL (version 2) of one authority's own \
         certificates, with the time of the next update"
    )]
    RevocationList {
        /// Which of the entry's lists, from 1.
        number: usize,
    },
    /// Two lists of one authority: which of them counts must not be left to chance.
    #[error("revocation list {number} is the second of one authority: keep the current one")]
    RevocationListTwice {
        /// Which of the entry's lists, from 1.
        number: usize,
    },
    /// A revocation list whose time is over: what was revoked since nobody knows.
    #[error("a revocation list ended at {end}: put the authority's current one there")]
    RevocationListEnded {
        /// When the next one was due.
        end: Timestamp,
    },
    /// A name that an unnamed key has as well.
    #[error(
        "`{client}` is what the unnamed key in line {line} is called; choose another name or name that key"
    )]
    NameTaken {
        /// The name.
        client: String,
        /// The line of the unnamed key.
        line: usize,
    },
}
