//! Level 2: a control plane with controllers, a scheduler and a node that exists in name only: kwok says of its Pods
//! that they are Ready. Any user can run it.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::access::Access;
use super::control_plane::ControlPlane;
use super::controllers;
use crate::process::wait_until;
use crate::tools::{self, Tool};

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
        tokio::task::spawn_blocking(|| tools::ensure(Self::TOOLS)).await??;
        let mut control_plane = ControlPlane::start_with(&[]).await?;
        controllers::start(&mut control_plane.server, &control_plane.launcher)?;
        start_kwok(&mut control_plane)?;
        let mut cluster = Self { control_plane };
        cluster.add_node().await?;
        Ok(cluster)
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

fn start_kwok(control_plane: &mut ControlPlane) -> Result<()> {
    let kubeconfig = control_plane.kubeconfig().display().to_string();
    let arguments = [
        format!("--kubeconfig={kubeconfig}"),
        "--manage-all-nodes=true".to_owned(),
        // Without it the node's lease is never renewed, and its Pods are evicted.
        "--node-lease-duration-seconds=40".to_owned(),
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
