//! Reads a credential file, or the directory as which Kubernetes mounts a Secret.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use crate::digest::Entries;

/// Most bytes that a source may have; a Secret can't have more than one MiB.
pub const MOST_BYTES: u64 = 16 << 20;

/// Most entries that a source may have.
pub const MOST_ENTRIES: usize = 10_000;

/// The symlink by which the kubelet swaps all files of a mounted Secret at once.
const DATA_LINK: &str = "..data";

/// How often a mount that is swapped while it is being read is read anew.
const ATTEMPTS: usize = 5;

/// What stands under a path.
#[derive(Debug)]
pub struct Found {
    /// Every file: one, or those of the directory. Equal to the data of the Secret that is mounted there.
    pub entries: Entries,
    /// The name of the only entry, when the path is a file.
    pub file: Option<String>,
}

/// Why a path can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system says no.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A pipe, a device or a socket.
    #[error("{} is neither a file nor a directory", .0.display())]
    NotAFile(PathBuf),
    /// A name that can't be that of an entry.
    #[error("a file name in {} is not UTF-8", .0.display())]
    Name(PathBuf),
    /// More bytes than a credential file can sensibly have.
    #[error("{} has more than {} MiB", .0.display(), MOST_BYTES >> 20)]
    TooLarge(PathBuf),
    /// More files than a directory of credentials can sensibly have.
    #[error("{} has more than {MOST_ENTRIES} files", .0.display())]
    TooMany(PathBuf),
    /// Swapped again and again.
    #[error("{} was swapped {ATTEMPTS} times while it was being read", .0.display())]
    Unsettled(PathBuf),
}

