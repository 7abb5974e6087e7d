//! What comes from Debian: the parts that a node takes from its operating system.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{cache, command, progress};

/// Installs packages.
///
/// # Errors
/// When this is no Debian, or not root, or apt fails.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if !command::exists("apt-get") || !nix::unistd::geteuid().is_root() {
        bail!(
            "these Debian packages, or what they hold, are needed, and installing them takes apt and root: {names}"
        );
    }
    let step = progress::step(format!("Debian packages {names}"));
    let log = cache::folder("logs")?.join("apt.log");
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    command::run_logged(apt().args(["update", "-q"]), &log)?;
    command::run_logged(
        apt()
            .args(["install", "-yq", "--no-install-recommends"])
            .args(packages),
        &log,
    )?;
    step.done();
    Ok(())
}
