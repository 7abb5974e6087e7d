//! The proxy's configuration: the contract between operator and proxy.
//!
//! The operator renders this very type into a ConfigMap, the proxy reads it back, and the flags of the standalone
//! proxy fill the same type. Unknown fields are refused, so that a misspelt rule can't silently be no rule.

mod credentials;
#[cfg(test)]
mod documented;
pub mod flags;
mod jwt;
mod kubernetes;
mod limits;
pub mod load;
mod network;
mod streams;
pub mod validate;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::routes::RouteClass;

pub use credentials::{
    Anonymous, CertificateName, ClientCertificates, CredentialSource, Credentials, OllamaKeys, Require,
};
pub use jwt::{JwtAlgorithm, JwtIssuer, KeyAddress};
pub use kubernetes::Kubernetes;
pub use limits::{BodyLimits, Ceilings, ClientLimits, Limits, OnExcess, Timeouts};
pub use network::{Cors, Network};
pub use streams::Streams;

/// Where the operator mounts things in the proxy's container; standalone users choose their own places.
pub mod paths {
    /// The mounted ConfigMap; the configuration is the entry [`CONFIG_FILE`].
    pub const CONFIG_DIRECTORY: &str = "/etc/corral/config";
    /// Name of the ConfigMap's entry that holds the configuration.
    pub const CONFIG_FILE: &str = "proxy.yaml";
    /// The mounted Secret of `auth.basic`.
    pub const BASIC_DIRECTORY: &str = "/etc/corral/credentials/basic";
    /// The mounted Secret of `auth.apiKeys`.
    pub const API_KEYS_DIRECTORY: &str = "/etc/corral/credentials/api-keys";
    /// The mounted Secret of `auth.ollamaKeys`.
    pub const OLLAMA_KEYS_DIRECTORY: &str = "/etc/corral/credentials/ollama-keys";
    /// The mounted Secrets of `auth.jwt`, each under a name that is its issuer's.
    pub const JWT_DIRECTORY: &str = "/etc/corral/credentials/jwt";
    /// The mounted Secret of `auth.clientCertificates`.
    pub const CLIENT_CERTIFICATES_DIRECTORY: &str = "/etc/corral/credentials/client-certificates";
    /// The mounted Secret that keys the digests of `/status`.
    pub const DIGEST_KEY_DIRECTORY: &str = "/etc/corral/digest-key";
    /// Name of that Secret's entry.
    pub const DIGEST_KEY_FILE: &str = "key";
    /// The mounted Secret of `network.tls`, of type kubernetes.io/tls.
    pub const TLS_DIRECTORY: &str = "/etc/corral/tls";
    /// What outlives the proxy's container, though not its Pod.
    pub const STATE_DIRECTORY: &str = "/var/lib/corral";
}

/// Port of the proxy in a Pod.
pub const PROXY_PORT: u16 = 8080;
/// Port of `/livez`, `/readyz`, `/metrics` and `/status` in a Pod.
pub const ADMIN_PORT: u16 = 9180;
/// Ollama's own port, on which the Service listens too, so that a client changes only the host.
pub const OLLAMA_PORT: u16 = 11434;

/// Everything that the proxy can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the proxy. Read at start only.
    pub listen: SocketAddr,
    /// Address and port of `/livez`, `/readyz`, `/metrics` and `/status`; none without it. Read at start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<SocketAddr>,
    /// The Ollama behind the proxy, as `http://HOST:PORT`. Read at start only.
    pub upstream: Url,
    /// Worker threads; as many as the machine has processors without it. Read at start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<NonZeroUsize>,
    /// HTTPS in place of HTTP. Whether it is there is read at start only; its files may be renewed at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Where the credentials are.
    pub credentials: Credentials,
    /// What known clients may do: the first rule that names the client or one of its groups decides. A client
    /// that no rule names has [`AccessRule::DEFAULT`].
    pub access: Vec<AccessRule>,
    /// What a request may take.
    pub limits: Limits,
    /// Which addresses may call.
    pub network: Network,
    /// What is done for streamed answers.
    pub streams: Streams,
    /// Models that must be there before `/readyz` says so.
    pub models: Vec<Model>,
    /// How many of them are pulled, made and loaded at a time.
    #[serde(skip_serializing_if = "is_usual")]
    pub parallel_pulls: u32,
    /// Whether models that nobody lists are deleted, once all that are listed are there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prune_models: bool,
    /// The access log and the audit log.
    pub log: Log,
    /// Where what outlives the process is kept; nothing does without it. Read at start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The end of the process.
    pub shutdown: Shutdown,
    /// A file with the key of the digests in `/status`; without it `/status` has no digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest_key_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8880)),
            admin_listen: None,
            upstream: default_upstream(),
            threads: None,
            tls: None,
            credentials: Credentials::default(),
            access: Vec::new(),
            limits: Limits::default(),
            network: Network::default(),
            streams: Streams::default(),
            models: Vec::new(),
            parallel_pulls: Self::USUAL_PARALLEL_PULLS,
            prune_models: false,
            log: Log::default(),
            state: None,
            shutdown: Shutdown::default(),
            digest_key_file: None,
        }
    }
}

