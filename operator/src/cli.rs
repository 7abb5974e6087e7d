//! The command line. Every flag can be given as an environment variable too.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::crd::PullPolicy;

/// What matters to an operator of the operator.
const USUAL_LOG: &str = "info,kube=warn";

/// Turns each OllamaService into an Ollama that nobody reaches without a credential.
#[derive(Debug, Parser)]
#[command(name = "corral-operator", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch OllamaServices and keep what they ask for.
    Run(Box<RunOptions>),
    /// Print the CustomResourceDefinition.
    Crds,
    /// Print the objects that the OllamaServices in a file would become, without a cluster.
    Render(RenderOptions),
}

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// What goes into the objects.
    #[command(flatten)]
    pub plan: PlanOptions,
    /// A namespace to watch, and no other; may be repeated. Needs Roles there instead of a ClusterRole for what is in
    /// namespaces.
    #[arg(
        long = "watch-namespace",
        env = "CORRAL_WATCH_NAMESPACE",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub watch_namespaces: Vec<String>,
    /// Of several operators only the holder of the Lease `corral-operator` in --pod-namespace works.
    #[arg(long, env = "CORRAL_LEADER_ELECT", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true")]
    pub leader_elect: bool,
    /// Where /livez, /readyz and /metrics are.
    #[arg(
        long,
        env = "CORRAL_METRICS_LISTEN",
        default_value = "0.0.0.0:8081",
        value_name = "ADDRESS:PORT"
    )]
    pub metrics_listen: SocketAddr,
    /// What is logged: off, error, warn, info, debug or trace, or several with the module that each is for.
    #[arg(long, env = "RUST_LOG", default_value = USUAL_LOG, value_parser = log_levels, value_name = "LEVELS")]
    pub log_level: Targets,
    /// Shape of the log's lines.
    #[arg(long, env = "CORRAL_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Name of the operator's own Pod; identifies it in the Lease and in events.
    #[arg(long, env = "CORRAL_POD_NAME", default_value = "corral-operator")]
    pub pod_name: String,
}

/// Options of `render`.
#[derive(Clone, Debug, Args)]
pub struct RenderOptions {
    /// A YAML file with OllamaServices; `-` is standard input.
    pub file: PathBuf,
    /// What goes into the objects.
    #[command(flatten)]
    pub plan: PlanOptions,
}

/// What goes into the objects beside the OllamaService itself.
#[derive(Clone, Debug, Args)]
pub struct PlanOptions {
    /// Image of corral-proxy.
    #[arg(long, env = "CORRAL_PROXY_IMAGE", value_name = "IMAGE",
          default_value = concat!("ghcr.io/corral-dev/corral-proxy:", env!("CARGO_PKG_VERSION")))]
    pub proxy_image: String,
    /// Repository of Ollama's image, for services that name none.
    #[arg(
        long,
        env = "CORRAL_OLLAMA_IMAGE",
        default_value = "docker.io/ollama/ollama",
        value_name = "REPOSITORY"
    )]
    pub ollama_image: String,
    /// Version of Ollama for services that name none.
    #[arg(
        long,
        env = "CORRAL_DEFAULT_VERSION",
        default_value = "0.17.4",
        value_name = "VERSION"
    )]
    pub default_version: String,
    /// Pull policy of both images, for services that name none.
    #[arg(long, env = "CORRAL_IMAGE_PULL_POLICY", value_enum, default_value_t = PullPolicy::IfNotPresent)]
    pub image_pull_policy: PullPolicy,
    /// `read`: watch and read the Secrets that services name, and make the ones they lack. `none`: use no verb on Secrets;
    /// rotation then takes the kubelet's own minute, and the status says Unverified.
    #[arg(long, env = "CORRAL_SECRETS", value_enum, default_value_t = SecretsMode::Read)]
    pub secrets: SecretsMode,
    /// The ClusterRole by which Pods may create TokenReviews, for the command in the status of an OllamaService with
    /// auth.kubernetes whose ServiceAccount lacks that right.
    #[arg(long, env = "CORRAL_TOKEN_REVIEWER_ROLE", value_name = "NAME")]
    pub token_reviewer_role: Option<String>,
    /// Namespace of the operator's own Pod. Its operator Pods, and no others, may reach the proxies' admin port.
    #[arg(long, env = "CORRAL_POD_NAMESPACE", value_name = "NAMESPACE")]
    pub pod_namespace: Option<String>,
    /// A namespace whose Pods may reach the proxies' admin port too, to collect metrics; may be repeated.
    #[arg(
        long = "metrics-from-namespace",
        env = "CORRAL_METRICS_FROM_NAMESPACE",
        value_delimiter = ',',
        value_name = "NAMESPACE"
    )]
    pub metrics_from_namespaces: Vec<String>,
}

/// What the operator does with Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecretsMode {
    /// Watches their metadata, reads those that services name, makes those they lack.
    Read,
    /// Touches none.
    None,
}

/// Shape of the log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Reads what is to be logged. `Targets` alone would take a level that is misspelt for a module, and log nothing else.
fn log_levels(text: &str) -> Result<Targets, String> {
    let text = if text.is_empty() { USUAL_LOG } else { text };
    let levels = || {
        text.split(',')
            .map(|part| part.rsplit('=').next().unwrap_or(part))
    };
    match levels().find(|level| level.is_empty() || level.parse::<LevelFilter>().is_err()) {
        Some(wrong) => Err(format!(
            "`{wrong}` is no level: off, error, warn, info, debug and trace are, as in {USUAL_LOG}"
        )),
        None => text.parse().map_err(|error| format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::log_levels;

    #[test]
    fn a_level_that_is_none_is_refused() {
        let cases = [
            ("", "kube=warn,info"),
            ("debug", "debug"),
            ("info,kube=warn", "kube=warn,info"),
            ("corral_operator::watch=trace", "corral_operator::watch=trace"),
            ("inof", "`inof` is no level"),
            ("info,kube=loud", "`loud` is no level"),
            ("info,", "`` is no level"),
        ];
        for (given, expected) in cases {
            let said = match log_levels(given) {
                Ok(levels) => levels.to_string(),
                Err(problem) => problem,
            };
            assert!(said.starts_with(expected), "{given}: {said}");
        }
    }
}
