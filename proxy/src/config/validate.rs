//! What the types of the configuration can't say.

use std::collections::BTreeSet;

use thiserror::Error;
use url::Url;

use super::{AccessRule, Config, Credentials, Model, OllamaKeys, Tls};
use crate::models::name::CanonicalName;
use crate::models::pattern::ModelPattern;

/// A field that holds something that can't work, and what would be right.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, as a path such as `access[2].clients`.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Invalid {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// What an upstream looks like, for messages.
pub(super) const UPSTREAM_SHAPE: &str = "must be http://HOST:PORT, as in http://127.0.0.1:11434";

/// Checks all of `config`.
///
/// # Errors
/// The first field that can't work.
pub fn validate(config: &Config) -> Result<(), Invalid> {
    upstream(&config.upstream).map_err(|problem| Invalid::new("upstream", problem))?;
    if config
        .admin_listen
        .is_some_and(|admin| admin.port() != 0 && admin == config.listen)
    {
        return Err(Invalid::new("adminListen", "must differ from listen"));
    }
    tls(config.tls.as_ref())?;
    credentials(&config.credentials)?;
    access(&config.access)?;
    models(&config.models)
}

/// The upstream is plain HTTP to a host, with nothing that a forwarded request could run into.
///
/// # Errors
/// What is wrong, without what may be secret in it.
pub(super) fn upstream(url: &Url) -> Result<(), String> {
    if url.scheme() == "https" {
        return Err(format!("{UPSTREAM_SHAPE}; https to the upstream isn't supported"));
    }
    if url.scheme() != "http" || url.host_str().is_none_or(str::is_empty) {
        return Err(UPSTREAM_SHAPE.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{UPSTREAM_SHAPE}, without a user or password"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{UPSTREAM_SHAPE}, without a path or query"));
    }
    Ok(())
}

fn tls(tls: Option<&Tls>) -> Result<(), Invalid> {
    let Some(Tls { cert_file, key_file }) = tls else {
        return Ok(());
    };
    for (field, file) in [("tls.certFile", cert_file), ("tls.keyFile", key_file)] {
        if file.as_os_str().is_empty() {
            let problem = "must not be empty: --tls-cert FILE and --tls-key FILE go together";
            return Err(Invalid::new(field, problem));
        }
    }
    Ok(())
}

fn credentials(credentials: &Credentials) -> Result<(), Invalid> {
    let sources = credentials.sources();
    if sources.is_empty() {
        return Err(Invalid::new(
            "credentials",
            "none are configured, and an open proxy is refused: give --htpasswd FILE, --api-keys FILE, --ollama-keys \
             FILE, or credentials in the configuration file",
        ));
    }
    for (means, source) in sources {
        let name = means.name();
        if source.path.as_os_str().is_empty() {
            return Err(Invalid::new(
                format!("credentials.{name}.path"),
                "must not be empty",
            ));
        }
        if source.key.as_deref().is_some_and(|key| !is_entry_name(key)) {
            let problem = "must be the name of an entry: letters, digits, '-', '_' and '.'";
            return Err(Invalid::new(format!("credentials.{name}.key"), problem));
        }
    }
    clock_skew(credentials.ollama_keys.as_ref())
}

fn clock_skew(keys: Option<&OllamaKeys>) -> Result<(), Invalid> {
    const MOST: u32 = OllamaKeys::MOST_CLOCK_SKEW_SECONDS;
    match keys {
        Some(keys) if !(1..=MOST).contains(&keys.clock_skew_seconds) => Err(Invalid::new(
            "credentials.ollamaKeys.clockSkewSeconds",
            format!("must be 1 to {MOST}: as long, a request that somebody has seen can be sent again"),
        )),
        _ => Ok(()),
    }
}

/// Names of a Secret's entries (Kubernetes API, `Secret.data`). Nothing that leads out of its directory.
fn is_entry_name(name: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(character)
        && !name.starts_with("..")
        && name != "."
}

fn access(rules: &[AccessRule]) -> Result<(), Invalid> {
    for (index, rule) in rules.iter().enumerate() {
        let AccessRule {
            clients,
            allow: _,
            models,
            allowed_cidrs,
            not_after: _,
        } = rule;
        if clients.is_empty() {
            let problem = "must name at least one client; \"*\" stands for all";
            return Err(Invalid::new(format!("access[{index}].clients"), problem));
        }
        if let Some(position) = clients.iter().position(String::is_empty) {
            let field = format!("access[{index}].clients[{position}]");
            return Err(Invalid::new(field, "must not be empty; \"*\" stands for all"));
        }
        if let Some(models) = models {
            patterns(&format!("access[{index}].models"), models)?;
        }
        if allowed_cidrs.as_ref().is_some_and(Vec::is_empty) {
            let problem = "must have at least one network; leave it out to allow all";
            return Err(Invalid::new(format!("access[{index}].allowedCIDRs"), problem));
        }
    }
    Ok(())
}

fn patterns(field: &str, models: &[String]) -> Result<(), Invalid> {
    if models.is_empty() {
        let problem = "must have at least one pattern; leave it out to allow all";
        return Err(Invalid::new(field, problem));
    }
    match models
        .iter()
        .position(|model| ModelPattern::parse(model).is_none())
    {
        None => Ok(()),
        Some(position) => Err(Invalid::new(
            format!("{field}[{position}]"),
            "must be a model as in `ollama pull`, [HOST/][NAMESPACE/]NAME[:TAG], with * for any characters of a part",
        )),
    }
}

