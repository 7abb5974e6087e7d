//! The controllers and the scheduler.

use anyhow::Result;

use super::api_server::ApiServer;
use crate::process::Launcher;
use crate::tools::Tool;

/// How often a second both may ask the API server. Their defaults are for clusters where they would crowd out others.
const UNTHROTTLED: [&str; 2] = ["--kube-api-qps=5000", "--kube-api-burst=5000"];

/// Starts kube-controller-manager, with further flags, and kube-scheduler; both wait for the API server by themselves.
pub(super) fn start(server: &mut ApiServer, launcher: &Launcher, extra: &[&str]) -> Result<()> {
    let manager = server.component("controller-manager", "system:kube-controller-manager", None)?;
    let mut arguments = vec![
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
    arguments.extend(
        UNTHROTTLED
            .iter()
            .chain(extra)
            .map(|&argument| argument.to_owned()),
    );
    let program = Tool::KubeControllerManager.path()?;
    server
        .processes
        .push(launcher.start("kube-controller-manager", &program, arguments, &[])?);

    let scheduler = server.component("scheduler", "system:kube-scheduler", None)?;
    let mut arguments = vec![
        format!("--kubeconfig={}", scheduler.display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    arguments.extend(UNTHROTTLED.map(str::to_owned));
    server
        .processes
        .push(launcher.start("kube-scheduler", &Tool::KubeScheduler.path()?, arguments, &[])?);
    Ok(())
}
