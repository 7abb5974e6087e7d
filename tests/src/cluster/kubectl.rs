//! kubectl, as a user runs it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::command;
use crate::process::{Launcher, Process};
use crate::tools::{self, Tool};

/// kubectl against one cluster.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Kubectl {
    /// The pinned kubectl, with that kubeconfig or, without one, the user's own.
    ///
    /// # Errors
    /// When it isn't there yet and can't be built.
    pub fn new(kubeconfig: Option<&Path>) -> Result<Self> {
        tools::ensure(&[Tool::Kubectl])?;
        Ok(Self {
            program: Tool::Kubectl.path()?,
            kubeconfig: kubeconfig.map(Path::to_owned),
        })
    }

    /// A command of it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(kubeconfig) = &self.kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        command.args(arguments);
        command
    }

    /// Does what the status of an OllamaService tells an administrator to do, so that its proxies may ask the API server.
    ///
    /// # Errors
    /// The message tells nothing of the kind, or a command fails.
    pub fn allow_as_said(&self, message: &str) -> Result<()> {
        let (_, commands) = message
            .split_once("let an administrator allow it: ")
            .with_context(|| format!("no command in: {message}"))?;
        for command in commands.split("; ") {
            let words: Vec<_> = command.split_whitespace().collect();
            ensure!(words.first() == Some(&"kubectl"), "{message}");
            self.run(&words[1..])?;
        }
        Ok(())
    }

    /// Runs it and answers with what it prints.
    ///
    /// # Errors
    /// When it fails; the message is its own.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        command::output(&mut self.command(arguments))
    }

    /// Runs it with a manifest on its standard input.
    ///
    /// # Errors
    /// When it fails; the message is its own.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        use std::io::Write;
        let mut command = self.command(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        child
            .stdin
            .take()
            .context("no standard input")?
            .write_all(input.as_bytes())?;
        let output = child.wait_with_output()?;
        let words = arguments.join(" ");
        if !output.status.success() {
            bail!(
                "kubectl {words} failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts one that runs in the background with its log in that folder; ends when dropped.
    ///
    /// # Errors
    /// When it can't start.
    pub fn start(&self, arguments: &[&str], logs: &Path) -> Result<Process> {
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: logs.to_owned(),
        };
        let environment: Vec<(&str, &OsStr)> = self
            .kubeconfig
            .iter()
            .map(|path| ("KUBECONFIG", path.as_os_str()))
            .collect();
        launcher.start("kubectl", &self.program, arguments, &environment)
    }

    /// `kubectl apply` of a manifest.
    ///
    /// # Errors
    /// When it fails; the message is its own.
    pub fn apply(&self, manifest: &str) -> Result<String> {
        self.run_with(&["apply", "-f", "-"], manifest)
    }
}
