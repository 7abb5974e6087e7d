//! `corral-lab`: a Kubernetes on this machine, with Corral in it.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use corral_tests::cluster::{self, ControlPlane, Node, Simulated, node};
use corral_tests::tools::{self, Tool};
use corral_tests::{demo, images, progress};
use tokio::signal::unix::{SignalKind, signal};

/// A Kubernetes on this machine, built from source and kept apart from everything else on it.
#[derive(Parser)]
#[command(name = "corral-lab", version)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the pinned programs that a level needs and say where they are.
    Tools {
        /// What for.
        #[arg(long, value_enum, default_value = "node")]
        level: Level,
    },
    /// Install what `make bench-proxy` compares the proxy with, and what measures.
    BenchmarkTools,
    /// Write the images as archives, for `kind load image-archive` or `ctr images import`, and say where they are.
    Images,
    /// Show Corral at work on a cluster: what `make run` does.
    Run(demo::Options),
    /// Start a cluster and keep it until Ctrl-C.
    Up {
        /// How much of a cluster.
        #[arg(long, value_enum, default_value = "node")]
        level: Level,
        /// How many GPUs the node says it has.
        #[arg(long, default_value_t = 0)]
        gpus: u32,
    },
    /// List the clusters that are running, with their kubeconfigs.
    List,
    /// End clusters that are running: the named ones, or all.
    Down {
        /// Their names, as `list` prints them.
        ids: Vec<String>,
    },
    /// Say why this machine can't run a node, if it can't, and fail then.
    CanRun,
    /// Remove what killed runs have left.
    Sweep,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    /// etcd and the API server; no root.
    ControlPlane,
    /// With controllers, a scheduler and kwok, which says of Pods that they are Ready; no root.
    Simulated,
    /// A node that runs Pods; Linux and root.
    Node,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().action).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::say(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(action: Action) -> Result<()> {
    match action {
        Action::Tools { level } => tools_of(level),
        Action::BenchmarkTools => tools::ensure_benchmark(),
        Action::Images => write_images(),
        Action::Run(options) => until_told(demo::run(&options)).await,
        Action::Up { level, gpus } => until_told(up(level, gpus)).await,
        Action::List => list(),
        Action::Down { ids } => down(&ids),
        Action::CanRun => can_run(),
        Action::Sweep => sweep(),
    }
}

fn tools_of(level: Level) -> Result<()> {
    let tools: &[Tool] = match level {
        Level::ControlPlane => ControlPlane::TOOLS,
        Level::Simulated => Simulated::TOOLS,
        Level::Node => {
            Node::prepare()?;
            Tool::ALL
        }
    };
    tools::ensure(tools)?;
    for tool in tools {
        println!("{:<32} {}", tool.label(), tool.path()?.display());
    }
    Ok(())
}

fn write_images() -> Result<()> {
    let mut archives = images::corral()?;
    archives.extend([images::ollama()?, images::registry()?]);
    for archive in archives {
        println!("{}", archive.display());
    }
    Ok(())
}

async fn up(level: Level, gpus: u32) -> Result<()> {
    match level {
        Level::ControlPlane => {
            let cluster = ControlPlane::start().await?;
            keep(&cluster).await
        }
        Level::Simulated => {
            let cluster = Simulated::start().await?;
            keep(&cluster).await
        }
        Level::Node => {
            let images = images::basic()?;
            let cluster = Node::start(&node::Options { images, gpus }).await?;
            keep(&cluster).await
        }
    }
}

async fn keep(cluster: &cluster::Access) -> Result<()> {
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    progress::say("Running; Ctrl-C ends it and removes everything.");
    std::future::pending().await
}

/// Does the work until it is done or Ctrl-C or SIGTERM comes. Dropped half done, it takes down what it has put up.
async fn until_told(work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
        _ = terminated.recv() => Ok(()),
    }
}

fn list() -> Result<()> {
    for cluster in cluster::running()? {
        println!(
            "{}  process {}  {}",
            cluster.id,
            cluster.owner,
            cluster.kubeconfig.display()
        );
    }
    Ok(())
}

fn down(ids: &[String]) -> Result<()> {
    for cluster in cluster::running()?
        .into_iter()
        .filter(|cluster| ids.is_empty() || ids.contains(&cluster.id))
    {
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(cluster.owner),
            nix::sys::signal::Signal::SIGTERM,
        )?;
        progress::say(&format!(
            "told process {} to end cluster {}",
            cluster.owner, cluster.id
        ));
    }
    Ok(())
}

fn can_run() -> Result<()> {
    match node::unsupported() {
        None => Ok(()),
        Some(reason) => {
            println!("{reason}");
            std::process::exit(1);
        }
    }
}

fn sweep() -> Result<()> {
    let removed = cluster::sweep()?;
    progress::say(&format!("removed what {} killed runs have left", removed.len()));
    Ok(())
}
