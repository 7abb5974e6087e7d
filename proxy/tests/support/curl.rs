//! curl, as people use it.

use std::net::SocketAddr;
use std::process::Command;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// curl with these arguments.
pub(super) fn curl(address: SocketAddr, path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--no-buffer"]);
    command.args(["--max-time", "30", "--noproxy", "*"]);
    command.args(arguments).arg(format!("http://{address}{path}"));
    command
}

/// What comes back of one request.
pub(super) fn answer(mut command: Command) -> Answer {
    let output = command.arg("--include").output().expect("curl is installed");
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no answer to {command:?}: {text:?} {said}"));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