impl Config {
    /// As many pulls at a time as there are without `parallelPulls`: a small model needn't wait for a large one.
    pub const USUAL_PARALLEL_PULLS: u32 = 2;
    /// The most that there may be.
    pub const MOST_PARALLEL_PULLS: u32 = 16;

    /// What clients speak: `http` or `https`.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_usual(parallel_pulls: &u32) -> bool {
    *parallel_pulls == Config::USUAL_PARALLEL_PULLS
}

#[expect(clippy::expect_used, reason = "a literal that a test parses")]
fn default_upstream() -> Url {
    Url::parse("http://127.0.0.1:11434").expect("a valid URL")
}

/// The certificate that clients see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// The chain in PEM: the server's certificate first, then those that lead to its authority.
    pub cert_file: PathBuf,
    /// Its private key in PEM, not encrypted.
    pub key_file: PathBuf,
}

/// What some clients may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.clients) || has(self.groups)",
    "message": "a rule of access needs clients, groups or both; clients: [\"*\"] stands for all",
}])))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessRule {
    /// Names of clients; `*` stands for any characters, as in `ci-*` or `system:serviceaccount:ml:*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub clients: Vec<String>,
    /// Names of groups, with `*` as in `clients`: the rule is also about each client that has one of them by its token
    /// (`groupsClaim`, or those of a service account).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 1024)))]
    pub groups: Vec<String>,
    /// What they may do. Health: ask whether it is there, which everyone let in may. Read: list and show models. Inference:
    /// generate, chat, embed. Manage: pull, create, copy, push and delete models, and unload them. Account: Ollama's own
    /// account and cloud routes. An empty list shuts them out of all but Health.
    #[cfg_attr(feature = "schema", schemars(length(max = 5)))]
    pub allow: Vec<RouteClass>,
    /// Models that they may name, as in `ollama pull`: [HOST/][NAMESPACE/]NAME[:TAG], where `*` stands for any
    /// characters of a part, and a NAME with `*` and no TAG has any; `*` alone is every model. All models without the
    /// list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(length(min = 1, max = 256), inner(length(min = 1, max = 512)))
    )]
    pub models: Option<Vec<String>>,
    /// Networks that they may call from, beside what `network` says of everyone; anywhere without the list.
    #[serde(default, rename = "allowedCIDRs", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "Option<Vec<String>>",
            length(min = 1, max = 64),
            inner(length(max = 64)),
            extend("x-kubernetes-validations" = [{
                "rule": "self.all(network, isCIDR(network))",
                "message": "allowedCIDRs must be networks such as 10.0.0.0/8 or 2001:db8::/32 (one address: 192.0.2.7/32)",
            }])
        )
    )]
    pub allowed_cidrs: Option<Vec<IpNet>>,
    /// When their access ends, as in 2027-01-31T00:00:00Z (RFC 3339); never without it. From then on they may do
    /// nothing: no later rule counts for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub not_after: Option<Timestamp>,
    /// How much each of them may use; as much as they like without it. In an OllamaService a limit counts for all
    /// replicas together: each holds an equal part, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ClientLimits>,
    /// The most that their requests may ask of a model; anything without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceilings: Option<Ceilings>,
}

impl AccessRule {
    /// What a client may do that no rule names: use models, not change them.
    pub const DEFAULT: &'static [RouteClass] = &[RouteClass::Inference, RouteClass::Read];
}

/// A model that the proxy has Ollama pull or make, so that it is there before traffic is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Model {
    /// As in `ollama pull`: `[HOST/][NAMESPACE/]NAME[:TAG]`.
    pub name: String,
    /// Load it at start and keep it in memory.
    #[serde(default)]
    pub keep_loaded: bool,
    /// Let Ollama pull it, or the one that it is made from, from a registry without TLS.
    #[serde(default)]
    pub insecure: bool,
    /// The digest that its manifest must have, as in `/api/tags`; any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// A Modelfile that it is made from; it is pulled without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modelfile: Option<String>,
    /// Why nobody can say what it is to be. It is left as it is, and not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Model {
    /// Whether that is the digest that its manifest must have.
    pub fn is_pinned_to(&self, digest: &str) -> bool {
        let hexadecimal = |digest: &str| digest.strip_prefix("sha256:").unwrap_or(digest).to_owned();
        self.digest
            .as_deref()
            .is_none_or(|pinned| hexadecimal(pinned) == hexadecimal(digest))
    }
}

/// The logs on standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Log {
    /// The shape of the access log's lines, one a request.
    pub format: LogFormat,
    /// Whether Manage acts and refusals are also lines of an audit log, JSON objects with `"log":"audit"`.
    pub audit: bool,
}

/// The shape of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// What outlives the process: the tokens that clients have used of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct State {
    /// A directory that the proxy may write, and no other process does.
    pub directory: PathBuf,
}

/// How the process ends after SIGTERM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shutdown {
    /// How long new requests are still served while load balancers take note, in seconds.
    pub delay_seconds: u32,
    /// How long running streams may then take, in seconds.
    pub drain_seconds: u32,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            delay_seconds: 0,
            drain_seconds: 90,
        }
    }
}
