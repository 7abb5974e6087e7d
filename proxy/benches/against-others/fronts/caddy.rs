//! Caddy, which remembers what its bcrypt checks came to.

use std::fs;

use anyhow::{Context, Result};

use super::{Clients, Front, PASSWORD, Place, USER, free_address};
use crate::machine::output_of;

/// The cost that `caddy hash-password` uses.
const COST: u32 = 14;

/// Basic authentication with bcrypt, one processor.
pub(crate) fn bcrypt(place: &Place<'_>) -> Result<Front> {
    let address = free_address()?;
    let file = place.folder.join("Caddyfile");
    let hash = bcrypt::hash(PASSWORD, COST)?;
    let configuration = format!(
        "{{
  admin off
  auto_https off
}}
http://{address} {{
  bind 127.0.0.1
  basicauth {{
    {USER} {hash}
  }}
  reverse_proxy {backend} {{
    header_up Host localhost:11434
    flush_interval -1
  }}
}}
",
        backend = place.backend
    );
    fs::write(&file, configuration)?;
    let mut command = place.command("caddy");
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file)
        .env("GOMAXPROCS", "1")
        .env("HOME", place.folder)
        .env("XDG_DATA_HOME", place.folder)
        .env("XDG_CONFIG_HOME", place.folder)
        .stderr(std::process::Stdio::null());
    Front::start(
        format!("{}, bcrypt cost {COST}", version()?),
        command,
        address,
        &Clients::WithPassword,
    )
}

/// As in `Caddy 2.6.2`.
fn version() -> Result<String> {
    let text = output_of("caddy", &["version"])?;
    let version = text
        .split_whitespace()
        .next()
        .context("an unknown form of `caddy version`")?;
    Ok(format!("Caddy {}", version.trim_start_matches('v')))
}
