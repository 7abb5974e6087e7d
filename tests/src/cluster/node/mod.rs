//! Level 3: a whole node that runs real Pods, in network, mount and process namespaces of its own.
//!
//! The first process of the process namespace lives as long as a pipe that the owner holds: when the owner ends,
//! by whatever means, the kernel kills every process in it, and with the last one go mounts, interfaces and
//! firewall rules. Two nodes side by side can't collide: inside, each has the usual ports and folders.

mod cgroups;
mod files;
mod network;
mod objects;
mod requirements;
mod sandbox;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Api;

use super::access::Access;
use super::api_server::{ApiServer, Settings};
use super::controllers;
use crate::command;
use crate::http_client::HttpClient;
use crate::process::{Away, Launcher, Process, wait_until};
use crate::progress;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;
pub use requirements::unsupported;

/// The node's name.
pub const NAME: &str = "local";

/// A running node with its control plane; ends when dropped, or when its owner dies.
pub struct Node {
    // In the order of the end: first everything that runs, last the folder.
    sandbox: sandbox::Sandbox,
    server: ApiServer,
    launcher: Launcher,
    network: network::Network,
    _cgroups: cgroups::Cgroups,
    workspace: Workspace,
}

/// What a node is to have.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Image archives, as `docker save` writes them.
    pub images: Vec<PathBuf>,
    /// How many GPUs the node says it has. Pods that ask for them are scheduled and run; there is no device.
    pub gpus: u32,
}

const TOOLS: &[Tool] = &[
    Tool::Etcd,
    Tool::KubeApiserver,
    Tool::KubeControllerManager,
    Tool::KubeScheduler,
    Tool::Kubelet,
    Tool::KubeProxy,
    Tool::Kubectl,
    Tool::CoreDns,
];

impl Node {
    /// Installs and builds what is missing; says so first. Idempotent.
    ///
    /// # Errors
    /// When this machine can't run a node, or a build fails.
    pub fn prepare() -> Result<()> {
        requirements::ensure()?;
        tools::ensure(TOOLS)
    }

    /// Starts a new one and waits until it runs Pods.
    ///
    /// # Errors
    /// When this machine can't run a node, or a part of it doesn't start.
    pub async fn start(options: &Options) -> Result<Self> {
        tokio::task::spawn_blocking(Self::prepare).await??;
        let step = progress::step("Kubernetes node");
        let mut node = Self::boot()?;
        node.server.ready().await?;
        node.start_components()?;
        node.import(&options.images)?;
        node.ready().await?;
        objects::create(
            &node.client().await?,
            &node.workspace.path().join("volumes"),
            options.gpus,
        )
        .await?;
        step.done();
        Ok(node)
    }

    fn boot() -> Result<Self> {
        let workspace = Workspace::create()?;
        let id = workspace.id();
        let cgroups = cgroups::Cgroups::create(&id)?;
        files::create(workspace.path(), &cgroups.root())?;
        let sandbox = sandbox::Sandbox::start(workspace.path())?;
        let launcher = Launcher {
            prefix: sandbox.prefix(),
            logs: workspace.logs(),
        };
        let network = network::Network::create(&id, &sandbox, &launcher)?;
        let settings = Settings {
            address: network.address(),
            port: 6443,
            etcd_ports: [2379, 2380],
            extra: &[],
        };
        let server = ApiServer::start(&settings, &workspace, &launcher)?;
        Ok(Self {
            sandbox,
            server,
            launcher,
            network,
            _cgroups: cgroups,
            workspace,
        })
    }

    fn start_components(&mut self) -> Result<()> {
        controllers::start(&mut self.server, &self.launcher, &[])?;
        self.start_containerd()?;
        self.start_kubelet()?;
        self.start_kube_proxy()?;
        self.start_coredns()
    }

    fn start_containerd(&mut self) -> Result<()> {
        self.start_component(
            "containerd",
            Path::new("containerd"),
            &[self.config("containerd.toml")],
        )?;
        self.wait_for_containerd()
    }

    fn start_kubelet(&mut self) -> Result<()> {
        let (user, group) = (format!("system:node:{NAME}"), Some("system:nodes"));
        let address = self.network.address();
        let hosts = [NAME.to_owned(), address.to_string()];
        self.server
            .authority
            .issue("kubelet-server", &user, group, &hosts)?;
        let arguments = [
            self.config("kubelet.json"),
            format!(
                "--kubeconfig={}",
                self.server.component("kubelet", &user, group)?.display()
            ),
            format!("--hostname-override={NAME}"),
            format!("--node-ip={address}"),
        ];
        self.start_component("kubelet", &Tool::Kubelet.path()?, &arguments)
    }

