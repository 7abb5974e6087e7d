//! The proxy before a backend, asked over raw sockets.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::client::{Answer, Client};
use crate::process::{Process, corral_proxy};

/// A client that may use models.
pub(crate) const USER: &str = "sk-user-0123456789abcdef";
/// A client that may change them, in the configurations that [`Proxy::configured`] writes.
pub(crate) const ADMIN: &str = "sk-admin-0123456789abcdef";

/// A proxy before a backend, ended when dropped.
pub(crate) struct Proxy {
    process: Process,
    pub(crate) address: SocketAddr,
    files: TempDir,
}

/// A request of [`USER`] without a body.
pub(crate) fn get(path: &str) -> String {
    request("GET", path, USER, "")
}

/// A request with a body.
pub(crate) fn request(method: &str, path: &str, key: &str, body: &str) -> String {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    format!("{method} {path} HTTP/1.1\r\nHost: ollama\r\nx-api-key: {key}\r\n{length}\r\n{body}")
}

/// Far longer than what must come takes, on a busy machine too.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits until something is so.
#[track_caller]
pub(crate) fn within(limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

impl Proxy {
    /// Starts it on free ports, with the keys of [`USER`] and [`ADMIN`].
    pub(crate) fn start(backend: &Backend) -> Self {
        Self::configured(
            backend,
            "access: [{clients: [admin], allow: [Inference, Read, Manage]}]\n",
        )
    }

    /// Starts it with this at the end of its configuration file.
    pub(crate) fn configured(backend: &Backend, config: &str) -> Self {
        Self::listening(backend, "127.0.0.1:0", config)
    }

    /// Starts it so that it says all that it can of what it does, with further arguments of the command line.
    pub(crate) fn traced(backend: &Backend, config: &str, arguments: &[&str]) -> Self {
        Self::spawn(backend, "127.0.0.1:0", config, "trace", arguments)
    }

    pub(crate) fn listening(backend: &Backend, listen: &str, config: &str) -> Self {
        Self::spawn(backend, listen, config, "info", &[])
    }

    /// Starts it with further arguments of the command line.
    pub(crate) fn with_arguments(backend: &Backend, config: &str, arguments: &[&str]) -> Self {
        Self::spawn(backend, "127.0.0.1:0", config, "info", arguments)
    }

    fn spawn(backend: &Backend, listen: &str, config: &str, level: &str, arguments: &[&str]) -> Self {
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("keys"), format!("user:{USER}\nadmin:{ADMIN}\n")).unwrap();
        fs::write(files.path().join("proxy.yaml"), with_keys(&files, config)).unwrap();
        let upstream = format!("http://{}", backend.address);
        let mut command = corral_proxy(&["--listen", listen, "--admin-listen", "127.0.0.1:0"]);
        command
            .env("CORRAL_LOG", level)
            .args(["--threads", "1", "--upstream", &upstream, "--config"])
            .arg(files.path().join("proxy.yaml"))
            .args(arguments);
        let process = Process::start(command);
        Self {
            address: process.address,
            process,
            files,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// One request on a connection of its own.
    #[track_caller]
    pub(crate) fn exchange(&self, request: impl AsRef<[u8]>) -> Answer {
        self.client().exchange(request)
    }

    /// What a path of the admin port says.
    #[track_caller]
    pub(crate) fn admin(&self, path: &str) -> Answer {
        Client::connect(self.process.admin).exchange(format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n"))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.admin("/status").body).unwrap()
    }

    /// Writes the end of its configuration file anew.
    pub(crate) fn configure(&self, config: &str) {
        fs::write(self.path("proxy.yaml"), with_keys(&self.files, config)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// All that it has written so far: access log and messages.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.process.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// The most memory that it has had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Lines of `config` that begin with two spaces go on with the credentials.
fn with_keys(files: &TempDir, config: &str) -> String {
    format!(
        "credentials:\n  apiKeys: {{path: {}}}\n{config}",
        files.path().join("keys").display()
    )
}
