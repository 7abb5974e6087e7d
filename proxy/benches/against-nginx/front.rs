//! What stands before the fake Ollama: nothing, nginx or corral-proxy, the last two each with one worker thread.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::StatusCode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::load;
use crate::machine;

/// The API key of the benchmark's only client. Every front is sent it, so that requests are the same.
pub(crate) const KEY: &str = "a-key-of-the-benchmark-alone-2c3f0d";

/// How long a front may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(10);

/// A server that clients call. It is stopped when dropped.
pub(crate) struct Front {
    /// As in the report.
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    process: Option<Child>,
}

impl Front {
    /// The fake Ollama itself: what the client and Ollama cost without a front.
    pub(crate) fn none(backend: SocketAddr) -> Self {
        Self {
            name: "none (the fake Ollama itself)".into(),
            address: backend,
            process: None,
        }
    }

    /// Processor time that the front has used; none where there is no front.
    pub(crate) fn processor_time(&self) -> Result<Option<Duration>> {
        self.process
            .as_ref()
            .map(|process| machine::processor_time(process.id()))
            .transpose()
    }

    /// A benchmark of a proxy that lets everybody in would be worth nothing.
    pub(crate) async fn refuses_strangers(&self) -> Result<()> {
        for (credential, expected) in [
            (Some(KEY), StatusCode::OK),
            (Some("x"), StatusCode::UNAUTHORIZED),
            (None, StatusCode::UNAUTHORIZED),
        ] {
            let status = load::status(self.address, credential).await?;
            ensure!(
                status == expected,
                "{} answers {status} to the key {credential:?} instead of {expected}",
                self.name
            );
        }
        Ok(())
    }

    fn start(name: String, mut command: Command, address: SocketAddr) -> Result<Self> {
        let program = format!("{command:?}");
        let process = command
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let mut front = Self {
            name,
            address,
            process: Some(process),
        };
        front.wait_until_it_listens()?;
        Ok(front)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let begin = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("{} ended at once: {status}", self.name);
            }
            ensure!(
                begin.elapsed() < START_LIMIT,
                "{} does not listen on {}",
                self.name,
                self.address
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        // SIGTERM, so that nginx's master stops its worker too.
        if let Ok(pid) = i32::try_from(process.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = process.wait();
    }
}

/// nginx as the guides set it up before Ollama, with connections to Ollama kept open, without authentication.
pub(crate) fn nginx(folder: &Path, backend: SocketAddr, processor: usize) -> Result<Front> {
    let address = free_address()?;
    let file = folder.join("nginx.conf");
    fs::write(&file, nginx_configuration(folder, backend, address))?;
    let mut command = pinned(processor, "nginx");
    command
        .arg("-p")
        .arg(folder)
        .arg("-e")
        .arg("stderr")
        .arg("-c")
        .arg(file);
    Front::start(
        format!("{}, no authentication", machine::nginx_version()?),
        command,
        address,
    )
}

fn nginx_configuration(folder: &Path, backend: SocketAddr, address: SocketAddr) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
{temporary}  access_log /dev/null;
  keepalive_requests 1000000000;
  upstream ollama {{ server {backend}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen {address};
    location / {{
      proxy_pass http://ollama;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host localhost:11434;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_read_timeout 300s;
      proxy_buffering off;
    }}
  }}
}}
",
        folder = folder.display()
    )
}

/// The proxy as `cargo bench` has built it, with a file of API keys.
pub(crate) fn corral(folder: &Path, backend: SocketAddr, processor: usize) -> Result<Front> {
    let address = free_address()?;
    let keys = folder.join("api-keys");
    fs::write(&keys, format!("bench:{KEY}\n"))?;
    let mut command = pinned(processor, env!("CARGO_BIN_EXE_corral-proxy"));
    command.args([
        "--listen",
        &address.to_string(),
        "--upstream",
        &format!("http://{backend}"),
        "--threads",
        "1",
    ]);
    command
        .arg("--api-keys")
        .arg(keys)
        .env("CORRAL_LOG", "warn")
        .stdout(Stdio::null());
    Front::start(
        format!("corral-proxy {}, API key", env!("CARGO_PKG_VERSION")),
        command,
        address,
    )
}

fn pinned(processor: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.arg("--cpu-list").arg(processor.to_string()).arg(program);
    command
}

/// A port of 127.0.0.1 that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
