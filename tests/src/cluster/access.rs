//! How to reach a cluster.

use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};

use super::audit::AuditLog;

/// What the levels have in common for their users.
#[derive(Clone, Debug)]
pub struct Access {
    pub(super) kubeconfig: PathBuf,
    pub(super) audit: AuditLog,
}

impl Access {
    /// A client with every right. It belongs to the runtime that asks: each test asks for its own.
    ///
    /// # Errors
    /// When the kubeconfig is gone.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
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
        &self.kubeconfig
    }

    /// Who asked for what.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }
}

pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
