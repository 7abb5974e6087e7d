//! The proxy before the stand-in, asked by curl.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use super::Ollama;
use super::curl::{self, Answer};
use super::process::{Process, corral_proxy};

/// A proxy in front of the stand-in, ended when dropped.
pub(crate) struct Proxy(Process);

impl Proxy {
    /// Starts it on free ports and waits until it listens.
    pub(crate) fn start(ollama: &Ollama, arguments: &[&str]) -> Self {
        let mut command = corral_proxy(arguments);
        command
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--upstream", &format!("http://{}", ollama.address)]);
        Self(Process::start(command))
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// curl to it with these arguments.
    pub(crate) fn command(&self, path: &str, arguments: &[&str]) -> Command {
        curl::curl(self.0.address, path, arguments)
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
        curl::answer(curl::curl(self.0.admin, path, &[])).body
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.admin("/status")).unwrap()
    }

    /// All that it has written so far: access log and messages.
    pub(crate) fn output(&self) -> String {
        self.0.output()
    }

    /// Whether it is still the process that was started.
    pub(crate) fn runs(&mut self) -> bool {
        self.0.ended().is_none()
    }
}
