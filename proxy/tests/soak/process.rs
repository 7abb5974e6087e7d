//! The real proxy as a process, and what it takes of the machine.

use std::fs;
use std::io::{self, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::announced::announced;

/// Ended when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

impl Process {
    /// Before this upstream, with the files of this folder.
    pub(crate) fn start(upstream: SocketAddr, files: &Path) -> io::Result<Self> {
        let path = |name: &str| -> PathBuf { files.join(name) };
        let mut child = Command::new(env!("CARGO_BIN_EXE_corral-proxy"))
            .env_clear()
            .args([
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--threads",
                "2",
            ])
            .args(["--upstream", &format!("http://{upstream}")])
            .arg("--config")
            .arg(path("proxy.yaml"))
            .arg("--tls-cert")
            .arg(path("tls/tls.crt"))
            .arg("--tls-key")
            .arg(path("tls/tls.key"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        let (_, address, admin) = announced(&mut errors)?;
        // What it says is of no use here, but it must not stand still for nobody reading it.
        thread::spawn(move || io::copy(&mut errors.by_ref(), &mut io::sink()));
        Ok(Self {
            child,
            address,
            admin,
        })
    }

    /// What a path of the admin port says.
    pub(crate) async fn admin(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer
            .split_once("\r\n\r\n")
            .map_or(String::new(), |(_, body)| body.to_owned()))
    }

    pub(crate) async fn status(&self) -> io::Result<Value> {
        Ok(serde_json::from_str(&self.admin("/status").await?)?)
    }

    /// Requests on their way, as the metric has it.
    pub(crate) async fn in_flight(&self) -> io::Result<String> {
        let metrics = self.admin("/metrics").await?;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("http_server_active_requests "));
        Ok(line.unwrap_or("none").to_owned())
    }

    /// Memory in KiB that the process has asked for (proc(5)). The program's own pages, of which a debug build has many, come
    /// as they are used for the first time and say nothing of a leak.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kibibytes.ok_or_else(|| io::Error::other("no RssAnon"))
    }

    /// Open files, connections among them.
    pub(crate) fn open_files(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Whether it is still the process that was started.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
