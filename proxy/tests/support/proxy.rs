//! The real binary, as a process.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use super::Ollama;
use super::curl::{self, Answer};

/// A proxy in front of the stand-in, ended when dropped.
pub(crate) struct Proxy {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    output: Arc<Mutex<String>>,
}

/// The binary with these arguments and nothing of this process' environment.
pub(crate) fn corral_proxy(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_corral-proxy"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    command
}

impl Proxy {
    /// Starts it on free ports and waits until it listens.
    pub(crate) fn start(ollama: &Ollama, arguments: &[&str]) -> Self {
        let upstream = format!("http://{}", ollama.address);
        let mut child = corral_proxy(arguments)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
                "--upstream",
                &upstream,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let (address, admin) = announced(&mut errors);
        collect(errors, &output);
        collect(BufReader::new(child.stdout.take().unwrap()), &output);
        Self {
            child,
            address,
            admin,
            output,
        }
    }

    /// curl to it with these arguments.
    pub(crate) fn command(&self, path: &str, arguments: &[&str]) -> Command {
        curl::curl(self.address, path, arguments)
    }

    /// One request to it with these arguments of curl.
    pub(crate) fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        curl::answer(self.command(path, arguments))
    }

    /// The lines of the head, but for the date, and the body that `GET /api/version` has with these arguments of curl: what is
    /// the same for all who are refused.
    pub(crate) fn answer_without_date(&self, arguments: &[&str]) -> (Vec<String>, String) {
        let answer = self.curl("/api/version", arguments);
        let lines = answer
            .head
            .lines()
            .filter(|line| !line.to_ascii_lowercase().starts_with("date:"));
        (lines.map(str::to_owned).collect(), answer.body)
    }

    /// The status that `GET /api/version` has with these arguments of curl.
    pub(crate) fn code(&self, arguments: &[&str]) -> u16 {
        self.curl("/api/version", arguments).status
    }

    /// The status that `GET /api/version` has with this API key.
    pub(crate) fn code_of_key(&self, key: &str) -> u16 {
        self.code(&["-H", &format!("Authorization: Bearer {key}")])
    }

    /// What a path of the admin port says.
    pub(crate) fn admin(&self, path: &str) -> String {
        curl::answer(curl::curl(self.admin, path, &[])).body
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.admin("/status")).unwrap()
    }

    /// All that it has written so far: access log and messages.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Whether it is still the process that was started.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses of the first line: `… listens on http://A and guards … , admin on http://B`.
fn announced(errors: &mut impl BufRead) -> (SocketAddr, SocketAddr) {
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let after = |words: &str| -> SocketAddr {
        let rest = line
            .split_once(words)
            .unwrap_or_else(|| panic!("the proxy says: {line}"))
            .1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    (after("listens on http://"), after("admin on http://"))
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
