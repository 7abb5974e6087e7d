//! HAProxy with connections to Ollama kept open.

use std::fs;

use anyhow::{Context, Result};

use super::{Clients, Front, Place, free_address};
use crate::machine::output_of;

/// Without authentication and without a log.
pub(crate) fn open(place: &Place<'_>) -> Result<Front> {
    let address = free_address()?;
    let file = place.folder.join("haproxy.cfg");
    let configuration = format!(
        "global
  nbthread 1
  maxconn 6000
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  timeout http-keep-alive 300s
  http-reuse always
  option forwardfor
  option http-no-delay
frontend clients
  bind {address}
  default_backend ollama
backend ollama
  http-request set-header Host localhost:11434
  server ollama {backend}
",
        backend = place.backend
    );
    fs::write(&file, configuration)?;
    let mut command = place.command("haproxy");
    command.args(["-db", "-q", "-f"]).arg(file);
    Front::start(
        format!("{}, no authentication", version()?),
        command,
        address,
        &Clients::Anybody,
    )
}

/// As in `HAProxy 2.6.12`.
fn version() -> Result<String> {
    let text = output_of("haproxy", &["-v"])?;
    let version = text
        .split_whitespace()
        .nth(2)
        .context("an unknown form of `haproxy -v`")?;
    Ok(format!(
        "HAProxy {}",
        version.split('-').next().unwrap_or(version)
    ))
}
