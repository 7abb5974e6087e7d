//! Who may come in: from files to the snapshot that requests are checked against.
//!
//! [`entries`] reads a file or a mounted Secret, [`parse`] turns entries into credentials without any I/O (the
//! operator calls it on the data of a Secret to say what is wrong with it), and [`CredentialSet`] holds what is in
//! force. A source that can't be read or parsed lets nobody in and says why: half a file never counts.

mod api_keys;
mod apr1;
mod authorities;
mod authorized_keys;
mod client;
pub mod entries;
mod error;
mod hash;
mod htpasswd;
mod known;
mod lines;
mod means;
mod name;
mod owners;
mod parse;
mod set;

pub use api_keys::{LONGEST_KEY, SHORTEST_KEY};
pub use error::{CredentialError, Problem};
pub use hash::{HIGHEST_BCRYPT_COST, LONGEST_BCRYPT_PASSWORD, MOST_SHA_CRYPT_ROUNDS};
pub use means::{CredentialKind, Means};
pub use name::LONGEST_NAME;
pub use parse::{Parsed, parse};
pub use set::CredentialSet;

pub(crate) use authorities::{Authorities, Certificates};
pub(crate) use authorized_keys::{ENCODED_LENGTH, decode_key};
pub(crate) use client::{Client, CredentialId, OTHERS};
pub(crate) use known::KnownClients;
pub(crate) use name::check_name;
pub(crate) use set::{Key, User};
