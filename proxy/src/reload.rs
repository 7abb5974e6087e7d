//! Edits come into force without a restart.

mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Config;
use crate::config::flags::Flags;
use crate::in_force::InForce;
use crate::proxy::Proxy;
use crate::tls::certificate::Certificate;
use watch::Watch;

/// Watches the configuration file and all that it names, for ever; each change puts a new snapshot in force. What
/// was edited between the start and here is noticed too, for the first reload doesn't wait.
pub async fn keep_in_force(flags: Flags, proxy: Arc<Proxy>) {
    let flags = Arc::new(flags);
    let mut watch = Watch::new();
    loop {
        let watched = paths(&flags, &proxy.in_force().config);
        watch.observe(&watched);
        reload(&flags, &proxy).await;
        if watched == paths(&flags, &proxy.in_force().config) {
            watch.change().await;
        }
    }
}

async fn reload(flags: &Arc<Flags>, proxy: &Proxy) {
    let current = proxy.in_force();
    let (flags, before) = (Arc::clone(flags), Arc::clone(&current));
    match tokio::task::spawn_blocking(move || before.next(flags.load())).await {
        Ok(next) => {
            report(&current, &next);
            proxy.put_in_force(next);
        }
        Err(error) => tracing::error!(%error, "the reload failed"),
    }
}

/// All that a snapshot is read from.
fn paths(flags: &Flags, config: &Config) -> Vec<PathBuf> {
    let Config {
        credentials,
        digest_key_file,
        tls,
        ..
    } = config;
    let certificate = tls.iter().flat_map(|tls| [&tls.cert_file, &tls.key_file]);
    flags
        .config
        .iter()
        .chain(digest_key_file)
        .chain(certificate)
        .cloned()
        .chain(credentials.paths())
        .collect()
}

fn report(before: &InForce, next: &InForce) {
    if let Some(error) = next.error.as_deref().filter(|_| next.error != before.error) {
        tracing::error!(error, "the configuration stays as it was");
    }
    if next.error.is_none() && next.digest != before.digest {
        tracing::info!("a new configuration is in force");
    }
    for field in changed_start_fields(&before.config, &next.config) {
        tracing::warn!(field, "changes only at the next start");
    }
    report_anonymous(&before.config, &next.config);
    report_certificate(&before.certificate, &next.certificate);
    let old_errors: Vec<_> = before
        .credentials
        .sources()
        .into_iter()
        .filter_map(|source| source.error)
        .collect();
    for source in next.credentials.sources() {
        let means = source.means.name();
        match source.error {
            Some(error) if !old_errors.contains(&error) => tracing::error!(means, error, "nobody is let in"),
            Some(_) => {}
            None => tracing::info!(means, clients = source.clients, "credentials are in force"),
        }
    }
}

fn report_anonymous(before: &Config, next: &Config) {
    let (before, next) = (&before.credentials.anonymous, &next.credentials.anonymous);
    match next {
        _ if before == next => {}
        Some(anonymous) => {
            let client = &anonymous.client;
            tracing::warn!(client, "callers without any credential are let in");
        }
        None => tracing::info!("callers without any credential are refused"),
    }
}

fn report_certificate(before: &Certificate, next: &Certificate) {
    if let Some(error) = next.error().filter(|_| next.error() != before.error()) {
        tracing::error!(error, "the certificate stays as it was");
    }
    let (before, next) = (before.status(), next.status());
    if let Some(fingerprint) = next.fingerprint.filter(|_| next.loaded_at != before.loaded_at) {
        tracing::info!(fingerprint, "a new certificate is in force");
    }
}

fn changed_start_fields(before: &Config, next: &Config) -> Vec<&'static str> {
    let fields = [
        ("listen", before.listen != next.listen),
        ("adminListen", before.admin_listen != next.admin_listen),
        ("upstream", before.upstream != next.upstream),
        ("threads", before.threads != next.threads),
        ("state", before.state != next.state),
        ("tls", before.tls.is_some() != next.tls.is_some()),
    ];
    fields
        .iter()
        .filter(|(_, changed)| *changed)
        .map(|(field, _)| *field)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_start_are_told_apart() {
        type Edit = fn(&mut Config);
        let cases: &[(&str, Edit, &[&str])] = &[
            ("nothing", |_| {}, &[]),
            ("a rule", |config| config.access.clear(), &[]),
            (
                "the threads",
                |config| config.threads = std::num::NonZeroUsize::new(3),
                &["threads"],
            ),
            (
                "the addresses",
                |config| {
                    config.listen.set_port(1);
                    config.admin_listen = Some(config.listen);
                },
                &["listen", "adminListen"],
            ),
            (
                "the upstream",
                |config| config.upstream.set_port(Some(1)).unwrap(),
                &["upstream"],
            ),
        ];
        for (name, edit, fields) in cases {
            let mut next = Config::default();
            edit(&mut next);
            assert_eq!(changed_start_fields(&Config::default(), &next), *fields, "{name}");
        }
    }
}
