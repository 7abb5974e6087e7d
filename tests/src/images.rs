//! The images that tests and the demo run: Corral's own, Ollama, and small helpers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::image::{Entry, Image};
use crate::tools::{self, Tool};
use crate::{cache, command, progress};

/// Holds a Pod's namespaces.
pub const PAUSE: &str = "docker.io/corral-tests/pause:1";
/// A shell with the usual small programs, for looking at things from inside a Pod.
pub const BUSYBOX: &str = "docker.io/corral-tests/busybox:1";
/// The registry that Ollama pulls models from.
pub const REGISTRY: &str = "docker.io/corral-tests/registry:1";

const PAUSE_SOURCE: &str = "
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int signal) { (void)signal; _exit(0); }
static void reap(int signal) { (void)signal; while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) {
    signal(SIGTERM, end);
    signal(SIGINT, end);
    signal(SIGCHLD, reap);
    for (;;) pause();
}
";

/// What holds Pods together and what looks into them.
///
/// # Errors
/// Without a C compiler or busybox.
pub fn basic() -> Result<Vec<PathBuf>> {
    Ok(vec![pause()?, busybox()?])
}

fn pause() -> Result<PathBuf> {
    let folder = cache::folder("images")?;
    let program = folder.join("pause");
    if !program.exists() {
        let source = folder.join("pause.c");
        fs::write(&source, PAUSE_SOURCE)?;
        if !command::exists("cc") {
            bail!("a C compiler (cc) is needed for the pause image; Debian has it in the package gcc");
        }
        command::output(
            Command::new("cc")
                .args(["-Os", "-static", "-o"])
                .arg(&program)
                .arg(&source),
        )?;
    }
    let files = vec![Entry::file("pause", program)];
    Image {
        reference: PAUSE.to_owned(),
        files,
        entrypoint: vec!["/pause".to_owned()],
        ..Image::default()
    }
    .write()
}

fn busybox() -> Result<PathBuf> {
    let mut files = vec![
        Entry::file("bin/busybox", "/bin/busybox"),
        Entry::Scratch {
            path: "tmp".to_owned(),
        },
    ];
    let applets = ["sh", "cat", "ls", "nc", "nslookup", "sleep", "wget", "id", "ps"];
    files.extend(applets.map(|name| Entry::link(&format!("bin/{name}"), "busybox")));
    let environment = vec!["PATH=/bin".to_owned()];
    let command = vec!["sh".to_owned()];
    Image {
        reference: BUSYBOX.to_owned(),
        files,
        command,
        environment,
        ..Image::default()
    }
    .write()
}

/// The registry.
///
/// # Errors
/// When it can't be built.
pub fn registry() -> Result<PathBuf> {
    tools::ensure(&[Tool::Registry])?;
    Image {
        reference: REGISTRY.to_owned(),
        files: vec![
            Entry::file("registry", Tool::Registry.path()?),
            Entry::Scratch {
                path: "tmp".to_owned(),
            },
        ],
        entrypoint: vec!["/registry".to_owned()],
        environment: vec!["OTEL_TRACES_EXPORTER=none".to_owned()],
        ..Image::default()
    }
    .write()
}

/// Ollama, under the name of the official image and laid out like it.
///
/// # Errors
/// When it can't be built.
pub fn ollama() -> Result<PathBuf> {
    tools::ensure(&[Tool::Ollama])?;
    let mut files = vec![
        Entry::link("bin", "usr/bin"),
        Entry::Scratch {
            path: "tmp".to_owned(),
        },
    ];
    files.extend(Entry::program("usr/bin/ollama", &Tool::Ollama.path()?)?);
    Image {
        reference: format!("docker.io/ollama/ollama:{}", tools::OLLAMA),
        files,
        entrypoint: vec!["/bin/ollama".to_owned()],
        command: vec!["serve".to_owned()],
        environment: [
            "PATH=/usr/bin",
            "OLLAMA_HOST=0.0.0.0:11434",
            "NVIDIA_VISIBLE_DEVICES=all",
        ]
        .map(str::to_owned)
        .to_vec(),
        ..Image::default()
    }
    .write()
}

/// The operator and the proxy, as their Dockerfiles make them: one static program each, as a user without rights.
///
/// # Errors
/// When they don't compile.
pub fn corral() -> Result<Vec<PathBuf>> {
    let folder = compile()?;
    ["corral-operator", "corral-proxy"]
        .iter()
        .map(|name| corral_image(name, &folder.join(name)))
        .collect()
}

fn corral_image(name: &str, program: &Path) -> Result<PathBuf> {
    Image {
        reference: format!("ghcr.io/corral-dev/{name}:{}", env!("CARGO_PKG_VERSION")),
        files: vec![Entry::file(name, program)],
        entrypoint: vec![format!("/{name}")],
        user: "65532:65532".to_owned(),
        ..Image::default()
    }
    .write()
}

/// Compiles both programs for this machine without shared libraries; answers with their folder.
fn compile() -> Result<PathBuf> {
    let step = progress::step("corral-operator and corral-proxy (about 6 min the first time)");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .parent()
                .context("the workspace has a folder")?,
        )
        .args(["build", "--profile=image", "--locked", "--target", &target])
        .args([
            "--package=corral-operator",
            "--package=corral-proxy",
            "--message-format=json-render-diagnostics",
        ])
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    // What `cargo test` and `cargo run` tell their programs would make build scripts of dependencies run again.
    for (name, _) in std::env::vars_os().filter(|(name, _)| describes_package(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let folder = executable_folder(&command::output(&mut cargo)?)?;
    step.done();
    Ok(folder)
}

/// Whether Cargo sets the variable to describe the package that runs.
fn describes_package(variable: &str) -> bool {
    let prefixes = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ];
    prefixes.iter().any(|prefix| variable.starts_with(prefix))
}

/// Cargo says where it puts programs, whatever target folder it was told to use.
fn executable_folder(messages: &str) -> Result<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .find_map(|path| path.parent().map(Path::to_owned))
        .context("cargo names no program that it has built")
}
