//! API keys, from a file with one a line or a Secret with an entry for each client.
//!
//! Only SHA-256 digests are kept. A key is made by a machine and long, so that a fast hash is enough.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::lines::{Line, lines};
use super::name::check_name;
use super::owners::{Owners, ParsedKey, client_of};
use super::{CredentialError, Problem};
use crate::digest::Entries;

/// Fewest characters of a key that stands there itself. A guess costs a caller nothing but a request.
pub const SHORTEST_KEY: usize = 8;

/// Most characters of a key.
pub const LONGEST_KEY: usize = 1024;

/// What a key without a name is called, with its line's number behind it.
const UNNAMED: &str = "key";

/// The keys of a file: `KEY` or `NAME:KEY` a line, where KEY is the key itself or `sha256:HEX`.
pub(super) fn parse_key_file(entry: &str, content: &[u8]) -> Result<Vec<ParsedKey>, CredentialError> {
    let mut owners = Owners::default();
    for line in lines(entry, content)? {
        add_file_line(&mut owners, &line).map_err(|problem| line.error(entry, problem))?;
    }
    owners.of_file(entry)
}

fn add_file_line(owners: &mut Owners, line: &Line<'_>) -> Result<(), Problem> {
    match line.text.split_once(':') {
        Some((name, key)) if name != "sha256" => {
            let (name, key) = (name.trim_ascii_end(), key.trim_ascii_start());
            check_name(name)?;
            if key.is_empty() {
                return Err(Problem::NoKey);
            }
            owners.add_named(name, line.number, digest_of(key)?)
        }
        _ => owners.add_unnamed(UNNAMED, line.number, digest_of(line.text)?),
    }
}

/// The keys of a Secret: each entry's name is a client, each line of its value one of that client's keys.
pub(super) fn parse_key_entries(entries: &Entries) -> Result<Vec<ParsedKey>, CredentialError> {
    let mut owners = Owners::default();
    for (entry, content) in entries {
        let client = client_of(entry)?;
        for line in lines(entry, content)? {
            add_entry_line(&mut owners, &client, &line).map_err(|problem| line.error(entry, problem))?;
        }
    }
    Ok(owners.of_entries())
}

fn add_entry_line(owners: &mut Owners, client: &Arc<str>, line: &Line<'_>) -> Result<(), Problem> {
    if line.text.contains(':') && !line.text.starts_with("sha256:") {
        return Err(Problem::NameInsideEntry {
            client: client.to_string(),
        });
    }
    owners.add_of_entry(client, digest_of(line.text)?)
}

/// The SHA-256 of a key that stands there itself or as `sha256:HEX`.
fn digest_of(key: &str) -> Result<[u8; 32], Problem> {
    if let Some(digits) = key.strip_prefix("sha256:") {
        let mut digest = [0; 32];
        return hex::decode_to_slice(digits, &mut digest)
            .map(|()| digest)
            .map_err(|_| Problem::KeyDigest);
    }
    if !key
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b":,".contains(&byte))
    {
        return Err(Problem::KeyCharacters);
    }
    if !(SHORTEST_KEY..=LONGEST_KEY).contains(&key.len()) {
        return Err(Problem::KeyLength);
    }
    Ok(Sha256::digest(key).into())
}
