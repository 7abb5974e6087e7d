//! The cluster whose service account tokens let their bearers in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use url::Url;

/// An API server that is asked whose a token is (TokenReview of authentication.k8s.io/v1). In a Pod the defaults are right;
/// elsewhere the address and two files say which cluster it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubernetes {
    /// Of these a token must be made for one.
    pub audiences: Vec<String>,
    /// The API server's address. Without it, where Kubernetes tells its Pods that it is: `KUBERNETES_SERVICE_HOST` and
    /// `KUBERNETES_SERVICE_PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Url>,
    /// The proxy's own token, which must be allowed to create TokenReviews. It is read for each of them, so that one that
    /// the kubelet has renewed counts at once.
    #[serde(
        default = "Kubernetes::default_token_file",
        skip_serializing_if = "Kubernetes::is_default_token_file"
    )]
    pub token_file: PathBuf,
    /// The authorities that the API server's certificate is checked by, in PEM; not read where the address is http.
    #[serde(
        default = "Kubernetes::default_ca_file",
        skip_serializing_if = "Kubernetes::is_default_ca_file"
    )]
    pub ca_file: PathBuf,
    /// For how many seconds a token counts that the API server has let pass, unless it ends before.
    #[serde(default = "Kubernetes::default_cache_seconds")]
    pub cache_seconds: u32,
}

impl Kubernetes {
    /// Where Pods have the token and the authorities that Kubernetes gives them.
    pub const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    /// Name of the token's file in it.
    pub const TOKEN_FILE: &str = "token";
    /// Name of the authorities' file in it.
    pub const CA_FILE: &str = "ca.crt";
    /// With the ten seconds for which the API server itself remembers a token whoever is deleted is gone within a minute.
    pub const DEFAULT_CACHE_SECONDS: u32 = 45;
    /// As long, whoever is deleted is still let in.
    pub const MOST_CACHE_SECONDS: u32 = 60;

    /// Asks the API server of the cluster that the proxy runs in.
    pub fn in_cluster(audiences: Vec<String>) -> Self {
        Self {
            audiences,
            server: None,
            token_file: Self::default_token_file(),
            ca_file: Self::default_ca_file(),
            cache_seconds: Self::default_cache_seconds(),
        }
    }

    fn default_token_file() -> PathBuf {
        [Self::DIRECTORY, Self::TOKEN_FILE].iter().collect()
    }

    fn default_ca_file() -> PathBuf {
        [Self::DIRECTORY, Self::CA_FILE].iter().collect()
    }

    fn is_default_token_file(path: &PathBuf) -> bool {
        *path == Self::default_token_file()
    }

    fn is_default_ca_file(path: &PathBuf) -> bool {
        *path == Self::default_ca_file()
    }

    const fn default_cache_seconds() -> u32 {
        Self::DEFAULT_CACHE_SECONDS
    }
}
