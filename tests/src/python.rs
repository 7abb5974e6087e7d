//! A Python environment with the client libraries that people use, of pinned versions, in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::tools::debian;
use crate::{cache, command, progress};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// The interpreter of an environment that has `tests/python/requirements.txt`.
///
/// # Errors
/// When Python is missing or a library can't be installed.
pub fn interpreter() -> Result<PathBuf> {
    let folder = cache::folder("python")?;
    let name = hex::encode(&Sha256::digest(REQUIREMENTS)[..6]);
    let _lock = cache::lock(&folder.join(".lock"))?;
    let environment = folder.join(&name);
    let complete = environment.join("complete");
    if !complete.exists() {
        let step = progress::step("Python libraries");
        create(&environment)?;
        let requirements = environment.join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS)?;
        install(
            &environment.join("bin/python"),
            &["--requirement", &requirements.display().to_string()],
        )?;
        fs::write(complete, "")?;
        step.done();
    }
    Ok(environment.join("bin/python"))
}

fn create(environment: &Path) -> Result<()> {
    if !command::exists("python3") {
        bail!("Python 3 (python3) is needed for its client libraries and for the model");
    }
    let venv = || {
        command::output(
            Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(environment),
        )
    };
    if venv().is_err() {
        debian::install(&["python3-venv"])?; // Debian's Python comes without.
        venv()?;
    }
    Ok(())
}

/// Installs packages from PyPI with that interpreter.
pub(crate) fn install(python: &Path, arguments: &[&str]) -> Result<()> {
    let log = cache::folder("logs")?.join("pip.log");
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(arguments);
    command::run_logged(&mut pip, &log)
}

/// Runs a script to its end and answers with what it prints.
///
/// # Errors
/// When it fails; the message has its traceback.
pub fn run(script: &str, environment: &[(&str, &str)]) -> Result<String> {
    let mut python = Command::new(interpreter()?);
    python.args(["-c", script]).envs(environment.iter().copied());
    command::output(&mut python).context("Python")
}
