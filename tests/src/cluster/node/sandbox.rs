//! The namespaces of a node and the process that holds them.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Gives the node its own copy of every folder that its parts want at a fixed place, then waits for the end of the
/// pipe. bash also reaps the processes whose parents have ended.
const INIT: &str = r#"
set -eu
for folder in /var/lib/kubelet /var/lib/containerd /var/lib/cni /etc/cni/net.d /var/log/pods /var/log/containers; do
    mkdir -p "$folder" "$1/root$folder"
    mount --bind "$1/root$folder" "$folder"
done
for folder in /run/containerd /run/netns; do
    mkdir -p "$folder"
    mount -t tmpfs tmpfs "$folder"
done
ip link set lo up
echo ready
read -r _ || true
"#;

/// Namespaces that last as long as this.
pub(super) struct Sandbox {
    holder: Child,
    tether: Option<ChildStdin>,
    /// The first process of the process namespace, as numbered outside.
    init: i32,
}

impl Sandbox {
    /// Makes the namespaces; the node's folders lie under `folder/root`.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let mut holder = Command::new("unshare")
            .args([
                "--net",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
                "bash",
                "-c",
                INIT,
            ])
            .arg("corral-node")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("can't run unshare")?;
        let tether = holder.stdin.take();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().context("no output")?).read_line(&mut line)?;
        if line.trim() != "ready" {
            let output = holder.wait_with_output()?;
            bail!(
                "can't make namespaces: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let init = child_of(holder.id())?;
        Ok(Self { holder, tether, init })
    }

    /// What makes a command run inside.
    pub(super) fn prefix(&self) -> Vec<OsString> {
        let target = self.init.to_string();
        ["nsenter", "--target", &target, "--net", "--mount", "--pid", "--"]
            .map(OsString::from)
            .to_vec()
    }

    /// The first process inside, as numbered outside.
    pub(super) fn init(&self) -> i32 {
        self.init
    }

    pub(super) fn check(&mut self) -> Result<()> {
        match self.holder.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the node's namespaces have ended ({status})"),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.tether.take());
        // It ends once every process inside has been killed; nothing can be done if that can't be waited for.
        let _ = self.holder.wait();
    }
}

fn child_of(parent: u32) -> Result<i32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    children
        .split_whitespace()
        .next()
        .context("the holder of the namespaces has no child")?
        .parse()
        .context(path)
}