/// Reads a file as one entry under its file name, or each file of a directory as an entry.
///
/// Of a directory, names that begin with `..` are left out (they are the kubelet's) and so is what is no file. Where
/// it has a `..data`, that is resolved once and all is read beneath it, so that a swap isn't read half old, half new.
/// Blocks.
///
/// # Errors
/// When something can't be read or is larger than a Secret could be.
pub fn read_entries(path: &Path) -> Result<Found, ReadError> {
    let metadata = fs::metadata(path).map_err(io_error(path))?;
    if metadata.is_dir() {
        return Ok(Found {
            entries: read_directory(path)?,
            file: None,
        });
    }
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(|| ReadError::Name(path.into()))?;
    let content = read_file(path, MOST_BYTES)?;
    Ok(Found {
        entries: [(name.to_owned(), content)].into(),
        file: Some(name.to_owned()),
    })
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ReadError {
    move |source| ReadError::Io {
        path: path.into(),
        source,
    }
}

fn read_directory(path: &Path) -> Result<Entries, ReadError> {
    for _ in 0..ATTEMPTS {
        let Some(data) = data_link(path)? else {
            return read_files(path);
        };
        let entries = read_files(&path.join(&data));
        // The kubelet removes the old directory only after the swap: what was read is whole if there was none.
        if data_link(path)? == Some(data) {
            return entries;
        }
    }
    Err(ReadError::Unsettled(path.into()))
}

/// What `..data` says, in a directory that has one. The link only: to follow it to its end takes several steps, and
/// one that fails because the directory is gone by then must not look as if there were no link.
fn data_link(path: &Path) -> Result<Option<PathBuf>, ReadError> {
    let link = path.join(DATA_LINK);
    match fs::read_link(&link) {
        Ok(target) => Ok(Some(target)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(io_error(&link)(error)),
    }
}

fn read_files(directory: &Path) -> Result<Entries, ReadError> {
    let mut entries = Entries::new();
    let mut bytes_left = MOST_BYTES;
    for file in fs::read_dir(directory).map_err(io_error(directory))? {
        let file = file.map_err(io_error(directory))?;
        let name = file
            .file_name()
            .into_string()
            .map_err(|_| ReadError::Name(directory.into()))?;
        let path = file.path();
        if name.starts_with("..") || !fs::metadata(&path).map_err(io_error(&path))?.is_file() {
            continue;
        }
        let content = read_file(&path, bytes_left)?;
        bytes_left -= content.len() as u64;
        entries.insert(name, content);
        if entries.len() > MOST_ENTRIES {
            return Err(ReadError::TooMany(directory.into()));
        }
    }
    Ok(entries)
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    // Asked before it is opened: opening a pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(io_error(path))?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile(path.into()));
    }
    if metadata.len() > most {
        return Err(ReadError::TooLarge(path.into()));
    }
    // Room for all of it at once, so that no part of it is left behind by a growing buffer.
    let mut content = Vec::with_capacity(metadata.len() as usize + 1);
    let file = fs::File::open(path).map_err(io_error(path))?;
    file.take(most + 1)
        .read_to_end(&mut content)
        .map_err(io_error(path))?;
    if content.len() as u64 > most {
        return Err(ReadError::TooLarge(path.into()));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        pairs
            .iter()
            .map(|(name, content)| ((*name).into(), content.as_bytes().to_vec()))
            .collect()
    }

    /// Lays a Secret out as the kubelet does, in place of the one that is there.
    fn mount(directory: &Path, version: usize, files: &[(&str, &str)]) {
        let data = format!("..data_{version}");
        fs::create_dir(directory.join(&data)).unwrap();
        for (name, content) in files {
            fs::write(directory.join(&data).join(name), content).unwrap();
            let _ = symlink(Path::new(DATA_LINK).join(name), directory.join(name));
        }
        let before = fs::read_link(directory.join(DATA_LINK));
        symlink(&data, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join(DATA_LINK)).unwrap();
        if let Ok(before) = before {
            fs::remove_dir_all(directory.join(before)).unwrap();
        }
    }

    #[test]
    fn a_file_is_one_entry() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("users");
        fs::write(&path, "alice").unwrap();
        let found = read_entries(&path).unwrap();
        assert_eq!(
            (found.entries, found.file.as_deref()),
            (entries(&[("users", "alice")]), Some("users"))
        );
    }

    #[test]
    fn a_mounted_secret_is_its_data() {
        let directory = tempfile::tempdir().unwrap();
        mount(directory.path(), 1, &[("auth", "a"), (".htpasswd", "b")]);
        let found = read_entries(directory.path()).unwrap();
        assert_eq!(
            (found.entries, found.file),
            (entries(&[("auth", "a"), (".htpasswd", "b")]), None)
        );
    }

    #[test]
    fn in_a_plain_directory_only_files_count() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("alice"), "key").unwrap();
        fs::write(directory.path().join("..hidden"), "key").unwrap();
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        assert_eq!(
            read_entries(directory.path()).unwrap().entries,
            entries(&[("alice", "key")])
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let large = directory.path().join("large");
        fs::File::create(&large).unwrap().set_len(MOST_BYTES + 1).unwrap();
        let dangling = directory.path().join("dangling");
        symlink("nowhere", &dangling).unwrap();
        let cases: &[(&Path, &str)] = &[
            (&directory.path().join("absent"), "absent: No such file"),
            (&dangling, "dangling: No such file"),
            (&large, "large has more than 16 MiB"),
            (
                Path::new("/dev/null"),
                "/dev/null is neither a file nor a directory",
            ),
        ];
        for (path, expected) in cases {
            let message = read_entries(path).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn a_swap_is_never_read_half_old_half_new() {
        let directory = tempfile::tempdir().unwrap();
        mount(directory.path(), 0, &[("a", "0"), ("b", "0"), ("c", "0")]);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for version in 1..=300 {
                    let content = version.to_string();
                    mount(
                        directory.path(),
                        version,
                        &[("a", &content), ("b", &content), ("c", &content)],
                    );
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                // Swapped faster than it can be read: refused, which is not half of two.
                let Ok(found) = read_entries(directory.path()) else {
                    continue;
                };
                assert_eq!(found.entries.len(), 3, "a part only");
                assert!(
                    found
                        .entries
                        .values()
                        .all(|content| Some(content) == found.entries.get("a")),
                    "a mixture"
                );
            }
        });
        assert_eq!(read_entries(directory.path()).unwrap().entries["c"], b"300");
    }
}
