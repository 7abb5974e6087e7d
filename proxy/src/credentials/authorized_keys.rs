//! Public keys of the stock `ollama` CLI, in the format of `authorized_keys` (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
//!
//! Only ed25519: the CLI makes and uses no other kind (ollama/cmd/cmd.go, `initializeKeypair`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::lines::lines;
use super::owners::{Owners, ParsedKey, client_of};
use super::{CredentialError, Problem};
use crate::digest::Entries;

const KEY_TYPE: &str = "ssh-ed25519";

/// What stands before an ed25519 key in its binary form: the type and the key's length (RFC 8709, section 4).
const BLOB_PREFIX: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

/// Length of a key in base64.
pub(crate) const ENCODED_LENGTH: usize = (BLOB_PREFIX.len() + 32).div_ceil(3) * 4;

/// What a key without a comment is called, with its line's number behind it.
const UNNAMED: &str = "ollama-key";

/// The keys of a file: each line's comment is the name of its client.
pub(super) fn parse_key_file(entry: &str, content: &[u8]) -> Result<Vec<ParsedKey>, CredentialError> {
    let mut owners = Owners::default();
    for line in lines(entry, content)? {
        let added = parse_line(line.text).and_then(|(key, comment)| {
            if comment.is_empty() {
                owners.add_unnamed(UNNAMED, line.number, key)
            } else {
                owners.add_named(comment, line.number, key)
            }
        });
        added.map_err(|problem| line.error(entry, problem))?;
    }
    owners.of_file(entry)
}

/// The keys of a Secret: each entry's name is a client, each line of its value one of that client's keys, whatever
/// its comment says.
pub(super) fn parse_key_entries(entries: &Entries) -> Result<Vec<ParsedKey>, CredentialError> {
    let mut owners = Owners::default();
    for (entry, content) in entries {
        let client = client_of(entry)?;
        for line in lines(entry, content)? {
            parse_line(line.text)
                .and_then(|(key, _)| owners.add_of_entry(&client, key))
                .map_err(|problem| line.error(entry, problem))?;
        }
    }
    Ok(owners.of_entries())
}

/// The key and the comment of a line.
fn parse_line(line: &str) -> Result<([u8; 32], &str), Problem> {
    let (kind, rest) = split_word(line);
    if kind != KEY_TYPE {
        return Err(refusal(kind, rest));
    }
    let (encoded, comment) = split_word(rest);
    let key = decode_key(encoded.as_bytes()).ok_or(Problem::DamagedPublicKey)?;
    Ok((key, comment))
}

fn split_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_ascii_start()),
        None => (text, ""),
    }
}

/// Why a line that begins with something else than the type is refused.
fn refusal(first: &str, rest: &str) -> Problem {
    let other_type = ["ssh-", "ecdsa-sha2-", "sk-"]
        .iter()
        .any(|prefix| first.starts_with(prefix));
    if other_type {
        Problem::KeyType
    } else if rest.split([' ', '\t']).any(|word| word == KEY_TYPE) {
        Problem::KeyOptions
    } else {
        Problem::NoPublicKey
    }
}

/// A key as files and the CLI have it: the base64 of its binary form (RFC 8709, section 4).
pub(crate) fn decode_key(encoded: &[u8]) -> Option<[u8; 32]> {
    if encoded.len() != ENCODED_LENGTH {
        return None;
    }
    let blob = STANDARD.decode(encoded).ok()?;
    blob.strip_prefix(BLOB_PREFIX)?.try_into().ok()
}
