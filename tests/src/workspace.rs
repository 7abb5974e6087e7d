//! The folder of something that runs, such as a cluster, and what is left of those whose owner was killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache;

/// A folder `clusters/<id>`, held by a lock that the kernel releases when the owner dies; removed when dropped.
#[derive(Debug)]
pub(crate) struct Workspace {
    path: PathBuf,
    _lock: File,
}

const LOCK: &str = "owner.lock";
const OWNER: &str = "owner.pid";

impl Workspace {
    /// Makes a new one, after removing what killed runs have left.
    pub(crate) fn create() -> Result<Self> {
        let clusters = cache::folder("clusters")?;
        // Held until the new folder has its own lock: until then it looks like a dead one.
        let _all = cache::lock(&clusters.join(".lock"))?;
        remove_abandoned(&clusters)?;
        let path = tempfile::Builder::new()
            .prefix("")
            .rand_bytes(6)
            .tempdir_in(&clusters)?
            .keep();
        let lock = cache::try_lock(&path.join(LOCK))?.context("a new folder is locked already")?;
        fs::write(path.join(OWNER), std::process::id().to_string())?;
        fs::create_dir(path.join("log"))?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A short name that no other has.
    pub(crate) fn id(&self) -> String {
        id(&self.path)
    }

    /// The folder of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("log")
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // What stays behind is removed by the next run.
        let _ = remove(&self.path);
    }
}

/// Removes what killed runs have left and answers with the names.
///
/// # Errors
/// When something can't be removed.
pub fn sweep() -> Result<Vec<String>> {
    let clusters = cache::folder("clusters")?;
    let _all = cache::lock(&clusters.join(".lock"))?;
    remove_abandoned(&clusters)
}

fn remove_abandoned(clusters: &Path) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(clusters)? {
        let path = entry?.path();
        if !path.is_dir() || cache::try_lock(&path.join(LOCK))?.is_none() {
            continue;
        }
        crate::cluster::remove_remains(&id(&path))?;
        remove(&path)?;
        removed.push(id(&path));
    }
    Ok(removed)
}

fn id(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A cluster that somebody holds.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its name.
    pub id: String,
    /// The process that holds it and ends it in order when told by SIGTERM or SIGINT.
    pub owner: i32,
    /// Its kubeconfig.
    pub kubeconfig: PathBuf,
}

/// Every cluster that somebody holds.
///
/// # Errors
/// When the cache can't be read.
pub fn running() -> Result<Vec<Running>> {
    let mut running = Vec::new();
    for entry in fs::read_dir(cache::folder("clusters")?)? {
        let path = entry?.path();
        let is_cluster = path.join("kubeconfig").exists();
        if !is_cluster || cache::try_lock(&path.join(LOCK))?.is_some() {
            continue;
        }
        let owner = fs::read_to_string(path.join(OWNER))?
            .parse()
            .context("not a process number")?;
        running.push(Running {
            id: id(&path),
            owner,
            kubeconfig: path.join("kubeconfig"),
        });
    }
    Ok(running)
}

/// Processes that are just being killed may still write: tries again for a while.
fn remove(path: &Path) -> Result<()> {
    let start = Instant::now();
    loop {
        match fs::remove_dir_all(path) {
            Ok(()) => return Ok(()),
            Err(_) if !path.exists() => return Ok(()),
            Err(error) if start.elapsed() > Duration::from_secs(5) => {
                bail!("can't remove {}: {error}", path.display())
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
