//! Level 1: etcd and the API server on 127.0.0.1, without controllers or nodes. Any user can run it.

use std::net::Ipv4Addr;
use std::ops::Deref;

use anyhow::Result;
use tokio::sync::OnceCell;

use super::access::Access;
use super::api_server::{ApiServer, Settings};
use crate::port::Port;
use crate::process::Launcher;
use crate::tools::{self, Tool};
use crate::workspace::Workspace;

/// A running API server; ends when dropped, or when its owner dies.
///
/// Nothing but the API server acts on objects: no garbage collection, no Pods of a Deployment, and a deleted
/// namespace stays.
pub struct ControlPlane {
    // In the order of the end: the servers before their folder.
    pub(super) server: ApiServer,
    pub(super) launcher: Launcher,
    _ports: Vec<Port>,
    _workspace: Workspace,
}

impl ControlPlane {
    /// What it takes.
    pub const TOOLS: &'static [Tool] = &[Tool::Etcd, Tool::KubeApiserver];

    /// Builds what is missing, starts a new one and waits until it is ready.
    ///
    /// # Errors
    /// When a build fails or a server doesn't start.
    pub async fn start() -> Result<Self> {
        tokio::task::spawn_blocking(|| tools::ensure(Self::TOOLS)).await??;
        // Nobody makes the service accounts that the admission plugin would wait for.
        Self::start_with(&["--disable-admission-plugins=ServiceAccount"]).await
    }

    pub(super) async fn start_with(extra: &'static [&'static str]) -> Result<Self> {
        let ports = (0..3).map(|_| Port::reserve()).collect::<Result<Vec<Port>>>()?;
        let workspace = Workspace::create()?;
        let settings = Settings {
            address: Ipv4Addr::LOCALHOST,
            port: ports[0].number(),
            etcd_ports: [ports[1].number(), ports[2].number()],
            extra,
        };
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: workspace.logs(),
        };
        let server = ApiServer::start(&settings, &workspace, &launcher)?;
        let mut cluster = Self {
            server,
            launcher,
            _ports: ports,
            _workspace: workspace,
        };
        cluster.server.ready().await?;
        Ok(cluster)
    }

    /// One for all tests of this process, which keep apart by [`Access::namespace`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }
}

impl Deref for ControlPlane {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.server.access
    }
}
