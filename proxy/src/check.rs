//! `corral-proxy check`: what a configuration means, and what is wrong with the files that it names.

use std::fmt::Write as _;
use std::process::ExitCode;

use corral_proxy::config::flags::Flags;
use corral_proxy::config::load::Loaded;
use corral_proxy::config::{
    AccessRule, Ceilings, ClientLimits, Config, JwtIssuer, Kubernetes, Network, OnExcess, Require, State,
};
use corral_proxy::credentials::{CredentialSet, Means};
use corral_proxy::models::modelfile;
use corral_proxy::routes::RouteClass;
use corral_proxy::status::SourceStatus;
use corral_proxy::tls::certificate::Certificate;

/// Explains a configuration on standard output.
///
/// # Errors
/// A credential file lets nobody in, or there is no certificate to serve.
#[expect(clippy::print_stdout, reason = "the explanation is this command's output")]
pub(crate) fn check(loaded: &Loaded) -> Result<ExitCode, String> {
    let Loaded {
        config,
        digest: _,
        digest_key,
    } = loaded;
    let credentials = CredentialSet::load(&config.credentials, digest_key.as_ref());
    let sources = credentials.sources();
    let certificate = Certificate::load(config.tls.as_ref());
    print!("{}", explain(config, &sources, &certificate));
    let credentials = sources.iter().find_map(|source| source.error.as_deref());
    match credentials.or(certificate.error()) {
        Some(error) => Err(error.to_owned()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// A file that a flag names must be there and well-formed at the start: whoever typed it sees the error. One that the
/// configuration file names may be mended later: until then nobody is let in, and `/status` says why.
///
/// # Errors
/// What is wrong with the first bad file.
pub(crate) fn files_of_flags(flags: &Flags, loaded: &Loaded) -> Result<(), String> {
    let Loaded {
        config,
        digest: _,
        digest_key,
    } = loaded;
    if flags.tls_cert.is_some() || flags.tls_key.is_some() {
        let certificate = Certificate::load(config.tls.as_ref());
        certificate
            .error()
            .map_or(Ok(()), |error| Err(error.to_owned()))?;
    }
    if let Some(directory) = flags.state_dir.as_ref().filter(|directory| !directory.is_dir()) {
        return Err(format!("{}: is no directory", directory.display()));
    }
    let given = [
        (Means::Basic, flags.htpasswd.is_some()),
        (Means::ApiKeys, flags.api_keys.is_some()),
        (Means::OllamaKeys, flags.ollama_keys.is_some()),
        (Means::ClientCertificates, flags.client_ca.is_some()),
    ];
    let sources = CredentialSet::load(&config.credentials, digest_key.as_ref()).sources();
    match sources
        .into_iter()
        .find(|source| given.contains(&(source.means, true)) && source.error.is_some())
    {
        Some(SourceStatus {
            error: Some(error), ..
        }) => Err(error),
        _ => Ok(()),
    }
}

fn explain(config: &Config, sources: &[SourceStatus], certificate: &Certificate) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    let _ = writeln!(text, "listens on   {}://{}", config.scheme(), config.listen);
    if config.tls.is_some() {
        let fingerprint = certificate.status().fingerprint;
        let _ = writeln!(text, "certificate  {}", fingerprint.as_deref().unwrap_or("wrong"));
    }
    let _ = writeln!(
        text,
        "guards       {}",
        config.upstream.as_str().trim_end_matches('/')
    );
    if let Some(admin) = config.admin_listen {
        let _ = writeln!(text, "admin        http://{admin}");
    }
    if let Some(State { directory }) = &config.state {
        let _ = writeln!(text, "state        {}", directory.display());
    }
    for source in sources {
        let state = explain_source(config, source);
        let _ = writeln!(text, "credentials  {}: {state}", source.means.name());
    }
    for issuer in &config.credentials.jwt {
        if let Some(address) = issuer.key_address() {
            let (issuer, address) = (&issuer.issuer, address.first());
            let _ = writeln!(
                text,
                "credentials  jwt: tokens of {issuer}, by keys from {address}"
            );
        }
    }
    if let Some(kubernetes) = &config.credentials.kubernetes {
        let _ = writeln!(
            text,
            "credentials  kubernetes: {}",
            explain_api_server(kubernetes)
        );
    }
    if let Some(anonymous) = &config.credentials.anonymous {
        let _ = writeln!(
            text,
            "credentials  none are needed: callers without any are called {}",
            anonymous.client
        );
    }
    if config.credentials.require == Require::All {
        let _ = writeln!(text, "credentials  all of them are needed together");
    }
    for rule in &config.access {
        let _ = writeln!(text, "access       {}", explain_rule(rule));
    }
    let _ = writeln!(
        text,
        "access       everyone else: {}",
        classes(AccessRule::DEFAULT)
    );
    let Network {
        allowed_cidrs,
        trusted_proxies,
        proxy_protocol,
        cors,
    } = &config.network;
    for (name, networks) in [("addresses", allowed_cidrs), ("proxies", trusted_proxies)] {
        if !networks.is_empty() {
            let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "{name:<12} {}", networks.join(", "));
        }
    }
    if *proxy_protocol {
        let _ = writeln!(text, "proxies      begin with the PROXY protocol");
    }
    if let Some(cors) = cors {
        let _ = writeln!(text, "pages        {}", cors.allowed_origins.join(", "));
    }
    for model in &config.models {
        let made = modelfile::base(model)
            .map_or_else(String::new, |base| format!(", made from {}", base.shortest()));
        let kept = if model.keep_loaded { ", kept loaded" } else { "" };
        let _ = writeln!(text, "model        {}{made}{kept}", model.name);
    }
    if config.prune_models {
        let _ = writeln!(text, "model        no others: they are deleted");
    }
    text
}

/// Whom it lets in. A file of keys or authorities names no clients: their tokens and certificates do.
fn explain_source(config: &Config, source: &SourceStatus) -> String {
    if source.error.is_some() {
        return "wrong".to_owned();
    }
    match source.means {
        Means::Basic | Means::ApiKeys | Means::OllamaKeys | Means::Kubernetes | Means::Anonymous => {
            format!("{} clients", source.clients)
        }
        Means::Jwt => {
            let issuer = source.issuer.as_deref().unwrap_or_default();
            let fetched = |known: &JwtIssuer| known.issuer == issuer && known.ca.is_some();
            if config.credentials.jwt.iter().any(fetched) {
                format!("whom an authority in the bundle has certified is believed to be {issuer}")
            } else {
                format!("tokens of {issuer}, by keys in a file")
            }
        }
        Means::ClientCertificates => "whom an authority in the bundle has certified".to_owned(),
    }
}

fn explain_api_server(kubernetes: &Kubernetes) -> String {
    let server = match &kubernetes.server {
        Some(server) => server.as_str().trim_end_matches('/'),
        None => "the API server of its own cluster",
    };
    let audiences = kubernetes.audiences.join(" or ");
    format!("service account tokens for {audiences}, by the word of {server}")
}

fn explain_rule(rule: &AccessRule) -> String {
    let AccessRule {
        clients,
        groups,
        allow,
        models,
        allowed_cidrs,
        not_after,
        limits,
        ceilings,
    } = rule;
    let groups = groups.iter().map(|group| format!("group {group}"));
    let subjects: Vec<_> = clients.iter().cloned().chain(groups).collect();
    let mut text = format!("{}: {}", subjects.join(", "), classes(allow));
    // Writing to a string can't fail.
    if let Some(models) = models {
        let _ = write!(text, "; models {}", models.join(", "));
    }
    if let Some(networks) = allowed_cidrs {
        let networks: Vec<_> = networks.iter().map(ToString::to_string).collect();
        let _ = write!(text, "; from {}", networks.join(", "));
    }
    if let Some(end) = not_after {
        let _ = write!(text, "; until {end}");
    }
    if let Some(limits) = limits {
        let _ = write!(text, "; each at most {}", explain_limits(limits));
    }
    if let Some(ceilings) = ceilings {
        let _ = write!(text, "; {}", explain_ceilings(ceilings));
    }
    text
}

fn explain_ceilings(ceilings: &Ceilings) -> String {
    let Ceilings {
        num_ctx,
        num_predict,
        keep_alive,
        on_excess,
    } = ceilings;
    let fields = [
        num_ctx.map(|most| format!("num_ctx {most}")),
        num_predict.map(|most| format!("num_predict {most}")),
        keep_alive.as_ref().map(|most| format!("keep_alive {most}")),
    ];
    let fields: Vec<_> = fields.into_iter().flatten().collect();
    let excess = match on_excess {
        OnExcess::Refuse => "refused",
        OnExcess::Clamp => "clamped",
    };
    format!("over {}: {excess}", fields.join(", "))
}

fn explain_limits(limits: &ClientLimits) -> String {
    let ClientLimits {
        requests_per_minute,
        burst: _,
        concurrent,
        tokens_per_minute,
        tokens_per_day,
    } = limits;
    let rate = requests_per_minute
        .zip(limits.burst())
        .map(|(rate, burst)| format!("{rate} requests a minute, {burst} at once"));
    let concurrent = concurrent.map(|most| format!("{most} on their way"));
    let minute = tokens_per_minute.map(|most| format!("{most} tokens a minute"));
    let day = tokens_per_day.map(|most| format!("{most} tokens a day"));
    let limits: Vec<_> = [rate, concurrent, minute, day].into_iter().flatten().collect();
    limits.join(", ")
}

fn classes(allow: &[RouteClass]) -> String {
    if allow.is_empty() {
        return "nothing but Health".into();
    }
    allow
        .iter()
        .map(|class| class.name())
        .collect::<Vec<_>>()
        .join(", ")
}
