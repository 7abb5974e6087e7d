//! A folder with the JavaScript client libraries that people use, of pinned versions, in the cache.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::tools::debian;
use crate::{cache, command, progress};

const PACKAGE: &str = include_str!("../node/package.json");
const LOCK: &str = include_str!("../node/package-lock.json");

/// A folder that has `tests/node/package.json` installed.
fn folder() -> Result<PathBuf> {
    let cache = cache::folder("node")?;
    let folder = cache.join(hex::encode(&Sha256::digest(LOCK)[..6]));
    let _lock = cache::lock(&cache.join(".lock"))?;
    let complete = folder.join("complete");
    if !complete.exists() {
        if !command::exists("npm") {
            debian::install(&["nodejs", "npm"])?;
        }
        let step = progress::step("JavaScript libraries");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("package.json"), PACKAGE)?;
        fs::write(folder.join("package-lock.json"), LOCK)?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder);
        command::run_logged(&mut npm, &cache::folder("logs")?.join("npm.log"))?;
        fs::write(complete, "")?;
        step.done();
    }
    Ok(folder)
}

/// Runs a module to its end and answers with what it prints.
///
/// # Errors
/// When it fails; the message has its error.
pub fn run(module: &str, environment: &[(&str, &str)]) -> Result<String> {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", module])
        .envs(environment.iter().copied())
        .current_dir(folder()?);
    command::output(&mut node).context("Node")
}
