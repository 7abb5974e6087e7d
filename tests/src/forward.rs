//! `kubectl port-forward`, as a user without a way into the cluster's network uses it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

use tempfile::TempDir;

use crate::cluster::Kubectl;
use crate::http_client::HttpClient;
use crate::process::{Process, wait_until};

/// A port of a Pod or Service on the loopback address; closed when dropped.
pub struct Forward {
    _process: Process,
    _logs: TempDir,
    url: String,
}

impl Forward {
    /// Forwards to a port of `pod/NAME` or `service/NAME`.
    ///
    /// # Errors
    /// When kubectl refuses.
    pub async fn start(kubectl: &Kubectl, namespace: &str, target: &str, port: u16) -> Result<Self> {
        let logs = tempfile::tempdir()?;
        let ports = format!(":{port}");
        let arguments = ["port-forward", "--namespace", namespace, target, &ports];
        let mut process = kubectl.start(&arguments, logs.path())?;
        let log = process.log().to_owned();
        let what = format!("port-forward to {target}");
        let url = wait_until(&what, Duration::from_secs(20), [&mut process], async || {
            let text = fs::read_to_string(&log)?;
            let address = text
                .split_whitespace()
                .find(|word| word.starts_with("127.0.0.1:"));
            Ok(format!("http://{}", address.context("no address yet")?))
        })
        .await?;
        Ok(Self {
            _process: process,
            _logs: logs,
            url,
        })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of it.
    pub fn client(&self) -> HttpClient {
        HttpClient::new(&self.url)
    }
}
