//! Notices edits: at once where the system tells, by looking where it doesn't.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// How long it must be quiet after an edit: editors and the kubelet make several steps of one.
const QUIET: Duration = Duration::from_millis(20);
/// How long quiet is waited for.
const LONGEST_UNREST: Duration = Duration::from_millis(60);
/// How often to look. The system tells nothing of network file systems, of what a symbolic link leads to elsewhere,
/// and of events that it had no room for.
const LOOK: Duration = Duration::from_secs(2);

/// Watches files, and directories with all that stands in them.
pub(super) struct Watch {
    paths: Arc<RwLock<Vec<PathBuf>>>,
    changed: Arc<Notify>,
    /// None where the system has no watches left.
    watcher: Option<RecommendedWatcher>,
    seen: Vec<Fingerprint>,
}

/// What tells an edited file from the one before, without reading it.
#[derive(Debug, PartialEq, Eq)]
struct Fingerprint {
    path: PathBuf,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    pub(super) fn new() -> Self {
        let paths = Arc::new(RwLock::new(Vec::new()));
        let changed = Arc::new(Notify::new());
        let watcher = watcher(Arc::clone(&paths), Arc::clone(&changed))
            .inspect_err(|error| tracing::warn!(%error, "edits are noticed only every 2 s"))
            .ok();
        Self {
            paths,
            changed,
            watcher,
            seen: Vec::new(),
        }
    }

    /// Watches these paths, as they are now and from now on. To be called before they are read.
    pub(super) fn observe(&mut self, paths: &[PathBuf]) {
        // The system tells of absolute paths.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let paths: Vec<_> = paths.iter().map(absolute).collect();
        self.seen = fingerprints(&paths);
        *self.paths.write().unwrap_or_else(PoisonError::into_inner) = paths;
        self.watch_directories();
    }

    /// Waits for an edit.
    pub(super) async fn change(&mut self) {
        while timeout(LOOK, self.changed.notified()).await.is_err() {
            self.watch_directories();
            if self.looks_changed() {
                return;
            }
        }
        let deadline = Instant::now() + LONGEST_UNREST;
        while Instant::now() < deadline && timeout(QUIET, self.changed.notified()).await.is_ok() {}
    }

    fn looks_changed(&self) -> bool {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        fingerprints(&paths) != self.seen
    }

    /// Again and again: a directory may have been made, or made anew, since.
    fn watch_directories(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        for directory in paths
            .iter()
            .map(|path| directory_of(path))
            .collect::<BTreeSet<_>>()
        {
            if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, directory = %directory.display(), "edits are noticed only every 2 s");
            }
        }
    }
}

fn watcher(paths: Arc<RwLock<Vec<PathBuf>>>, changed: Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        let paths = paths.read().unwrap_or_else(PoisonError::into_inner);
        // An error may mean that events were lost.
        if event.map_or(true, |event| is_edit(&event, &paths)) {
            changed.notify_one();
        }
    })
}

/// A file is replaced by renaming as often as it is written, so its directory is watched.
fn directory_of(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    path.parent().unwrap_or(path)
}

/// Whether an event is of one of the paths. Reading them makes events too, which must not count.
fn is_edit(event: &Event, paths: &[PathBuf]) -> bool {
    let only_read =
        matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write));
    if only_read {
        return false;
    }
    event.need_rescan()
        || event
            .paths
            .iter()
            .any(|edited| paths.iter().any(|path| concerns(edited, path)))
}

/// Kubernetes changes a mounted Secret or ConfigMap by renaming `..data`, which the files in it are links into
/// (kubernetes/pkg/volume/util/atomic_writer.go).
fn concerns(edited: &Path, path: &Path) -> bool {
    edited.starts_with(path) || edited.file_name().is_some_and(|name| name == "..data")
}

fn fingerprints(paths: &[PathBuf]) -> Vec<Fingerprint> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(fingerprint(path));
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        found.extend(entries.filter_map(|entry| fingerprint(&entry.path())));
    }
    found.sort_unstable_by(|left, right| left.path.cmp(&right.path));
    found
}

fn fingerprint(path: &Path) -> Option<Fingerprint> {
    let metadata: Metadata = fs::metadata(path).ok()?;
    Some(Fingerprint {
        path: path.to_owned(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
        changed: (metadata.ctime(), metadata.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Far longer than what must come takes, on a busy machine too.
    const SOON: Duration = Duration::from_secs(30);
    /// How long to wait for what must not come.
    const MOMENT: Duration = Duration::from_millis(200);

    type Edit = fn(&Path);

    fn write(path: &Path, content: &str) {
        fs::write(path, content).unwrap();
    }

    fn mount(directory: &Path, version: &str) {
        let data = directory.join(format!("..{version}"));
        fs::create_dir(&data).unwrap();
        write(&data.join("auth"), version);
        symlink(&data, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    }

    /// `file` and the mounted Secret `mount` are watched.
    fn prepare(directory: &Path) -> Vec<PathBuf> {
        write(&directory.join("file"), "1");
        fs::create_dir(directory.join("mount")).unwrap();
        mount(&directory.join("mount"), "1");
        symlink("..data/auth", directory.join("mount/auth")).unwrap();
        vec![directory.join("file"), directory.join("mount")]
    }

    /// Whether the system tells of an edit, before anybody looks.
    async fn is_told(watch: &Watch, limit: Duration) -> bool {
        timeout(limit, watch.changed.notified()).await.is_ok()
    }

    #[tokio::test]
    async fn the_system_tells_of_each_way_of_editing() {
        let cases: &[(&str, Edit, bool)] = &[
            (
                "written in place",
                |directory| write(&directory.join("file"), "2"),
                true,
            ),
            (
                "renamed over",
                |directory| {
                    write(&directory.join("other"), "2");
                    fs::rename(directory.join("other"), directory.join("file")).unwrap();
                },
                true,
            ),
            (
                "removed",
                |directory| fs::remove_file(directory.join("file")).unwrap(),
                true,
            ),
            (
                "a mount swapped",
                |directory| mount(&directory.join("mount"), "2"),
                true,
            ),
            (
                "an entry added",
                |directory| write(&directory.join("mount/new"), "x"),
                true,
            ),
            (
                "another file beside it",
                |directory| write(&directory.join("neighbour"), "x"),
                false,
            ),
            (
                "read",
                |directory| drop(fs::read(directory.join("file")).unwrap()),
                false,
            ),
        ];
        for (name, edit, noticed) in cases {
            let directory = tempfile::tempdir().unwrap();
            let paths = prepare(directory.path());
            let mut watch = Watch::new();
            watch.observe(&paths);
            edit(directory.path());
            let limit = if *noticed { SOON } else { MOMENT };
            assert_eq!(is_told(&watch, limit).await, *noticed, "{name}");
        }
    }

    #[tokio::test]
    async fn edits_are_noticed_without_the_systems_help() {
        let directory = tempfile::tempdir().unwrap();
        let paths = prepare(directory.path());
        let mut watch = Watch {
            watcher: None,
            ..Watch::new()
        };
        watch.observe(&paths);
        write(&directory.path().join("file"), "22");
        assert!(timeout(SOON, watch.change()).await.is_ok());
    }

    #[tokio::test]
    async fn a_path_that_is_missing_at_first_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("later");
        let mut watch = Watch::new();
        watch.observe(std::slice::from_ref(&path));
        write(&path, "1");
        assert!(is_told(&watch, SOON).await);
        // What is told is a change, once it is quiet.
        write(&path, "2");
        assert!(timeout(SOON, watch.change()).await.is_ok());
    }
}
