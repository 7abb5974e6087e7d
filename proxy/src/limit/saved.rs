//! The tokens of the day, in a file, so that a restart doesn't begin the day anew.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What clients have used of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Saved {
    /// The day, by UTC.
    pub date: Date,
    /// Tokens by client; whoever isn't here has used none.
    pub tokens: BTreeMap<String, u64>,
}

/// Where it is saved.
#[derive(Clone, Debug)]
pub struct SavedFile(PathBuf);

/// Nobody knows what clients have used.
#[derive(Debug, Error)]
pub enum SavedError {
    /// The file is there and can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is damaged.
    #[error("{}: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
}

impl SavedFile {
    /// The file's name in its directory.
    const NAME: &str = "tokens-of-the-day.json";

    /// The file in this directory.
    pub fn in_directory(directory: &Path) -> Self {
        Self(directory.join(Self::NAME))
    }

    /// Reads it; none where nothing was saved.
    ///
    /// # Errors
    /// It can't be read, or isn't what was written.
    pub fn read(&self) -> Result<Option<Saved>, SavedError> {
        let Self(path) = self;
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| SavedError::Unreadable {
                path: path.clone(),
                source,
            })?,
        };
        let saved = serde_json::from_slice(&bytes).map_err(|source| SavedError::Damaged {
            path: path.clone(),
            source,
        })?;
        Ok(Some(saved))
    }

    /// Writes it as a whole: whatever happens meanwhile, what is read later is the old or the new.
    ///
    /// # Errors
    /// The directory isn't there, or can't be written.
    pub fn write(&self, saved: &Saved) -> io::Result<()> {
        let Self(path) = self;
        let next = path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(saved)?)?;
        file.sync_all()?;
        fs::rename(&next, path)
    }
}

impl fmt::Display for SavedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        Saved {
            date: "2026-11-25".parse().unwrap(),
            tokens: [("a \"b\"".to_owned(), 7)].into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = SavedFile::in_directory(directory.path());
        assert_eq!(file.read().unwrap(), None);
        for tokens in [7, 8] {
            let saved = Saved {
                tokens: [("a".to_owned(), tokens)].into(),
                ..saved()
            };
            file.write(&saved).unwrap();
            assert_eq!(file.read().unwrap(), Some(saved));
        }
        assert_eq!(
            fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing is left over"
        );
    }

    #[test]
    fn what_is_damaged_is_told_from_what_is_missing() {
        let whole = serde_json::to_string(&saved()).unwrap();
        let cut = &whole[..whole.len() - 1];
        let cases = [
            "",
            "{}",
            "\0\0\0\0",
            cut,
            &whole.replace('7', "-7"),
            &whole.replace("tokens", "token"),
        ];
        let directory = tempfile::tempdir().unwrap();
        let file = SavedFile::in_directory(directory.path());
        for content in cases {
            fs::write(&file.0, content).unwrap();
            assert!(
                matches!(file.read(), Err(SavedError::Damaged { .. })),
                "{content}"
            );
        }
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let file = SavedFile::in_directory(directory.path());
        file.write(&saved()).unwrap();
        fs::create_dir(file.0.with_extension("next")).unwrap();
        assert!(
            file.write(&Saved {
                tokens: BTreeMap::new(),
                ..saved()
            })
            .is_err()
        );
        assert_eq!(file.read().unwrap(), Some(saved()));
    }
}
