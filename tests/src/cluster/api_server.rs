//! etcd and the API server, the same at every level.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::access::Access;
use super::audit::AuditLog;
use crate::pki::{Authority, Identity};
use crate::process::{Launcher, Process, wait_until};
use crate::tools::Tool;
use crate::workspace::Workspace;

/// The Services' network; its first address is the API server's.
pub(super) const SERVICE_NETWORK: &str = "10.96.0.0/16";

/// What differs between levels.
pub(super) struct Settings {
    /// Address at which the owner, and Pods if there are any, reach the API server.
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    pub(super) etcd_ports: [u16; 2],
    /// Further flags of the API server.
    pub(super) extra: &'static [&'static str],
}

/// A running etcd and API server.
pub(super) struct ApiServer {
    pub(super) processes: Vec<Process>,
    pub(super) authority: Authority,
    pub(super) administrator: Identity,
    pub(super) service_account_key: PathBuf,
    pub(super) access: Access,
    url: String,
    folder: PathBuf,
}

impl ApiServer {
    /// Starts both; [`Self::ready`] waits for them.
    pub(super) fn start(settings: &Settings, workspace: &Workspace, launcher: &Launcher) -> Result<Self> {
        let authority = Authority::create(&workspace.path().join("pki"))?;
        let administrator = authority.issue("administrator", "administrator", Some("system:masters"), &[])?;
        let url = format!("https://{}:{}", settings.address, settings.port);
        let kubeconfig = workspace.path().join("kubeconfig");
        authority.kubeconfig(&kubeconfig, &url, &administrator)?;
        let audit = AuditLog::create(workspace.path())?;
        let mut server = Self {
            processes: Vec::new(),
            service_account_key: authority.key_pair("service-account")?,
            authority,
            administrator,
            access: Access { kubeconfig, audit },
            url,
            folder: workspace.path().to_owned(),
        };
        server.start_etcd(settings, launcher)?;
        server.start_api_server(settings, launcher)?;
        Ok(server)
    }

    fn start_etcd(&mut self, settings: &Settings, launcher: &Launcher) -> Result<()> {
        let [client, peer] = settings.etcd_ports.map(|port| format!("http://127.0.0.1:{port}"));
        let data = self.folder.join("etcd");
        let arguments = [
            format!("--data-dir={}", data.display()),
            "--unsafe-no-fsync".to_owned(),
            // Enough for the history of thousands of objects; the default is 2 GiB.
            "--quota-backend-bytes=8589934592".to_owned(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
        ];
        self.processes
            .push(launcher.start("etcd", &Tool::Etcd.path()?, arguments, &[])?);
        Ok(())
    }

    fn start_api_server(&mut self, settings: &Settings, launcher: &Launcher) -> Result<()> {
        let Settings {
            address,
            port,
            etcd_ports,
            extra,
        } = settings;
        let mut hosts: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "127.0.0.1",
            "10.96.0.1",
        ]
        .map(str::to_owned)
        .to_vec();
        hosts.push(address.to_string());
        let serving = self
            .authority
            .issue("api-server", "kube-apiserver", None, &hosts)?;
        let mut arguments = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", etcd_ports[0]),
            format!("--bind-address={address}"),
            format!("--advertise-address={address}"),
            format!("--secure-port={port}"),
            format!("--service-cluster-ip-range={SERVICE_NETWORK}"),
            format!("--client-ca-file={}", self.authority.certificate().display()),
            format!("--tls-cert-file={}", serving.certificate.display()),
            format!("--tls-private-key-file={}", serving.key.display()),
            format!(
                "--kubelet-client-certificate={}",
                self.administrator.certificate.display()
            ),
            format!("--kubelet-client-key={}", self.administrator.key.display()),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            // An endpoint may not be a loopback address; where it is one, nobody in the cluster asks for it.
            format!(
                "--endpoint-reconciler-type={}",
                if address.is_loopback() { "none" } else { "lease" }
            ),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!(
                "--service-account-key-file={}",
                self.service_account_key.with_extension("pub").display()
            ),
            format!(
                "--service-account-signing-key-file={}",
                self.service_account_key.display()
            ),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
        ];
        arguments.extend(self.access.audit.arguments());
        arguments.extend(extra.iter().map(|&argument| argument.to_owned()));
        self.processes.push(launcher.start(
            "kube-apiserver",
            &Tool::KubeApiserver.path()?,
            arguments,
            &[],
        )?);
        Ok(())
    }

    /// Writes the kubeconfig of a component and answers with its path.
    pub(super) fn component(&self, name: &str, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let identity = self.authority.issue(name, user, group, &[])?;
        let path = self.folder.join(format!("{name}.kubeconfig"));
        self.authority.kubeconfig(&path, &self.url, &identity)?;
        Ok(path)
    }

    /// Waits until the API server says that it is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let client = self.access.client().await?;
        wait_until(
            "API server ready",
            Duration::from_secs(90),
            &mut self.processes,
            async || {
                let request = http::Request::get("/readyz").body(Vec::new())?;
                client.request_text(request).await.context("/readyz").map(drop)
            },
        )
        .await
    }
}
