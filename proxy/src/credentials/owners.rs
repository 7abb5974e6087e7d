//! Keys and whose they are, collected line by line so that none has two owners.

use std::collections::HashMap;
use std::sync::Arc;

use super::name::check_name;
use super::{CredentialError, Problem};

/// A key as a source has it.
pub(super) struct ParsedKey {
    pub(super) client: Arc<str>,
    /// The source gives no name: it is made from the line's number.
    pub(super) unnamed: bool,
    /// What tells it from all others: the SHA-256 of an API key, an SSH key itself.
    pub(super) id: [u8; 32],
}

/// The keys so far.
#[derive(Default)]
pub(super) struct Owners {
    keys: Vec<ParsedKey>,
    by_id: HashMap<[u8; 32], usize>,
    unnamed_lines: HashMap<Arc<str>, usize>,
    named_lines: HashMap<Arc<str>, usize>,
}

impl Owners {
    /// A key whose client the entry is named after.
    pub(super) fn add_of_entry(&mut self, client: &Arc<str>, id: [u8; 32]) -> Result<(), Problem> {
        self.add(Arc::clone(client), false, id)
    }

    /// A key whose line names its client.
    pub(super) fn add_named(&mut self, name: &str, line: usize, id: [u8; 32]) -> Result<(), Problem> {
        check_name(name)?;
        let client: Arc<str> = name.into();
        self.named_lines.entry(Arc::clone(&client)).or_insert(line);
        self.add(client, false, id)
    }

    /// A key whose line names nobody: its client is called `PREFIX-LINE`.
    pub(super) fn add_unnamed(&mut self, prefix: &str, line: usize, id: [u8; 32]) -> Result<(), Problem> {
        let client: Arc<str> = format!("{prefix}-{line}").into();
        self.unnamed_lines.insert(Arc::clone(&client), line);
        self.add(client, true, id)
    }

    /// The same key again does no harm as long as it is the same client's, or nobody's by name.
    fn add(&mut self, client: Arc<str>, unnamed: bool, id: [u8; 32]) -> Result<(), Problem> {
        if let Some(owner) = self.by_id.get(&id).and_then(|index| self.keys.get(*index)) {
            let harmless = owner.client == client || owner.unnamed && unnamed;
            return if harmless {
                Ok(())
            } else {
                Err(Problem::KeyTaken {
                    client: owner.client.to_string(),
                })
            };
        }
        self.by_id.insert(id, self.keys.len());
        self.keys.push(ParsedKey { client, unnamed, id });
        Ok(())
    }

    /// All keys of a file. Nobody gets the rights of a named client by an unnamed key that happens to stand in a
    /// certain line.
    pub(super) fn of_file(self, entry: &str) -> Result<Vec<ParsedKey>, CredentialError> {
        let taken = self.named_lines.iter().find_map(|(name, line)| {
            self.unnamed_lines
                .get(name)
                .map(|unnamed_line| (name, *line, *unnamed_line))
        });
        match taken {
            None => Ok(self.keys),
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

    /// All keys of a Secret whose entries are clients.
    pub(super) fn of_entries(self) -> Vec<ParsedKey> {
        self.keys
    }
}

/// The client that an entry is named after.
pub(super) fn client_of(entry: &str) -> Result<Arc<str>, CredentialError> {
    check_name(entry)
        .map(|()| entry.into())
        .map_err(|problem| CredentialError::Entry {
            entry: entry.to_owned(),
            problem,
        })
}
