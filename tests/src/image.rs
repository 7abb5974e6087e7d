//! Container images without a container engine: archives as `docker save` writes them.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::{cache, command};

/// An image of one layer.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Registry, repository and tag.
    pub reference: String,
    /// What is in it.
    pub files: Vec<Entry>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// The arguments unless others are given.
    pub command: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// The user and group; root when empty.
    pub user: String,
}

/// A thing in an image.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A file of this machine, with its permissions.
    File {
        /// Where it lies in the image, without the leading `/`.
        path: String,
        /// Where it lies here.
        source: PathBuf,
    },
    /// A symbolic link.
    Link {
        /// Where it lies in the image, without the leading `/`.
        path: String,
        /// Where it points.
        target: String,
    },
    /// A folder that everyone may write to, like /tmp.
    Scratch {
        /// Where it lies in the image, without the leading `/`.
        path: String,
    },
}

impl Entry {
    /// A file.
    pub fn file(path: &str, source: impl Into<PathBuf>) -> Self {
        Self::File {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// A symbolic link.
    pub fn link(path: &str, target: &str) -> Self {
        Self::Link {
            path: path.to_owned(),
            target: target.to_owned(),
        }
    }

    /// A program with the loader and the libraries that it is linked with.
    ///
    /// # Errors
    /// When `ldd` doesn't understand it.
    pub fn program(path: &str, source: &Path) -> Result<Vec<Self>> {
        let mut entries = vec![Self::file(path, source)];
        let listing = command::output(Command::new("ldd").arg(source))?;
        for word in listing.split_whitespace().filter(|word| word.starts_with('/')) {
            entries.push(Self::file(word.trim_start_matches('/'), word));
        }
        Ok(entries)
    }
}

impl Image {
    /// Writes the archive into the cache and answers with its path.
    ///
    /// # Errors
    /// When a file can't be read or written.
    pub fn write(&self) -> Result<PathBuf> {
        let layer = self.layer()?;
        let layer_digest = hex::encode(Sha256::digest(&layer));
        let config = serde_json::to_vec(&self.config(&layer_digest))?;
        let config_digest = hex::encode(Sha256::digest(&config));
        let manifest = json!([{
            "Config": format!("{config_digest}.json"),
            "RepoTags": [self.reference],
            "Layers": [format!("{layer_digest}.tar")],
        }]);
        let path = cache::folder("images")?.join(format!("{}.tar", self.reference.replace(['/', ':'], "_")));
        let mut file = tempfile::NamedTempFile::new_in(path.parent().context("the cache has a parent")?)?;
        let mut archive = Builder::new(&mut file);
        append(&mut archive, &format!("{layer_digest}.tar"), 0o644, &layer)?;
        append(&mut archive, &format!("{config_digest}.json"), 0o644, &config)?;
        append(
            &mut archive,
            "manifest.json",
            0o644,
            &serde_json::to_vec(&manifest)?,
        )?;
        archive.finish()?;
        drop(archive);
        file.flush()?;
        file.persist(&path)?;
        Ok(path)
    }

    fn config(&self, layer_digest: &str) -> serde_json::Value {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        json!({
            "architecture": architecture,
            "os": "linux",
            "config": {
                "Entrypoint": self.entrypoint,
                "Cmd": self.command,
                "Env": self.environment,
                "User": self.user,
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_digest}")]},
        })
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut layer = Builder::new(Vec::new());
        for entry in &self.files {
            match entry {
                Entry::File { path, source } => {
                    let content =
                        fs::read(source).with_context(|| format!("can't read {}", source.display()))?;
                    let mode = File::open(source)?.metadata()?.permissions().mode() & 0o777;
                    append(&mut layer, path, mode | 0o444, &content)?;
                }
                Entry::Link { path, target } => {
                    layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
                }
                Entry::Scratch { path } => {
                    layer.append_data(&mut header(EntryType::Directory, 0o1777, 0), path, &[][..])?;
                }
            }
        }
        Ok(layer.into_inner()?)
    }
}

fn append<W: Write>(archive: &mut Builder<W>, path: &str, mode: u32, content: &[u8]) -> Result<()> {
    archive.append_data(
        &mut header(EntryType::Regular, mode, content.len() as u64),
        path,
        content,
    )?;
    Ok(())
}

/// Owned by root and without a time, so that equal content makes an equal image.
fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header
}
