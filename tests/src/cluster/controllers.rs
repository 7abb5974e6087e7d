//! The controllers and the scheduler.

use anyhow::Result;

use super::api_server::ApiServer;
use crate::process::Launcher;
use crate::tools::Tool;

/// Starts kube-controller-manager and kube-scheduler; both wait for the API server by themselves.
pub(super) fn start(server: &mut ApiServer, launcher: &Launcher) -> Result<()> {
    let manager = server.component("controller-manager", "system:kube-controller-manager", None)?;
    let arguments = [
        format!("--kubeconfig={}", manager.display()),
        format!(
            "--service-account-private-key-file={}",
            server.service_account_key.display()
        ),
        format!("--root-ca-file={}", server.authority.certificate().display()),
        "--use-service-account-credentials".to_owned(),
        "--leader-elect=false".to_owned(),
        // Not served: nobody asks, and the port would have to be a free one.
        "--secure-port=0".to_owned(),
    ];
    let program = Tool::KubeControllerManager.path()?;
    server
        .processes
        .push(launcher.start("kube-controller-manager", &program, arguments, &[])?);

    let scheduler = server.component("scheduler", "system:kube-scheduler", None)?;
    let arguments = [
        format!("--kubeconfig={}", scheduler.display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    server
        .processes
        .push(launcher.start("kube-scheduler", &Tool::KubeScheduler.path()?, arguments, &[])?);
    Ok(())
}
