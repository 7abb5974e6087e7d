//! Programs that run to their end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Runs the command with its output in a file.
///
/// # Errors
/// When it can't start or fails; the message has the file's path and last lines.
pub fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let file = File::create(log).with_context(|| format!("can't write {}", log.display()))?;
    let name = display(command);
    let status = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .status()
        .with_context(|| format!("can't run {name}"))?;
    if !status.success() {
        bail!(
            "{name} failed ({status}); the end of {}:\n{}",
            log.display(),
            tail(log, 20)
        );
    }
    Ok(())
}

/// Runs the command and answers with its standard output, without the space around it.
///
/// # Errors
/// When it can't start or fails; the message has its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let name = display(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {name}"))?;
    if !output.status.success() {
        bail!(
            "{name} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Compiles a package of this workspace and answers with its binary.
///
/// # Errors
/// When it can't be compiled, or has no binary.
pub fn build(package: &str) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    binary(package, &mut cargo_build(&manifest))
}

/// `cargo build` for the workspace of that manifest.
pub(crate) fn cargo_build(manifest: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--locked", "--message-format=json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest);
    cargo
}

/// Compiles a package and answers with its binary.
pub(crate) fn binary(package: &str, cargo: &mut Command) -> Result<PathBuf> {
    let messages = output(cargo.args(["--package", package]))?;
    let mut executables = messages.lines().rev().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executables
        .next()
        .with_context(|| format!("{package} has no binary"))
}

/// The last lines of a file; nothing when it can't be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Whether a program of that name is on the PATH.
pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy);
    words.collect::<Vec<_>>().join(" ")
}
