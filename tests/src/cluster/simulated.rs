//! Level 2: a control plane with controllers, a scheduler and a node that exists in name only: kwok says of its Pods
//! that they are Ready. Any user can run it.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::access::Access;
use super::control_plane::ControlPlane;
use super::controllers;
use crate::process::{Process, wait_until};
use crate::tools::{self, Tool};

/// Nothing answers at these Pods' addresses, and endpoints refuse those of the loopback network.
const WITHOUT_ENDPOINTS: &[&str] =
    &["--controllers=*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller"];

/// A running cluster of that level; ends when dropped, or when its owner dies.
pub struct Simulated {
    control_plane: ControlPlane,
}

impl Simulated {
    /// What it takes.
    pub const TOOLS: &'static [Tool] = &[
        Tool::Etcd,
        Tool::KubeApiserver,
        Tool::KubeControllerManager,
        Tool::KubeScheduler,
        Tool::Kwok,
    ];

    /// Builds what is missing, starts a new one and waits until Pods can be made and scheduled.
    ///
    /// # Errors
    /// When a build fails or a server doesn't start.
    pub async fn start() -> Result<Self> {
        Self::start_on("10.0.0.1/24").await
    }

    /// The same with Pods that have addresses of that network. On the loopback network somebody can answer for them.
    ///
    /// # Errors
    /// When a build fails or a server doesn't start.
    pub async fn start_on(pod_network: &str) -> Result<Self> {
        tokio::task::spawn_blocking(|| tools::ensure(Self::TOOLS)).await??;
        let mut control_plane = ControlPlane::start_with(&[]).await?;
        controllers::start(
            &mut control_plane.server,
            &control_plane.launcher,
            WITHOUT_ENDPOINTS,
        )?;
        start_kwok(&mut control_plane, pod_network)?;
        let mut cluster = Self { control_plane };
        cluster.add_node().await?;
        Ok(cluster)
    }

    /// Writes the kubeconfig of a user of that name with every right, and answers with its path: the audit log tells users apart.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn user(&self, name: &str) -> Result<PathBuf> {
        self.control_plane
            .server
            .component(name, name, Some("system:masters"))
    }

    /// The servers that it consists of.
    pub fn processes(&self) -> &[Process] {
        &self.control_plane.server.processes
    }

    async fn add_node(&mut self) -> Result<()> {
        let resources = json!({"cpu": "32", "memory": "256Gi", "pods": "250", "nvidia.com/gpu": "4"});
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": "simulated", "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"capacity": resources, "allocatable": resources},
        }))?;
        let client = self.client().await?;
        let nodes = Api::<Node>::all(client.clone());
        nodes.create(&PostParams::default(), &node).await?;
        let accounts = Api::<ServiceAccount>::namespaced(client, "default");
        let processes = &mut self.control_plane.server.processes;
        wait_until(
            "simulated node ready",
            Duration::from_secs(60),
            processes,
            async || {
                accounts.get("default").await?;
                super::node::ready(&nodes.get("simulated").await?).context("the node is not Ready")
            },
        )
        .await
    }
}

fn start_kwok(control_plane: &mut ControlPlane, pod_network: &str) -> Result<()> {
    let kubeconfig = control_plane.kubeconfig().display().to_string();
    let arguments = [
        format!("--kubeconfig={kubeconfig}"),
        "--manage-all-nodes=true".to_owned(),
        // Without it the node's lease is never renewed, and its Pods are evicted.
        "--node-lease-duration-seconds=40".to_owned(),
        format!("--cidr={pod_network}"),
    ];
    let process = control_plane
        .launcher
        .start("kwok", &Tool::Kwok.path()?, arguments, &[])?;
    control_plane.server.processes.push(process);
    Ok(())
}

impl Deref for Simulated {
    type Target = Access;

    fn deref(&self) -> &Access {
        &self.control_plane
    }
}
