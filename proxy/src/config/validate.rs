//! What the types of the configuration can't say.

mod credentials;
mod jwt;
mod kubernetes;
mod limits;
mod source;

use std::collections::BTreeSet;

use thiserror::Error;
use url::Url;

use super::{AccessRule, Config, Cors, Model, Network, State, Streams, Tls};
use crate::cors::OriginPattern;
use crate::models::modelfile::{self, Modelfile};
use crate::models::name::CanonicalName;
use crate::models::pattern::ModelPattern;

pub use credentials::unmeetable;
pub use jwt::check_issuer;
pub use kubernetes::audiences_problem;

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
    state(config.state.as_ref())?;
    credentials::check(&config.credentials)?;
    if config.credentials.client_certificates.is_some() && config.tls.is_none() {
        let problem = "needs tls: certificates are shown in its handshake";
        return Err(Invalid::new("credentials.clientCertificates", problem));
    }
    access(&config.access)?;
    network(&config.network)?;
    limits::timeouts(&config.limits.timeouts)?;
    streams(&config.streams)?;
    models(config)
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

fn state(state: Option<&State>) -> Result<(), Invalid> {
    match state {
        Some(State { directory }) if directory.as_os_str().is_empty() => {
            Err(Invalid::new("state.directory", "must not be empty"))
        }
        _ => Ok(()),
    }
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

fn access(rules: &[AccessRule]) -> Result<(), Invalid> {
    for (index, rule) in rules.iter().enumerate() {
        let AccessRule {
            clients,
            groups,
            allow: _,
            models,
            allowed_cidrs,
            not_after: _,
            limits,
            ceilings,
        } = rule;
        if clients.is_empty() && groups.is_empty() {
            let problem = "must name at least one client, or groups at least one group; \"*\" stands for all";
            return Err(Invalid::new(format!("access[{index}].clients"), problem));
        }
        for (field, names) in [("clients", clients), ("groups", groups)] {
            if let Some(position) = names.iter().position(String::is_empty) {
                let field = format!("access[{index}].{field}[{position}]");
                return Err(Invalid::new(field, "must not be empty; \"*\" stands for all"));
            }
        }
        if let Some(models) = models {
            patterns(&format!("access[{index}].models"), models)?;
        }
        if allowed_cidrs.as_ref().is_some_and(Vec::is_empty) {
            let problem = "must have at least one network; leave it out to allow all";
            return Err(Invalid::new(format!("access[{index}].allowedCIDRs"), problem));
        }
        if let Some(limits) = limits {
            limits::limits(&format!("access[{index}].limits"), limits)?;
        }
        if let Some(ceilings) = ceilings {
            limits::ceilings(&format!("access[{index}].ceilings"), ceilings)?;
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

fn network(network: &Network) -> Result<(), Invalid> {
    let Network {
        allowed_cidrs: _,
        trusted_proxies,
        proxy_protocol,
        cors: pages,
    } = network;
    if *proxy_protocol && trusted_proxies.is_empty() {
        let problem = "needs network.trustedProxies: only from there it is taken";
        return Err(Invalid::new("network.proxyProtocol", problem));
    }
    cors(pages.as_ref())
}

fn cors(cors: Option<&Cors>) -> Result<(), Invalid> {
    const MOST: u32 = Cors::MOST_MAX_AGE_SECONDS;
    let Some(Cors {
        allowed_origins,
        max_age_seconds,
    }) = cors
    else {
        return Ok(());
    };
    if allowed_origins.is_empty() {
        let problem = "must have at least one origin; leave out cors to let no page call";
        return Err(Invalid::new("network.cors.allowedOrigins", problem));
    }
    let valid = |origin: &String| origin == "*" || OriginPattern::parse(origin).is_some();
    if let Some(position) = allowed_origins.iter().position(|origin| !valid(origin)) {
        return Err(Invalid::new(
            format!("network.cors.allowedOrigins[{position}]"),
            "must be an origin as browsers write it, https://app.example or https://*.example.com, in lower case, \
             without a path and without the scheme's own port; \"*\" alone stands for every page",
        ));
    }
    if *max_age_seconds > MOST {
        let problem = format!("must be at most {MOST}");
        return Err(Invalid::new("network.cors.maxAgeSeconds", problem));
    }
    Ok(())
}

fn streams(streams: &Streams) -> Result<(), Invalid> {
    const MOST: u32 = Streams::MOST_HEARTBEAT_SECONDS;
    match streams.heartbeat_seconds {
        Some(seconds) if !(1..=MOST).contains(&seconds) => Err(Invalid::new(
            "streams.heartbeatSeconds",
            format!("must be 1 to {MOST}; leave it out to have no heartbeats"),
        )),
        _ => Ok(()),
    }
}

fn models(config: &Config) -> Result<(), Invalid> {
    const MOST: u32 = Config::MOST_PARALLEL_PULLS;
    if !(1..=MOST).contains(&config.parallel_pulls) {
        return Err(Invalid::new("parallelPulls", format!("must be 1 to {MOST}")));
    }
    if config.prune_models && config.models.is_empty() {
        let problem = "needs models: with none listed it would delete every model";
        return Err(Invalid::new("pruneModels", problem));
    }
    let mut seen = BTreeSet::new();
    for (index, model) in config.models.iter().enumerate() {
        let canonical = self::model(model)
            .map_err(|(field, problem)| Invalid::new(format!("models[{index}].{field}"), problem))?;
        if !seen.insert(canonical) {
            return Err(Invalid::new(
                format!("models[{index}].name"),
                "is the same model as an earlier one",
            ));
        }
    }
    match modelfile::circular(&config.models) {
        None => Ok(()),
        Some(index) => Err(Invalid::new(
            format!("models[{index}].modelfile"),
            modelfile::CIRCULAR,
        )),
    }
}

/// The model's name in its canonical form; or the field that can't work, and why.
fn model(model: &Model) -> Result<CanonicalName, (&'static str, String)> {
    let Model {
        name,
        keep_loaded: _,
        insecure: _,
        digest,
        modelfile,
        problem: _,
    } = model;
    let canonical = CanonicalName::parse(name).ok_or_else(|| {
        let problem = "must be a model as in `ollama pull`: [HOST/][NAMESPACE/]NAME[:TAG]";
        ("name", problem.to_owned())
    })?;
    if let Some(digest) = digest {
        let hexadecimal = digest.strip_prefix("sha256:").unwrap_or(digest);
        if hexadecimal.len() != 64 || !hexadecimal.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let problem = "must be sha256: and 64 hexadecimal digits, as /api/tags has it";
            return Err(("digest", problem.to_owned()));
        }
        if modelfile.is_some() {
            return Err((
                "digest",
                "goes with a model that is pulled, not made by a modelfile".to_owned(),
            ));
        }
    }
    if let Some(text) = modelfile {
        Modelfile::parse(text).map_err(|error| ("modelfile", error.to_string()))?;
    }
    Ok(canonical)
}

#[cfg(test)]
mod tests;
