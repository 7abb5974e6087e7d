//! A registry of models, as ollama.com is one, for clusters without a way out.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;

use crate::cluster::Kubectl;
use crate::http_client::HttpClient;
use crate::ollama::Ollama;
use crate::port::Port;
use crate::process::{Launcher, Process, wait_until};
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
use crate::{cache, command, images, model, progress};

/// The model's name for a cluster that [`deploy`] has been called for.
pub const MODEL: &str = "registry.models.svc:5000/library/gemma3:270m";

/// The configuration of the registry that is pushed to; the address and the folder come from its environment. The one that
/// is pulled from has its own, in manifests/registry.yaml.
const CONFIG: &str = "
version: 0.1
log: {level: warn}
storage:
  filesystem: {rootdirectory: /data}
  maintenance: {uploadpurging: {enabled: false}}
http: {addr: ':5000'}
";

/// Puts a registry that holds gemma3:270m into the cluster, from [`storage`].
///
/// # Errors
/// When it isn't available in time.
pub fn deploy(kubectl: &Kubectl) -> Result<()> {
    let storage = storage_folder()?.display().to_string();
    let manifest = include_str!("../manifests/registry.yaml")
        .replace("$IMAGE", images::REGISTRY)
        .replace("$BLOBS_IMAGE", images::BUSYBOX)
        .replace("$STORAGE", &storage);
    kubectl.apply(&manifest)?;
    kubectl.run(&[
        "rollout",
        "status",
        "--namespace=models",
        "deployment/registry",
        "--timeout=60s",
    ])?;
    Ok(())
}

fn storage_folder() -> Result<PathBuf> {
    Ok(cache::folder("registry")?.join(format!("storage-{}", tools::OLLAMA)))
}

/// The registry's storage, filled once by `ollama push`.
///
/// # Errors
/// When Ollama or the registry can't be built or the push fails.
pub async fn storage() -> Result<PathBuf> {
    let storage = storage_folder()?;
    let lock = cache::folder("registry")?.join(".lock");
    let _lock = tokio::task::spawn_blocking(move || {
        tools::ensure(&[Tool::Registry])?;
        cache::lock(&lock)
    })
    .await??;
    if !storage.exists() {
        let step = progress::step("registry of models");
        fill(&storage).await?;
        step.done();
    }
    Ok(storage)
}

async fn fill(storage: &PathBuf) -> Result<()> {
    let ollama = Ollama::start().await?;
    let registry = Registry::empty().await?;
    let name = format!("{}/library/{}", registry.address(), model::NAME);
    command::output(ollama.command()?.args(["cp", model::NAME, &name]))?;
    command::output(ollama.command()?.args(["push", "--insecure", &name]))?;
    fs::rename(registry.workspace.path().join("data"), storage)?;
    Ok(())
}

/// A registry on the loopback address, ended when dropped.
pub struct Registry {
    process: Process,
    port: Port,
    workspace: Workspace,
}

impl Registry {
    /// One that has gemma3:270m, from [`storage`], and sends whoever wants the models' files to the server at `blobs`
    /// (`http://HOST:PORT`), as Ollama demands it. There they are under their paths in the storage.
    ///
    /// # Errors
    /// When it can't be built or filled, or doesn't start.
    pub async fn filled(blobs: &str) -> Result<Self> {
        let redirect =
            format!("middleware: {{storage: [{{name: redirect, options: {{baseurl: '{blobs}'}}}}]}}\n");
        Self::start(Workspace::create()?, &storage().await?, &redirect).await
    }

    async fn empty() -> Result<Self> {
        let workspace = Workspace::create()?;
        let data = workspace.path().join("data");
        Self::start(workspace, &data, "").await
    }

    async fn start(workspace: Workspace, data: &Path, more: &str) -> Result<Self> {
        let port = Port::reserve()?;
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: workspace.logs(),
        };
        let address = format!("127.0.0.1:{}", port.number());
        let environment: [(&str, &OsStr); 3] = [
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", data.as_os_str()),
            ("REGISTRY_HTTP_ADDR", address.as_ref()),
            ("OTEL_TRACES_EXPORTER", "none".as_ref()),
        ];
        let config = workspace.path().join("config.yaml");
        fs::write(&config, format!("{CONFIG}{more}"))?;
        let arguments = ["serve".into(), config];
        let process = launcher.start("registry", &Tool::Registry.path()?, arguments, &environment)?;
        let mut registry = Self {
            process,
            port,
            workspace,
        };
        let client = HttpClient::new(&format!("http://{}", registry.address()));
        wait_until(
            "registry ready",
            Duration::from_secs(30),
            [&mut registry.process],
            async || client.get("/v2/", &[]).await.map(drop),
        )
        .await?;
        Ok(registry)
    }

    /// Its host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number())
    }
}
