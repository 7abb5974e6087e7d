//! The flags of the command line, each also an environment variable: they win over the configuration file.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;
use url::Url;

use super::{
    CertificateName, ClientCertificates, Config, CredentialSource, OllamaKeys, State, Tls, validate,
};

/// What the command line or the environment says.
#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Configuration file (YAML), for all that has no flag; docs/standalone.md has every field. Edits come into force
    /// without a restart.
    #[arg(long, env = "CORRAL_CONFIG", value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8880].
    #[arg(long, env = "CORRAL_LISTEN", value_name = "ADDRESS:PORT", global = true)]
    pub listen: Option<SocketAddr>,
    /// The Ollama to guard [default: http://127.0.0.1:11434].
    #[arg(long, env = "CORRAL_UPSTREAM", value_name = "URL", value_parser = parse_upstream, global = true)]
    pub upstream: Option<Url>,
    /// Users for HTTP Basic: a file as `htpasswd -B` writes it. Edits come into force without a restart.
    #[arg(long, env = "CORRAL_HTPASSWD", value_name = "FILE", global = true)]
    pub htpasswd: Option<PathBuf>,
    /// API keys: one a line, KEY or NAME:KEY. Edits come into force without a restart.
    #[arg(long, env = "CORRAL_API_KEYS", value_name = "FILE", global = true)]
    pub api_keys: Option<PathBuf>,
    /// Public keys of the ollama CLI (OLLAMA_AUTH=1): `authorized_keys` lines, each with its client's name behind it.
    /// Edits come into force without a restart.
    #[arg(long, env = "CORRAL_OLLAMA_KEYS", value_name = "FILE", global = true)]
    pub ollama_keys: Option<PathBuf>,
    /// Authorities (PEM) whose certificates clients may show, each named by its common name; needs --tls-cert. Edits come
    /// into force without a restart.
    #[arg(long, env = "CORRAL_CLIENT_CA", value_name = "FILE", global = true)]
    pub client_ca: Option<PathBuf>,
    /// Certificate chain for HTTPS (PEM); needs --tls-key. A renewed one comes into force without a restart.
    #[arg(long, env = "CORRAL_TLS_CERT", value_name = "FILE", global = true)]
    pub tls_cert: Option<PathBuf>,
    /// Private key of that certificate (PEM).
    #[arg(long, env = "CORRAL_TLS_KEY", value_name = "FILE", global = true)]
    pub tls_key: Option<PathBuf>,
    /// Directory for what outlives the process: the tokens that clients have used of the day.
    #[arg(long, env = "CORRAL_STATE_DIR", value_name = "DIRECTORY", global = true)]
    pub state_dir: Option<PathBuf>,
    /// Address of /livez, /readyz, /metrics and /status; none without it.
    #[arg(long, env = "CORRAL_ADMIN_LISTEN", value_name = "ADDRESS:PORT", global = true)]
    pub admin_listen: Option<SocketAddr>,
    /// Worker threads [default: one for each processor].
    #[arg(long, env = "CORRAL_THREADS", value_name = "NUMBER", global = true)]
    pub threads: Option<NonZeroUsize>,
    /// Network that may call, as 10.0.0.0/8; may be given several times. Everyone may without it.
    #[arg(
        long = "allow-cidr",
        env = "CORRAL_ALLOW_CIDR",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_network,
        global = true
    )]
    pub allow_cidrs: Vec<IpNet>,
}

impl Flags {
    /// `config` with what the flags say in place of what it says.
    pub(super) fn apply(&self, config: Config) -> Config {
        let source = |path: &PathBuf| CredentialSource {
            path: path.clone(),
            key: None,
        };
        let mut config = config;
        config.listen = self.listen.unwrap_or(config.listen);
        config.upstream = self.upstream.clone().unwrap_or(config.upstream);
        config.admin_listen = self.admin_listen.or(config.admin_listen);
        config.threads = self.threads.or(config.threads);
        config.tls = self.tls(config.tls);
        let state = self.state_dir.clone().map(|directory| State { directory });
        config.state = state.or(config.state);
        config.credentials.basic = self.htpasswd.as_ref().map(source).or(config.credentials.basic);
        config.credentials.api_keys = self.api_keys.as_ref().map(source).or(config.credentials.api_keys);
        let ollama_keys = |path: &PathBuf| OllamaKeys {
            path: path.clone(),
            key: None,
            clock_skew_seconds: OllamaKeys::DEFAULT_CLOCK_SKEW_SECONDS,
        };
        config.credentials.ollama_keys = self
            .ollama_keys
            .as_ref()
            .map(ollama_keys)
            .or(config.credentials.ollama_keys);
        config.credentials.client_certificates =
            self.client_certificates(config.credentials.client_certificates);
        if !self.allow_cidrs.is_empty() {
            config.network.allowed_cidrs.clone_from(&self.allow_cidrs);
        }
        config
    }

    /// The flag says where the authorities are; which name of a certificate counts, the configuration may say.
    fn client_certificates(&self, file: Option<ClientCertificates>) -> Option<ClientCertificates> {
        let Some(path) = &self.client_ca else {
            return file;
        };
        Some(ClientCertificates {
            path: path.clone(),
            key: None,
            name: file.map_or(CertificateName::default(), |file| file.name),
        })
    }

    /// One of the two flags alone leaves the other file to the configuration; where that has none, it is found missing.
    fn tls(&self, file: Option<Tls>) -> Option<Tls> {
        if self.tls_cert.is_none() && self.tls_key.is_none() {
            return file;
        }
        let file = file.unwrap_or_default();
        Some(Tls {
            cert_file: self.tls_cert.clone().unwrap_or(file.cert_file),
            key_file: self.tls_key.clone().unwrap_or(file.key_file),
        })
    }
}

fn parse_upstream(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| validate::UPSTREAM_SHAPE.to_owned())?;
    validate::upstream(&url).map(|()| url)
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "must be a network such as 10.0.0.0/8 or fd00::/8, or one address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_or_refused() {
        let cases = [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("192.0.2.7", Some("192.0.2.7/32")),
            ("fd00::/8", Some("fd00::/8")),
            ("::1", Some("::1/128")),
            ("10.0.0.0/33", None),
            ("ten", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let read = parse_network(text).ok().map(|network| network.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn flags_win_over_the_file() {
        let flags = Flags {
            listen: Some("127.0.0.1:1".parse().unwrap()),
            htpasswd: Some("users".into()),
            ..Flags::default()
        };
        let file = Config {
            threads: NonZeroUsize::new(3),
            ..Config::default()
        };
        let config = flags.apply(file);
        assert_eq!(config.listen.port(), 1, "from the flag");
        assert_eq!(config.threads, NonZeroUsize::new(3), "from the file");
        assert_eq!(
            config.credentials.basic.unwrap().path,
            PathBuf::from("users"),
            "from the flag"
        );
    }
}
