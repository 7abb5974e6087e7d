//! The real binary, as a process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::backend::Backend;
use crate::client::{Answer, Client};

/// A client that may use models.
pub(crate) const USER: &str = "sk-user-0123456789abcdef";
/// A client that may change them, in the configurations that [`Proxy::configured`] writes.
pub(crate) const ADMIN: &str = "sk-admin-0123456789abcdef";

/// A proxy before a backend, ended when dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    output: Arc<Mutex<String>>,
    files: TempDir,
}

/// The binary with these arguments and nothing of this process' environment.
pub(crate) fn corral_proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corral-proxy"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
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
        let mut child = corral_proxy(&["--listen", listen, "--admin-listen", "127.0.0.1:0"])
            .env("CORRAL_LOG", level)
            .args(["--threads", "1", "--upstream", &upstream, "--config"])
            .arg(files.path().join("proxy.yaml"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let (said, address, admin) = announced(&mut errors);
        let output = Arc::new(Mutex::new(said));
        collect(errors, &output);
        collect(child.stdout.take().unwrap(), &output);
        Self {
            child,
            address,
            admin,
            output,
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
        Client::connect(self.admin).exchange(format!("GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n"))
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
        self.output.lock().unwrap().clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The most memory that it has had, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of `config` that begin with two spaces go on with the credentials.
fn with_keys(files: &TempDir, config: &str) -> String {
    format!(
        "credentials:\n  apiKeys: {{path: {}}}\n{config}",
        files.path().join("keys").display()
    )
}

/// What it says until it listens, and the addresses in that: `… listens on http[s]://A and guards …, admin on http://B`.
fn announced(errors: &mut impl BufRead) -> (String, SocketAddr, SocketAddr) {
    let mut said = String::new();
    while !said.contains("listens on") {
        assert_ne!(errors.read_line(&mut said).unwrap(), 0, "the proxy ended: {said}");
    }
    let after = |words: &str| -> SocketAddr {
        let rest = said
            .split_once(words)
            .unwrap_or_else(|| panic!("the proxy says: {said}"))
            .1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let listens = if said.contains("listens on https://") {
        "listens on https://"
    } else {
        "listens on http://"
    };
    let (address, admin) = (after(listens), after("admin on http://"));
    (said, address, admin)
}

fn collect(mut reader: impl Read + Send + 'static, output: &Arc<Mutex<String>>) {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            output
                .lock()
                .unwrap()
                .push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    });
}
