//! A cluster with Corral installed as a user installs it: by helm, from the chart.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cluster::{Kubectl, Node, node};
use crate::tools::{self, Tool};
use crate::{cache, command, images, progress, registry};

/// The namespace of the operator.
pub const SYSTEM: &str = "corral-system";

/// The release's name.
const RELEASE: &str = "corral";

/// Where Corral is to run.
#[derive(Clone, Debug)]
pub enum Place {
    /// A node of its own, with that many GPUs that are none.
    OwnNode {
        /// How many.
        gpus: u32,
    },
    /// The cluster of the current context.
    Current {
        /// Where to push Corral's images; without it the cluster has them or pulls the released ones.
        registry: Option<String>,
    },
}

/// A cluster with Corral in it. Everything in it ends when it is dropped, or when its owner dies; in the user's own
/// cluster, what was installed is uninstalled when it is dropped.
pub struct Lab {
    release: Release,
    node: Option<Node>,
}

impl Lab {
    /// Builds what is missing, starts the cluster and installs Corral.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn start(place: &Place) -> Result<Self> {
        match place {
            Place::OwnNode { gpus } => Self::own(*gpus).await,
            Place::Current { registry } => {
                let registry = registry.clone();
                tokio::task::spawn_blocking(move || Self::current(registry.as_deref())).await?
            }
        }
    }

    async fn own(gpus: u32) -> Result<Self> {
        let images = tokio::task::spawn_blocking(|| {
            Node::prepare()?;
            tools::ensure(&[Tool::Helm, Tool::Ollama, Tool::Registry])?;
            let mut images = images::basic()?;
            images.extend([images::ollama()?, images::registry()?]);
            images.extend(images::corral()?);
            anyhow::Ok(images)
        })
        .await??;
        registry::storage().await?;
        let node = Node::start(&node::Options { images, gpus }).await?;
        let kubectl = Kubectl::new(Some(node.kubeconfig()))?;
        let release = Release {
            kubectl,
            kubeconfig: Some(node.kubeconfig().to_owned()),
            uninstall: false,
        };
        let lab = Self {
            release,
            node: Some(node),
        };
        let step = progress::step("registry with gemma3:270m in the cluster");
        registry::deploy(lab.kubectl())?;
        step.done();
        lab.release.install(&[])?;
        Ok(lab)
    }

    fn current(registry: Option<&str>) -> Result<Self> {
        tools::ensure(&[Tool::Helm, Tool::Kubectl, Tool::Crane])?;
        let kubectl = Kubectl::new(None)?;
        kubectl
            .run(&["get", "--raw", "/readyz"])
            .context("the cluster of the current context does not answer")?;
        let mut release = Release {
            kubectl,
            kubeconfig: None,
            uninstall: false,
        };
        if release.exists()? {
            bail!(
                "this cluster has the release {RELEASE} in {SYSTEM} already; uninstall it first: helm uninstall {RELEASE} -n {SYSTEM}"
            );
        }
        let values = match registry {
            Some(registry) => push(registry)?,
            None => Vec::new(),
        };
        release.uninstall = true;
        release.install(&values)?;
        Ok(Self { release, node: None })
    }

    /// kubectl for this cluster.
    pub fn kubectl(&self) -> &Kubectl {
        &self.release.kubectl
    }

    /// The node, if it is our own.
    pub fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }
}

/// Pushes Corral's images and answers with the chart's values that name them.
fn push(registry: &str) -> Result<Vec<String>> {
    let mut values = Vec::new();
    for (archive, name) in images::corral()?.iter().zip(["operator", "proxy"]) {
        let repository = format!("{registry}/corral-{name}");
        let target = format!("{repository}:{}", env!("CARGO_PKG_VERSION"));
        let step = progress::step(format!("push {target}"));
        let mut crane = Command::new(Tool::Crane.path()?);
        command::output(crane.arg("push").arg(archive).arg(&target))?;
        values.push(format!("images.{name}.repository={repository}"));
        step.done();
    }
    Ok(values)
}

/// What helm has installed.
struct Release {
    kubectl: Kubectl,
    kubeconfig: Option<PathBuf>,
    uninstall: bool,
}

impl Release {
    fn helm(&self, arguments: &[&str]) -> Result<Command> {
        let mut helm = Command::new(Tool::Helm.path()?);
        if let Some(kubeconfig) = &self.kubeconfig {
            helm.env("KUBECONFIG", kubeconfig);
        }
        helm.args(arguments).args(["--namespace", SYSTEM]);
        Ok(helm)
    }

    fn exists(&self) -> Result<bool> {
        Ok(command::output(&mut self.helm(&["list", "--short", "--all"])?)?
            .lines()
            .any(|name| name == RELEASE))
    }

    fn install(&self, values: &[String]) -> Result<()> {
        let step = progress::step("helm install corral");
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/corral");
        let mut helm = self.helm(&["install", RELEASE])?;
        helm.arg(&chart).args([
            "--create-namespace",
            "--wait",
            "--timeout=2m",
            "--set=crds.keep=false",
        ]);
        helm.args(values.iter().map(|value| format!("--set={value}")));
        let log = cache::folder("logs")?.join("helm.log");
        if let Err(error) = command::run_logged(&mut helm, &log) {
            bail!("{error}\n{}", self.what_went_wrong());
        }
        step.done();
        Ok(())
    }

    /// helm says that it ran out of time; the reason stands elsewhere.
    fn what_went_wrong(&self) -> String {
        let say = |arguments: &[&str]| {
            self.kubectl
                .run(arguments)
                .unwrap_or_else(|error| error.to_string())
        };
        let namespace = format!("--namespace={SYSTEM}");
        let selector = "--selector=app.kubernetes.io/name=corral";
        [
            say(&["get", "pods", &namespace]),
            say(&["get", "events", &namespace, "--field-selector=type=Warning"]),
            say(&["logs", &namespace, selector, "--tail=20", "--prefix"]),
        ]
        .join("\n")
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if !self.uninstall {
            return;
        }
        let removed = self
            .helm(&["uninstall", RELEASE, "--wait", "--ignore-not-found"])
            .and_then(|mut helm| command::output(&mut helm))
            .and_then(|_| {
                self.kubectl
                    .run(&["delete", "namespace", SYSTEM, "--ignore-not-found"])
            });
        if let Err(error) = removed {
            progress::say(&format!("could not uninstall everything: {error:#}"));
        }
    }
}
