//! API keys, from a file with one a line or a Secret with an entry for each client.
//!
//! Only SHA-256 digests are kept. A key is made by a machine and long, so that a fast hash is enough.

use std::collections::HashMap;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::lines::{Line, lines};
use super::parse::check_name;
use super::{CredentialError, Problem};
use crate::digest::Entries;

/// Fewest characters of a key that stands there itself. A guess costs a caller nothing but a request.
pub const SHORTEST_KEY: usize = 8;

/// Most characters of a key.
pub const LONGEST_KEY: usize = 1024;

/// A key as a file has it.
pub(super) struct ParsedKey {
    pub(super) client: Arc<str>,
    /// The file gives no name: it is made from the line's number.
    pub(super) unnamed: bool,
    /// SHA-256 of the key.
    pub(super) digest: [u8; 32],
}

/// The keys of a file: `KEY` or `NAME:KEY` a line, where KEY is the key itself or `sha256:HEX`.
pub(super) fn parse_key_file(entry: &str, content: &[u8]) -> Result<Vec<ParsedKey>, CredentialError> {
    let mut keys = Collected::default();
    for line in lines(entry, content)? {
        keys.add_file_line(&line)
            .map_err(|problem| line.error(entry, problem))?;
    }
    keys.check_names(entry)?;
    Ok(keys.keys)
}

/// The keys of a Secret: each entry's name is a client, each line of its value one of that client's keys.
pub(super) fn parse_key_entries(entries: &Entries) -> Result<Vec<ParsedKey>, CredentialError> {
    let mut keys = Collected::default();
    for (entry, content) in entries {
        check_name(entry).map_err(|problem| CredentialError::Entry {
            entry: entry.clone(),
            problem,
        })?;
        let client: Arc<str> = entry.as_str().into();
        for line in lines(entry, content)? {
            keys.add_entry_line(&client, &line)
                .map_err(|problem| line.error(entry, problem))?;
        }
    }
    Ok(keys.keys)
}

/// The keys so far, with what is needed to see that none has two owners.
#[derive(Default)]
struct Collected {
    keys: Vec<ParsedKey>,
    owners: HashMap<[u8; 32], usize>,
    unnamed_lines: HashMap<Arc<str>, usize>,
    named_lines: HashMap<Arc<str>, usize>,
}

impl Collected {
    fn add_file_line(&mut self, line: &Line<'_>) -> Result<(), Problem> {
        match line.text.split_once(':') {
            Some((name, key)) if name != "sha256" => {
                self.add_named(name.trim_ascii_end(), key.trim_ascii_start(), line.number)
            }
            _ => {
                let client: Arc<str> = format!("key-{}", line.number).into();
                self.unnamed_lines.insert(Arc::clone(&client), line.number);
                self.add(client, true, digest_of(line.text)?)
            }
        }
    }

    fn add_named(&mut self, name: &str, key: &str, line: usize) -> Result<(), Problem> {
        check_name(name)?;
        if key.is_empty() {
            return Err(Problem::NoKey);
        }
        let client: Arc<str> = name.into();
        self.named_lines.entry(Arc::clone(&client)).or_insert(line);
        self.add(client, false, digest_of(key)?)
    }

    fn add_entry_line(&mut self, client: &Arc<str>, line: &Line<'_>) -> Result<(), Problem> {
        if line.text.contains(':') && !line.text.starts_with("sha256:") {
            return Err(Problem::NameInsideEntry {
                client: client.to_string(),
            });
        }
        self.add(Arc::clone(client), false, digest_of(line.text)?)
    }

    /// The same key again does no harm as long as it is the same client's, or nobody's by name.
    fn add(&mut self, client: Arc<str>, unnamed: bool, digest: [u8; 32]) -> Result<(), Problem> {
        if let Some(owner) = self.owners.get(&digest).and_then(|index| self.keys.get(*index)) {
            let harmless = owner.client == client || owner.unnamed && unnamed;
            return if harmless {
                Ok(())
            } else {
                Err(Problem::KeyTaken {
                    client: owner.client.to_string(),
                })
            };
        }
        self.owners.insert(digest, self.keys.len());
        self.keys.push(ParsedKey {
            client,
            unnamed,
            digest,
        });
        Ok(())
    }

    /// Nobody gets the rights of a named client by an unnamed key that happens to stand in a certain line.
    fn check_names(&self, entry: &str) -> Result<(), CredentialError> {
        let taken = self.named_lines.iter().find_map(|(name, line)| {
            self.unnamed_lines
                .get(name)
                .map(|unnamed_line| (name, *line, *unnamed_line))
        });
        match taken {
            None => Ok(()),
            Some((name, line, unnamed_line)) => Err(CredentialError::Line {
                entry: entry.to_owned(),
                line,
                problem: Problem::NameTaken {
                    client: name.to_string(),
                    line: unnamed_line,
                },
            }),
        }
    }
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
