//! Level 1: etcd and the API server on 127.0.0.1, without controllers or nodes. Any user can run it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client, ResourceExt};
use tokio::sync::OnceCell;

use super::api_server::{self, ApiServer, Settings};
use super::audit::AuditLog;
use super::workspace::Workspace;
use crate::port::Port;
use crate::process::Launcher;
use crate::tools::{self, Tool};

/// A running API server; ends when dropped, or when its owner dies.
///
/// Nothing but the API server acts on objects: no garbage collection, no Pods of a Deployment, and a deleted
/// namespace stays.
pub struct ControlPlane {
    // In the order of the end: the servers before their folder.
    server: ApiServer,
    _ports: Vec<Port>,
    _workspace: Workspace,
}

impl ControlPlane {
    /// Builds what is missing, starts a new one and waits until it is ready.
    ///
    /// # Errors
    /// When a build fails or a server doesn't start.
    pub async fn start() -> Result<Self> {
        tokio::task::spawn_blocking(|| tools::ensure(&[Tool::Etcd, Tool::KubeApiserver])).await??;
        let ports = (0..3).map(|_| Port::reserve()).collect::<Result<Vec<Port>>>()?;
        let workspace = Workspace::create()?;
        let settings = Settings {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: ports[0].number(),
            etcd_ports: [ports[1].number(), ports[2].number()],
            // Nobody makes the service accounts that the admission plugin would wait for.
            extra: &[
                "--disable-admission-plugins=ServiceAccount",
                "--endpoint-reconciler-type=none",
            ],
        };
        let launcher = Launcher {
            prefix: Vec::new(),
            logs: workspace.logs(),
        };
        let server = ApiServer::start(&settings, &workspace, &launcher)?;
        let mut cluster = Self {
            server,
            _ports: ports,
            _workspace: workspace,
        };
        cluster.server.ready().await?;
        Ok(cluster)
    }

    /// One for all tests of this process, which keep apart by [`Self::namespace`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// A client with every right. It belongs to the runtime that asks: each test asks for its own.
    ///
    /// # Errors
    /// When the kubeconfig is gone.
    pub async fn client(&self) -> Result<Client> {
        api_server::client(self.kubeconfig()).await
    }

    /// Makes a namespace of which nobody else knows and answers with its name.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let metadata = ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            ..ObjectMeta::default()
        };
        let namespace = Namespace {
            metadata,
            ..Namespace::default()
        };
        let api = Api::<Namespace>::all(self.client().await?);
        Ok(api.create(&PostParams::default(), &namespace).await?.name_any())
    }

    /// The kubeconfig of a user with every right.
    pub fn kubeconfig(&self) -> &Path {
        &self.server.kubeconfig
    }

    /// Who asked for what.
    pub fn audit(&self) -> &AuditLog {
        &self.server.audit
    }
}
