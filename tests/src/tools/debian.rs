//! What comes from Debian: the parts that a node takes from its operating system, and the rivals of the benchmark.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{cache, command, progress};

/// A package, and a file that shows that it is there.
pub(crate) type Package = (&'static str, &'static str);

/// What the benchmark compares the proxy with, and what measures.
const BENCHMARK: &[Package] = &[
    ("nginx-light", "/usr/sbin/nginx"),
    (
        "libnginx-mod-http-lua",
        "/usr/lib/nginx/modules/ngx_http_lua_module.so",
    ),
    ("haproxy", "/usr/sbin/haproxy"),
    ("caddy", "/usr/bin/caddy"),
    ("apache2-utils", "/usr/bin/htpasswd"),
    ("wrk", "/usr/bin/wrk"),
    ("valgrind", "/usr/bin/valgrind"),
];

/// Installs what the benchmark needs.
///
/// # Errors
/// See [`ensure`].
pub fn ensure_benchmark() -> Result<()> {
    ensure(BENCHMARK)
}

/// Those that are not there.
pub(crate) fn missing(packages: &[Package]) -> Vec<&'static str> {
    packages
        .iter()
        .filter(|(_, file)| !Path::new(file).exists())
        .map(|(package, _)| *package)
        .collect()
}

/// Installs those that are not there.
///
/// # Errors
/// See [`install`].
pub(crate) fn ensure(packages: &[Package]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        Ok(())
    } else {
        install(&missing)
    }
}

/// Installs packages. Services that they bring are not started.
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
        // deb-systemd-invoke and invoke-rc.d start nothing in a rescue run level.
        command.env("RUNLEVEL", "1");
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
