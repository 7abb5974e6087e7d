//! Builds with Go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Recipe;
use crate::{cache, command};

/// The module under `tests/tools` that pins the recipe's sources.
pub(super) fn folder(recipe: &Recipe) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tools")
        .join(recipe.folder)
}

/// The main package's import path.
pub(super) fn package(recipe: &Recipe) -> String {
    [recipe.module, recipe.package]
        .join("/")
        .trim_end_matches('/')
        .to_owned()
}

/// Builds the recipe's program as the file `target`.
pub(super) fn build(recipe: &Recipe, target: &Path, log: &Path) -> Result<()> {
    check_go(recipe)?;
    let mut go = Command::new("go");
    go.current_dir(folder(recipe))
        .args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-ldflags",
            &linker_flags(recipe),
            "-o",
        ])
        .arg(target)
        .arg(package(recipe))
        .env("CGO_ENABLED", if recipe.cgo { "1" } else { "0" });
    if recipe.cgo {
        go.env("CGO_CPPFLAGS", format!("-I{}", headers()?.display()));
    }
    command::run_logged(&mut go, log)
}

fn linker_flags(recipe: &Recipe) -> String {
    let prefix = if recipe.folder == "kubernetes" { "v" } else { "" };
    let mut flags = "-s -w".to_owned();
    for variable in recipe.version_variables {
        flags.push_str(&format!(" -X {variable}={prefix}{}", recipe.version));
    }
    flags
}

/// Asked within the module, Go says whether it is, or can fetch, the release that the module wants.
fn check_go(recipe: &Recipe) -> Result<()> {
    let folder = folder(recipe);
    let wanted = fs::read_to_string(folder.join("go.mod"))?
        .lines()
        .find_map(|line| line.strip_prefix("go ").map(str::to_owned))
        .unwrap_or_default();
    let answer = command::output(Command::new("go").arg("version").current_dir(&folder));
    match answer {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "Go {wanted} or newer is needed to build {} (https://go.dev/dl): {error}",
            recipe.name
        ),
    }
}

/// A module's zip leaves out folders named vendor/, so three of Ollama's headers come from elsewhere: miniaudio.h from
/// a module that carries it, nlohmann/json.hpp and stb/stb_image.h from Debian.
fn headers() -> Result<PathBuf> {
    if !command::exists("g++") {
        super::debian::install(&["g++"])?;
    }
    for (header, package) in [
        ("nlohmann/json.hpp", "nlohmann-json3-dev"),
        ("stb/stb_image.h", "libstb-dev"),
    ] {
        if !Path::new("/usr/include").join(header).exists() {
            super::debian::install(&[package])?;
        }
    }
    let source = source("github.com/gen2brain/malgo@v0.11.24")?;
    let include = cache::folder("tools/include")?;
    let target = include.join("miniaudio/miniaudio.h");
    fs::create_dir_all(include.join("miniaudio"))?;
    fs::write(&target, fs::read(source.join("miniaudio.h"))?)?;
    Ok(include)
}

/// The folder with the source of a module, `PATH@VERSION`; Go fetches what is missing, and checks it against the public
/// database of checksums.
pub(crate) fn source(module: &str) -> Result<PathBuf> {
    let mut download = Command::new("go");
    // Outside of any module: this one's own requirements have no say.
    download
        .current_dir(std::env::temp_dir())
        .args(["mod", "download", "-json", module]);
    let answer: serde_json::Value = serde_json::from_str(&command::output(&mut download)?)?;
    let folder = answer["Dir"].as_str();
    folder
        .map(PathBuf::from)
        .with_context(|| format!("go mod download {module}: {}", answer["Error"]))
}
