//! Bugs that are planted in the operator to see whether the campaign finds them: each is a patch of the operator's source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// A bug, as the head of its patch describes it.
#[derive(Clone, Debug)]
pub struct Bug {
    /// The name of the patch's file.
    pub name: String,
    /// What goes wrong.
    pub what: String,
    /// The number of the oracle that is to see it.
    pub oracle: String,
    /// What is in the names of the cases that are to find it.
    pub case: String,
    patch: PathBuf,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every bug that there is, by name.
///
/// # Errors
/// When a patch can't be read, or its head doesn't say all.
pub fn bugs() -> Result<Vec<Bug>> {
    let folder = repository().join("tests/tests/campaign/bugs");
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        patches.push(entry?.path());
    }
    patches.sort();
    patches.into_iter().map(Bug::read).collect()
}

impl Bug {
    fn read(patch: PathBuf) -> Result<Self> {
        let text = fs::read_to_string(&patch).with_context(|| patch.display().to_string())?;
        let (head, _) = text.split_once("\n--- ").unwrap_or_default();
        let said = |what: &str| {
            let lines = head.lines().filter_map(|line| line.strip_prefix(what));
            let value = lines.filter_map(|rest| rest.strip_prefix(": ")).next();
            let missing = || format!("{}: its head has no line `{what}: …`", patch.display());
            value.map(str::to_owned).with_context(missing)
        };
        let name = patch.file_stem().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            what: said("what")?,
            oracle: said("oracle")?,
            case: said("case")?,
            patch,
        })
    }

    /// `git apply` of its patch in a folder, which needs no repository: none above it is to be asked.
    fn apply(&self, folder: &Path, option: Option<&str>) -> Result<()> {
        let mut git = Command::new("git");
        git.env("GIT_CEILING_DIRECTORIES", folder.parent().unwrap_or(folder))
            .current_dir(folder)
            .arg("apply")
            .args(option)
            .arg(&self.patch);
        command::output(&mut git)
            .map(drop)
            .with_context(|| format!("the patch of {} has to follow the operator", self.name))
    }
}

/// A copy of the checkout in which bugs are planted, one at a time. It has a target folder of its own, so that no operator
/// with a bug is ever taken for the one of this workspace.
#[derive(Debug)]
pub struct Garden {
    source: PathBuf,
    target: PathBuf,
}

impl Garden {
    /// Copies the checkout into that folder, in place of an earlier copy.
    ///
    /// # Errors
    /// When this is no checkout, or a file can't be copied.
    pub fn lay_out(folder: &Path) -> Result<Self> {
        let garden = Self {
            source: folder.join("source"),
            target: folder.join("target"),
        };
        if garden.source.exists() {
            fs::remove_dir_all(&garden.source)?;
        }
        let repository = repository();
        let mut git = Command::new("git");
        git.current_dir(&repository)
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        // Those that were deleted and are known to git all the same are left out.
        let files = command::output(&mut git)?;
        let files = files.split_terminator('\0');
        for file in files.filter(|file| repository.join(file).is_file()) {
            let to = garden.source.join(file);
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            // Cargo goes by times, and a copy is newer than what was built from the copy before.
            fs::copy(repository.join(file), &to).with_context(|| to.display().to_string())?;
        }
        Ok(garden)
    }

    /// Compiles the operator with that bug, and answers with its binary, which is the caller's to delete.
    ///
    /// # Errors
    /// When the patch doesn't apply, or what comes of it can't be compiled.
    pub fn plant(&self, bug: &Bug) -> Result<PathBuf> {
        bug.apply(&self.source, None)?;
        let built = self.build();
        bug.apply(&self.source, Some("--reverse"))?;
        let operator = self.target.join(format!("operator-that-{}", bug.name));
        fs::copy(built?, &operator)?;
        Ok(operator)
    }

    fn build(&self) -> Result<PathBuf> {
        let mut cargo = command::cargo_build(&self.source.join("Cargo.toml"));
        cargo
            .arg("--target-dir")
            .arg(&self.target)
            // Nobody looks for them in a debugger.
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        command::binary("corral-operator", &mut cargo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_can_be_planted() {
        let bugs = bugs().unwrap();
        assert!(bugs.len() >= 10, "{} bugs", bugs.len());
        let source = repository().canonicalize().unwrap();
        for bug in bugs {
            bug.apply(&source, Some("--check")).unwrap();
        }
    }

    #[test]
    fn a_patch_whose_head_does_not_say_all_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let patch = folder.path().join("a-bug.patch");
        fs::write(&patch, "what: It fails.\ncase: reference/scale\n\n--- a/file\n").unwrap();
        let error = Bug::read(patch).unwrap_err().to_string();
        assert!(
            error.ends_with("a-bug.patch: its head has no line `oracle: …`"),
            "{error}"
        );
    }

    #[test]
    fn a_patch_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let patch = folder.path().join("a-bug.patch");
        let hunk = "--- a/file\n+++ b/file\n@@ -1 +1 @@\n-as it was once\n+wrong\n";
        fs::write(&patch, format!("what: a\noracle: 9\ncase: b\n\n{hunk}")).unwrap();
        fs::write(folder.path().join("file"), "as it is now\n").unwrap();
        let bug = Bug::read(patch).unwrap();
        let error = bug.apply(folder.path(), Some("--check")).unwrap_err();
        assert_eq!(error.to_string(), "the patch of a-bug has to follow the operator");
    }
}
