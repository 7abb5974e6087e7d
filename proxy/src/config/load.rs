//! From files and flags to a configuration that can work.

use std::path::{Path, PathBuf};
use std::{fs, io};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::flags::Flags;
use super::validate::{Invalid, validate};
use super::{Config, paths};
use crate::digest::DigestKey;

/// A configuration that can work, and what it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// SHA-256 of the configuration file, in hexadecimal; none without a file.
    pub digest: Option<String>,
    /// The key of the digests in `/status`; none without [`Config::digest_key_file`], or while it can't be read.
    pub digest_key: Option<DigestKey>,
}

/// Why there is no configuration. The messages name file, line and field.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file can't be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file isn't YAML, or not of the configuration's shape.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_yaml::Error,
    },
    /// Nothing stands in the file: perhaps it is just being written.
    #[error("{}: is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A field of the configuration can't work.
    #[error("{}{source}", file_prefix(path.as_deref()))]
    Invalid {
        /// The file, if there is one.
        path: Option<PathBuf>,
        /// The field.
        source: Invalid,
    },
}

fn file_prefix(path: Option<&Path>) -> String {
    path.map(|path| format!("{}: ", path.display()))
        .unwrap_or_default()
}

impl Flags {
    /// Reads the configuration file, if there is one, lays the flags over it and checks the whole.
    ///
    /// # Errors
    /// The first file, line or field that is wrong.
    pub fn load(&self) -> Result<Loaded, LoadError> {
        let (file, digest) = match &self.config {
            Some(path) => read_file(path).map(|(config, digest)| (config, Some(digest)))?,
            None => (Config::default(), None),
        };
        let config = self.apply(file);
        validate(&config).map_err(|source| LoadError::Invalid {
            path: self.config.clone(),
            source,
        })?;
        let digest_key = config.digest_key_file.as_deref().and_then(read_digest_key);
        Ok(Loaded {
            config,
            digest,
            digest_key,
        })
    }
}

fn read_file(path: &Path) -> Result<(Config, String), LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    if bytes.trim_ascii().is_empty() {
        return Err(LoadError::Empty {
            path: path.to_owned(),
        });
    }
    let config = serde_yaml::from_slice(&bytes).map_err(|source| LoadError::Malformed {
        path: path.to_owned(),
        source,
    })?;
    Ok((config, hex::encode(Sha256::digest(&bytes))))
}

/// Without its key the proxy guards as well, only `/status` has no digests: the operator then can't see that a
/// rotation is done, and says so. A path that names a directory means the entry that the operator puts there.
fn read_digest_key(path: &Path) -> Option<DigestKey> {
    let path = if path.is_dir() {
        path.join(paths::DIGEST_KEY_FILE)
    } else {
        path.to_owned()
    };
    let key = fs::read(&path)
        .map_err(|error| error.to_string())
        .and_then(|bytes| {
            DigestKey::new(&bytes)
                .ok_or_else(|| format!("must have at least {} bytes", DigestKey::MINIMUM_LENGTH))
        });
    key.inspect_err(|error| tracing::warn!(path = %path.display(), error, "/status has no digests"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(content: &str) -> Result<Loaded, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("proxy.yaml");
        fs::write(&path, content).unwrap();
        let flags = Flags {
            config: Some(path),
            ..Flags::default()
        };
        flags.load().map_err(|error| error.to_string())
    }

    #[test]
    fn a_wrong_file_is_named_with_line_and_field() {
        let keys = "credentials: {apiKeys: {path: keys}}\n";
        let cases = [
            (
                "an unknown field",
                format!("{keys}acess: []\n"),
                vec!["acess", "line 2"],
            ),
            (
                "a nested unknown field",
                format!("{keys}network: {{allowed: []}}\n"),
                vec!["network", "allowed"],
            ),
            (
                "a wrong type",
                format!("{keys}threads: many\n"),
                vec!["threads", "line 2"],
            ),
            (
                "zero threads",
                format!("{keys}threads: 0\n"),
                vec!["threads", "line 2"],
            ),
            (
                "a wrong network",
                format!("{keys}network:\n  allowedCIDRs: [ten]\n"),
                vec!["allowedCIDRs", "line 3"],
            ),
            (
                "a wrong class",
                format!("{keys}access:\n- clients: [a]\n  allow: [Admin]\n"),
                vec!["allow", "Admin"],
            ),
            ("not YAML", "access: [".to_owned(), vec!["line 2"]),
            ("nothing", " \n".to_owned(), vec!["is empty"]),
            (
                "no credentials",
                "listen: 127.0.0.1:1\n".to_owned(),
                vec!["credentials: none are configured"],
            ),
        ];
        for (name, content, expected) in cases {
            let error = load(&content).expect_err(name);
            for part in expected {
                assert!(error.contains(part), "{name}: {error}");
            }
        }
    }

    #[test]
    fn a_digest_key_that_is_missing_or_short_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let short = directory.path().join("short");
        let long = directory.path().join(paths::DIGEST_KEY_FILE);
        fs::write(&short, [0; 15]).unwrap();
        fs::write(&long, [0; 32]).unwrap();
        let cases = [
            ("missing", directory.path().join("missing"), false),
            ("short", short, false),
            ("a file", long, true),
            ("its directory", directory.path().to_owned(), true),
        ];
        for (name, path, found) in cases {
            assert_eq!(read_digest_key(&path).is_some(), found, "{name}");
        }
    }

    #[test]
    fn a_good_file_is_read_and_digested() {
        let content = "listen: 127.0.0.1:81\ncredentials: {apiKeys: {path: keys}}\n";
        let loaded = load(content).unwrap();
        assert_eq!(loaded.config.listen.port(), 81);
        assert_eq!(loaded.digest, Some(hex::encode(Sha256::digest(content))));
    }
}
