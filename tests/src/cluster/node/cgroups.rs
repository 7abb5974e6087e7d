//! The control groups of a node's Pods, all under one named after the node.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const MOUNT: &str = "/sys/fs/cgroup";

/// The node's own group in every hierarchy; removed when dropped, with all groups in it.
pub(super) struct Cgroups {
    name: String,
}

impl Cgroups {
    pub(super) fn create(id: &str) -> Result<Self> {
        let name = name(id);
        for hierarchy in hierarchies()? {
            delegate(&hierarchy);
            let path = hierarchy.join(&name);
            fs::create_dir_all(&path)
                .with_context(|| format!("can't make the control group {}", path.display()))?;
            delegate(&path);
        }
        Ok(Self { name })
    }

    /// As the kubelet wants it.
    pub(super) fn root(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        // What stays behind is removed by the next run.
        let _ = remove_named(&self.name);
    }
}

/// Removes the groups of a node that is no more.
pub(in crate::cluster) fn remove(id: &str) -> Result<()> {
    if Path::new(MOUNT).exists() {
        remove_named(&name(id))
    } else {
        Ok(())
    }
}

fn name(id: &str) -> String {
    format!("corral-{id}")
}

/// With cgroup v2 the one hierarchy, with v1 one for each controller.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let root = PathBuf::from(MOUNT);
    if root.join("cgroup.procs").exists() {
        return Ok(vec![root]);
    }
    let mut hierarchies = Vec::new();
    for entry in fs::read_dir(&root).with_context(|| format!("can't read {MOUNT}"))? {
        let path = entry?.path();
        if !path.is_symlink() && path.join("cgroup.procs").exists() {
            hierarchies.push(path);
        }
    }
    Ok(hierarchies)
}

/// With cgroup v2 a group's children have only the controllers that it hands down. A controller that can't be is not
/// needed, or the kubelet says so.
fn delegate(group: &Path) {
    let control = group.join("cgroup.subtree_control");
    let controllers = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    for controller in controllers.split_whitespace() {
        let _ = fs::write(&control, format!("+{controller}"));
    }
}

/// A group is busy until the kernel has buried the last process in it: tries again for a while.
fn remove_named(name: &str) -> Result<()> {
    let start = Instant::now();
    for hierarchy in hierarchies()? {
        let path = hierarchy.join(name);
        while path.exists() {
            match remove_tree(&path) {
                Ok(()) => break,
                Err(error) if start.elapsed() > Duration::from_secs(10) => {
                    return Err(error)
                        .with_context(|| format!("can't remove the control group {}", path.display()));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
    Ok(())
}

/// The files of a group can't be removed; it goes by rmdir, children first.
fn remove_tree(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(path)
}