    fn start_kube_proxy(&mut self) -> Result<()> {
        let kubeconfig = self.server.component("kube-proxy", "system:kube-proxy", None)?;
        files::write_kube_proxy(self.workspace.path(), &kubeconfig)?;
        self.start_component(
            "kube-proxy",
            &Tool::KubeProxy.path()?,
            &[self.config("kube-proxy.json")],
        )
    }

    fn start_coredns(&mut self) -> Result<()> {
        files::write_coredns(self.workspace.path(), self.server.access.kubeconfig())?;
        let corefile = self.workspace.path().join("Corefile");
        self.start_component(
            "coredns",
            &Tool::CoreDns.path()?,
            &[format!("-conf={}", corefile.display())],
        )
    }

    fn start_component(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        self.server
            .processes
            .push(self.launcher.start(name, program, arguments, &[])?);
        Ok(())
    }

    fn config(&self, file: &str) -> String {
        format!("--config={}", self.workspace.path().join(file).display())
    }

    fn wait_for_containerd(&mut self) -> Result<()> {
        let start = std::time::Instant::now();
        while let Err(error) = command::output(self.launcher.command("ctr").arg("version")) {
            self.check()?;
            if start.elapsed() > Duration::from_secs(30) {
                return Err(error.context("containerd: not within 30 s"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    async fn ready(&mut self) -> Result<()> {
        let nodes = Api::<NodeObject>::all(self.client().await?);
        let address = self.network.address();
        let limit = Duration::from_secs(90);
        let processes = &mut self.server.processes;
        wait_until("node ready", limit, &mut *processes, async || {
            ready(&nodes.get(NAME).await?).context("the node is not Ready")
        })
        .await?;
        for (what, port, path) in [("kube-proxy", 10256, "/healthz"), ("CoreDNS", 8181, "/ready")] {
            wait_until(what, limit, &mut *processes, async || {
                let served = HttpClient::new(&format!("http://{address}:{port}"));
                served.get(path, &[]).await.map(drop)
            })
            .await?;
        }
        Ok(())
    }

    /// Loads image archives into the node.
    ///
    /// # Errors
    /// When containerd refuses one.
    pub fn import(&self, archives: &[PathBuf]) -> Result<()> {
        for archive in archives {
            let mut ctr = self.launcher.command("ctr");
            ctr.args(["--namespace", "k8s.io", "images", "import"])
                .arg(archive);
            command::output(&mut ctr).with_context(|| format!("image {}", archive.display()))?;
        }
        Ok(())
    }

    /// A command that runs inside the node, where Pod and Service addresses are reachable.
    pub fn command(&self, program: &str) -> Command {
        self.launcher.command(program)
    }

    /// Kills a part of it and keeps it away until the answer is dropped.
    ///
    /// # Errors
    /// When there is none of that name, or it doesn't run.
    pub fn take_away(&self, part: &str) -> Result<Away> {
        let process = self
            .server
            .processes
            .iter()
            .find(|process| process.name() == part);
        let away = process
            .with_context(|| format!("no part of the node is called {part}"))?
            .stay_away()?;
        // Its own process namespace has no other process of that name.
        command::output(self.command("pkill").args(["-KILL", "-x", part]))?;
        Ok(away)
    }

    /// Are all parts still running?
    ///
    /// # Errors
    /// When one has ended; the message has the end of its log.
    pub fn check(&mut self) -> Result<()> {
        self.sandbox.check()?;
        self.server.processes.iter_mut().try_for_each(Process::check)
    }

    /// The folder with the logs of all parts.
    pub fn logs(&self) -> PathBuf {
        self.workspace.logs()
    }
}

impl Deref for Node {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.server.access
    }
}

/// Removes what a node leaves whose owner was killed: its control groups. Processes, mounts and interfaces went with
/// the namespaces.
pub(crate) fn remove_remains(id: &str) -> Result<()> {
    cgroups::remove(id)
}

/// Whether a node's condition says that it is ready.
pub(super) fn ready(node: &NodeObject) -> Option<()> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
        .then_some(())
}
