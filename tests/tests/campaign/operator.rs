//! The operator as a process, which can be killed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use corral_tests::http_client::HttpClient;
use corral_tests::port::Port;
use corral_tests::process::{Launcher, Process};

/// A running operator; killed by SIGKILL when dropped.
pub(crate) struct Operator {
    process: Process,
    metrics: HttpClient,
    log: PathBuf,
    _port: Port,
}

impl Operator {
    /// Starts one, with its log in a file of that name.
    pub(crate) fn start(
        program: &Path,
        launcher: &Launcher,
        name: &str,
        kubeconfig: &Path,
        arguments: &[String],
    ) -> Result<Self> {
        let port = Port::reserve()?;
        let address = format!("127.0.0.1:{}", port.number());
        let mut all = vec!["run".to_owned(), format!("--metrics-listen={address}")];
        all.extend_from_slice(arguments);
        let environment = [
            ("KUBECONFIG", kubeconfig.as_os_str()),
            ("RUST_LOG", "debug,hyper=info,tower=info,h2=info".as_ref()),
            ("RUST_BACKTRACE", "1".as_ref()),
        ];
        let process = launcher.start(name, program, all, &environment)?;
        Ok(Self {
            log: process.log().to_owned(),
            process,
            metrics: HttpClient::new(&format!("http://{address}")),
            _port: port,
        })
    }

    /// Where its log is.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Fails when it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    /// Its metrics.
    pub(crate) async fn metrics(&self) -> Result<String> {
        self.metrics.get("/metrics", &[]).await
    }

    /// Whether it has looked at an OllamaService.
    pub(crate) async fn has_looked(&self) -> Result<bool> {
        let metrics = self.metrics().await?;
        let mut lines = metrics.lines();
        Ok(lines.any(|line| line.starts_with("corral_operator_reconciles_total")))
    }
}
