//! Where the harness keeps what is expensive to make: `${XDG_CACHE_HOME:-~/.cache}/corral`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of that name in the cache, made if need be.
///
/// # Errors
/// Without a home directory, or when the folder can't be made.
pub fn folder(name: &str) -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(path) if Path::new(&path).is_absolute() => PathBuf::from(path),
        _ => std::env::home_dir()
            .context("neither XDG_CACHE_HOME nor HOME says where to cache")?
            .join(".cache"),
    };
    let path = base.join("corral").join(name);
    fs::create_dir_all(&path).with_context(|| format!("can't make the folder {}", path.display()))?;
    Ok(path)
}

/// Waits for the lock of that file and holds it until the answer is dropped or the process ends.
///
/// # Errors
/// When the file can't be opened or locked.
pub fn lock(path: &Path) -> Result<File> {
    let file = open_lock(path)?;
    file.lock()
        .with_context(|| format!("can't lock {}", path.display()))?;
    Ok(file)
}

/// Takes the lock if nobody has it.
///
/// # Errors
/// When the file can't be opened.
pub fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = open_lock(path)?;
    Ok(file.try_lock().is_ok().then_some(file))
}

fn open_lock(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("can't open {}", path.display()))
}
