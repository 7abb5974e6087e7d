//! The pinned programs, built once from their Go modules and cached as `tools/<name>-<version>/<name>`.
//!
//! Each has a module of its own under `tests/tools`, whose go.sum fixes every source it is built from.

pub(crate) mod debian;
pub(crate) mod go;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{cache, progress};

pub use debian::ensure_benchmark;

/// A program that a cluster or a test needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the program of that name")]
pub enum Tool {
    Etcd,
    KubeApiserver,
    KubeControllerManager,
    KubeScheduler,
    Kubelet,
    KubeProxy,
    Kubectl,
    CoreDns,
    Helm,
    Kwok,
    Crane,
    Ollama,
    Registry,
    H2spec,
}

/// The release of Kubernetes.
pub const KUBERNETES: &str = "1.34.4";
/// The release of Ollama.
pub const OLLAMA: &str = "0.17.4";

/// How a tool is built.
struct Recipe {
    name: &'static str,
    /// The folder under `tests/tools`.
    folder: &'static str,
    module: &'static str,
    version: &'static str,
    /// The main package within the module.
    package: &'static str,
    /// Variables set by the linker, with the tool's version.
    version_variables: &'static [&'static str],
    /// Ollama's runner is C++.
    cgo: bool,
    /// About how long a cold build takes on two cores, in seconds.
    seconds: u64,
}

const fn kubernetes(name: &'static str, package: &'static str, seconds: u64) -> Recipe {
    Recipe {
        name,
        folder: "kubernetes",
        module: "k8s.io/kubernetes",
        version: KUBERNETES,
        package,
        version_variables: &[
            "k8s.io/component-base/version.gitVersion",
            "k8s.io/client-go/pkg/version.gitVersion",
        ],
        cgo: false,
        seconds,
    }
}

const fn plain(
    name: &'static str,
    module: &'static str,
    version: &'static str,
    package: &'static str,
    seconds: u64,
) -> Recipe {
    Recipe {
        name,
        folder: name,
        module,
        version,
        package,
        version_variables: &[],
        cgo: false,
        seconds,
    }
}

impl Tool {
    const fn recipe(self) -> Recipe {
        match self {
            Self::Etcd => plain("etcd", "go.etcd.io/etcd/server/v3", "3.6.16", "", 30),
            Self::KubeApiserver => kubernetes("kube-apiserver", "cmd/kube-apiserver", 330),
            Self::KubeControllerManager => {
                kubernetes("kube-controller-manager", "cmd/kube-controller-manager", 120)
            }
            Self::KubeScheduler => kubernetes("kube-scheduler", "cmd/kube-scheduler", 40),
            Self::Kubelet => kubernetes("kubelet", "cmd/kubelet", 120),
            Self::KubeProxy => kubernetes("kube-proxy", "cmd/kube-proxy", 40),
            Self::Kubectl => kubernetes("kubectl", "cmd/kubectl", 60),
            Self::CoreDns => plain("coredns", "github.com/coredns/coredns", "1.14.7", "", 140),
            Self::Helm => plain("helm", "helm.sh/helm/v3", "3.21.4", "cmd/helm", 100),
            Self::Kwok => plain("kwok", "sigs.k8s.io/kwok", "0.7.0", "cmd/kwok", 100),
            Self::Crane => plain(
                "crane",
                "github.com/google/go-containerregistry",
                "0.22.1",
                "cmd/crane",
                30,
            ),
            Self::Ollama => Recipe {
                version_variables: &["github.com/ollama/ollama/version.Version"],
                cgo: true,
                ..plain("ollama", "github.com/ollama/ollama", OLLAMA, "", 600)
            },
            Self::Registry => plain(
                "registry",
                "github.com/distribution/distribution/v3",
                "3.1.2",
                "cmd/registry",
                120,
            ),
            Self::H2spec => plain(
                "h2spec",
                "github.com/summerwind/h2spec",
                "2.2.1+incompatible",
                "cmd/h2spec",
                20,
            ),
        }
    }

    /// Every tool.
    pub const ALL: &'static [Self] = &[
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubelet,
        Self::KubeProxy,
        Self::Kubectl,
        Self::CoreDns,
        Self::Helm,
        Self::Kwok,
        Self::Crane,
        Self::Ollama,
        Self::Registry,
        Self::H2spec,
    ];

    /// Where the program is once [`ensure`] has been called.
    ///
    /// # Errors
    /// Without a cache folder.
    pub fn path(self) -> Result<PathBuf> {
        let Recipe { name, version, .. } = self.recipe();
        Ok(cache::folder("tools")?
            .join(format!("{name}-{version}"))
            .join(name))
    }

    /// Its name and version.
    pub fn label(self) -> String {
        let Recipe { name, version, .. } = self.recipe();
        format!("{name} {version}")
    }
}

/// Builds what is missing, saying first what that is and how long it takes.
///
/// # Errors
/// When Go is missing or a build fails; the message has the end of the build's log.
pub fn ensure(tools: &[Tool]) -> Result<()> {
    let missing = missing(tools)?;
    if missing.is_empty() {
        return Ok(());
    }
    announce(&missing)?;
    missing.into_iter().try_for_each(build)
}

fn missing(tools: &[Tool]) -> Result<Vec<Tool>> {
    let mut missing = Vec::new();
    for tool in tools {
        if !tool.path()?.exists() {
            missing.push(*tool);
        }
    }
    Ok(missing)
}

fn announce(missing: &[Tool]) -> Result<()> {
    let names: Vec<String> = missing.iter().map(|tool| tool.label()).collect();
    let seconds: u64 = missing.iter().map(|tool| tool.recipe().seconds).sum();
    let time = progress::minutes(Duration::from_secs(seconds.div_ceil(60) * 60));
    let folder = cache::folder("tools")?;
    progress::say(&format!(
        "Building from source, once: {}.\nUp to {time} on two cores, less where Go has built them before; kept in {}.",
        names.join(", "),
        folder.display()
    ));
    Ok(())
}

fn build(tool: Tool) -> Result<()> {
    let recipe = tool.recipe();
    let tools = cache::folder("tools")?;
    let _lock = cache::lock(&tools.join(format!(".{}.lock", recipe.name)))?;
    if tool.path()?.exists() {
        return Ok(()); // Another run has built it while this one waited for the lock.
    }
    let step = progress::step(format!(
        "{} (about {})",
        tool.label(),
        progress::minutes(Duration::from_secs(recipe.seconds))
    ));
    let scratch = tempfile::Builder::new().prefix(".build-").tempdir_in(&tools)?;
    let log = cache::folder("logs")?.join(format!("build-{}.log", recipe.name));
    go::build(&recipe, &scratch.path().join(recipe.name), &log)?;
    let target = tools.join(format!("{}-{}", recipe.name, recipe.version));
    fs::rename(scratch.path(), &target)
        .with_context(|| format!("can't move the build to {}", target.display()))?;
    step.done();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_the_one_that_its_module_pins() {
        for tool in Tool::ALL {
            let recipe = tool.recipe();
            let path = go::folder(&recipe).join("go.mod");
            let pins =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let pin = format!("{} v{}", recipe.module, recipe.version);
            assert!(
                pins.lines().any(|line| line.contains(&pin)),
                "{} does not require {pin}",
                path.display()
            );
            let package = go::package(&recipe);
            assert!(
                pins.lines()
                    .any(|line| line.trim_start_matches("tool").trim() == package),
                "{package} is no tool"
            );
        }
    }
}