fn models(models: &[Model]) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for (
        index,
        Model {
            name,
            keep_loaded: _,
            insecure: _,
        },
    ) in models.iter().enumerate()
    {
        let field = || format!("models[{index}].name");
        let canonical = CanonicalName::parse(name).ok_or_else(|| {
            Invalid::new(
                field(),
                "must be a model as in `ollama pull`: [HOST/][NAMESPACE/]NAME[:TAG]",
            )
        })?;
        if !seen.insert(canonical) {
            return Err(Invalid::new(field(), "is the same model as an earlier one"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CredentialSource;

    fn valid() -> Config {
        let source = CredentialSource {
            path: "keys".into(),
            key: None,
        };
        let credentials = Credentials {
            api_keys: Some(source),
            ..Credentials::default()
        };
        Config {
            credentials,
            ..Config::default()
        }
    }

    fn model(name: &str) -> Model {
        Model {
            name: name.into(),
            keep_loaded: false,
            insecure: false,
        }
    }

    fn ollama_keys(key: Option<&str>, clock_skew_seconds: u32) -> Option<OllamaKeys> {
        Some(OllamaKeys {
            path: "authorized_keys".into(),
            key: key.map(Into::into),
            clock_skew_seconds,
        })
    }

    fn rule(clients: &[&str]) -> Vec<AccessRule> {
        vec![AccessRule {
            clients: clients.iter().map(|&client| client.into()).collect(),
            ..AccessRule::default()
        }]
    }

    fn rule_on(models: &[&str]) -> Vec<AccessRule> {
        vec![AccessRule {
            models: Some(models.iter().map(|&model| model.into()).collect()),
            ..rule(&["a"]).remove(0)
        }]
    }

    #[test]
    fn what_cannot_work_is_named_by_field() {
        type Edit = fn(&mut Config);
        let cases: &[(&str, Edit, Option<&str>)] = &[
            ("as it is", |_| {}, None),
            (
                "no credentials",
                |config| config.credentials = Credentials::default(),
                Some("credentials"),
            ),
            (
                "an https upstream",
                |config| config.upstream = "https://a".parse().unwrap(),
                Some("upstream"),
            ),
            (
                "another scheme",
                |config| config.upstream = "unix:/a".parse().unwrap(),
                Some("upstream"),
            ),
            (
                "a path",
                |config| config.upstream = "http://a/b".parse().unwrap(),
                Some("upstream"),
            ),
            (
                "a query",
                |config| config.upstream = "http://a/?b".parse().unwrap(),
                Some("upstream"),
            ),
            (
                "a user",
                |config| config.upstream = "http://u:p@a".parse().unwrap(),
                Some("upstream"),
            ),
            (
                "a host alone",
                |config| config.upstream = "http://ollama".parse().unwrap(),
                None,
            ),
            (
                "an address",
                |config| config.upstream = "http://[::1]:11434".parse().unwrap(),
                None,
            ),
            (
                "admin on the same port",
                |config| config.admin_listen = Some(config.listen),
                Some("adminListen"),
            ),
            (
                "a certificate without its key",
                |config| {
                    config.tls = Some(Tls {
                        cert_file: "tls.crt".into(),
                        ..Tls::default()
                    });
                },
                Some("tls.keyFile"),
            ),
            (
                "a rule without clients",
                |config| config.access = rule(&[]),
                Some("access[0].clients"),
            ),
            (
                "a rule with an empty client",
                |config| config.access = rule(&["a", ""]),
                Some("access[0].clients[1]"),
            ),
            (
                "patterns of models",
                |config| config.access = rule_on(&["*", "gemma3:*", "user/*", "hf.co/*/*:q4"]),
                None,
            ),
            (
                "a pattern of no model",
                |config| config.access = rule_on(&["gemma3", "a b"]),
                Some("access[0].models[1]"),
            ),
            (
                "an empty list of models",
                |config| config.access = rule_on(&[]),
                Some("access[0].models"),
            ),
            (
                "an empty list of networks",
                |config| {
                    config.access = rule(&["a"]);
                    config.access[0].allowed_cidrs = Some(vec![]);
                },
                Some("access[0].allowedCIDRs"),
            ),
            (
                "a key that leaves its directory",
                |config| config.credentials.api_keys.as_mut().unwrap().key = Some("../x".into()),
                Some("credentials.apiKeys.key"),
            ),
            (
                "keys of the CLI",
                |config| config.credentials.ollama_keys = ollama_keys(None, 300),
                None,
            ),
            (
                "a key of theirs that leaves its directory",
                |config| config.credentials.ollama_keys = ollama_keys(Some("../x"), 30),
                Some("credentials.ollamaKeys.key"),
            ),
            (
                "no clock skew",
                |config| config.credentials.ollama_keys = ollama_keys(None, 0),
                Some("credentials.ollamaKeys.clockSkewSeconds"),
            ),
            (
                "a long clock skew",
                |config| config.credentials.ollama_keys = ollama_keys(None, 301),
                Some("credentials.ollamaKeys.clockSkewSeconds"),
            ),
            (
                "a model",
                |config| config.models = vec![model("gemma3:270m")],
                None,
            ),
            (
                "no model name",
                |config| config.models = vec![model("")],
                Some("models[0].name"),
            ),
            (
                "one model twice",
                |config| config.models = vec![model("llama3"), model("LLAMA3:latest")],
                Some("models[1].name"),
            ),
        ];
        for (name, edit, expected) in cases {
            let mut config = valid();
            edit(&mut config);
            let field = validate(&config).err().map(|invalid| invalid.field);
            assert_eq!(field.as_deref(), *expected, "{name}");
        }
    }
}
