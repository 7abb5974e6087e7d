//! A real Ollama on the loopback address.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::http_client::HttpClient;
use crate::port::Port;
use crate::process::{Launcher, Process, wait_until};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{cache, command, model};

/// A running Ollama with gemma3:270m, which may be changed or deleted: the store of models is its own.
pub struct Ollama {
    // In the order of the end: the server before its folder.
    process: Process,
    port: Port,
    workspace: Workspace,
}

impl Ollama {
    /// Builds and downloads what is missing, starts a new one and waits until it answers.
    ///
    /// # Errors
    /// When a build or the download fails, or the server doesn't start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more in its environment.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(environment: &[(&str, &str)]) -> Result<Self> {
        let models =
            tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Ollama]).and_then(|()| store())).await??;
        let workspace = Workspace::create()?;
        link(&models, &workspace.path().join("models"))?;
        let mut ollama = Self::serve(workspace, environment)?;
        ollama.ready().await?;
        Ok(ollama)
    }

    /// The same without any model.
    ///
    /// # Errors
    /// When the build fails or the server doesn't start.
    pub async fn without_models() -> Result<Self> {
        tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Ollama])).await??;
        let mut ollama = Self::serve(Workspace::create()?, &[])?;
        ollama.ready().await?;
        Ok(ollama)
    }

    fn serve(workspace: Workspace, more: &[(&str, &str)]) -> Result<Self> {
        let port = Port::reserve()?;
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: workspace.logs(),
        };
        let address = format!("127.0.0.1:{}", port.number());
        let models = workspace.path().join("models");
        let mut environment: Vec<(&str, &OsStr)> = vec![
            ("HOME", workspace.path().as_os_str()),
            ("OLLAMA_HOST", address.as_ref()),
            ("OLLAMA_MODELS", models.as_os_str()),
            ("OLLAMA_NO_CLOUD", "true".as_ref()),
        ];
        environment.extend(more.iter().map(|&(name, value)| (name, OsStr::new(value))));
        let process = launcher.start("ollama", &Tool::Ollama.path()?, ["serve"], &environment)?;
        Ok(Self {
            process,
            port,
            workspace,
        })
    }

    async fn ready(&mut self) -> Result<()> {
        let client = HttpClient::new(&self.url());
        wait_until(
            "Ollama ready",
            Duration::from_secs(30),
            [&mut self.process],
            async || client.get("/api/version", &[]).await.map(drop),
        )
        .await
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// Its home, with the key that it makes at its start and that its command signs with.
    pub fn home(&self) -> &Path {
        self.workspace.path()
    }

    /// The `ollama` command as a client of it.
    ///
    /// # Errors
    /// Without a cache folder.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(Tool::Ollama.path()?);
        command
            .env("OLLAMA_HOST", self.url())
            .env("HOME", self.workspace.path());
        Ok(command)
    }
}

/// The store of models that every Ollama begins with, made once.
fn store() -> Result<PathBuf> {
    let folder = cache::folder("ollama")?;
    let _lock = cache::lock(&folder.join(".lock"))?;
    let store = folder.join(format!("models-{}", tools::OLLAMA));
    if !store.exists() {
        let file = model::file()?;
        let workspace = Workspace::create()?;
        let modelfile = workspace.path().join("Modelfile");
        fs::write(&modelfile, format!("FROM {}\n", file.display()))?;
        let ollama = Ollama::serve(workspace, &[])?;
        ollama.create(&modelfile)?;
        fs::rename(ollama.workspace.path().join("models"), &store)?;
    }
    Ok(store)
}

impl Ollama {
    /// `ollama create`, which waits for a server that is just starting only by being tried again.
    fn create(&self, modelfile: &Path) -> Result<()> {
        let mut last = None;
        for _ in 0..100 {
            let mut create = self.command()?;
            create.args(["create", model::NAME, "-f"]).arg(modelfile);
            match command::output(&mut create) {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(last.context("never tried")?.context("ollama create"))
    }
}

/// Links every file of a tree into another tree: Ollama adds and removes blobs but never writes into one.
fn link(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("can't read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link(&entry.path(), &target)?;
        } else {
            fs::hard_link(entry.path(), target)?;
        }
    }
    Ok(())
}
