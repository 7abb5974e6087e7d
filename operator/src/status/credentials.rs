//! CredentialsSynced: whether the newest credentials are in force on every replica, and if not, why.

use corral_proxy::credentials::CredentialKind;

use super::verdict::Verdict;
use super::{Known, scale};
use crate::crd::OllamaService;
use crate::observe::{Content, SecretState};
use crate::plan::{GENERATED_ENTRY, Source};
use crate::replicas::Replica;

/// The reason where a proxy doesn't know something in its configuration.
pub(super) const CONFIGURATION_REFUSED: &str = "ConfigurationRefused";

pub(super) fn synced(service: &OllamaService, known: &Known<'_>) -> Verdict {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let sources = known.plan.sources.iter().zip(known.secrets);
    if let Some(wrong) = sources
        .filter_map(|(source, secret)| wrong(source, secret, namespace))
        .reduce(Verdict::and)
    {
        return wrong;
    }
    if let Some(refused) = refused_configuration(known.replicas) {
        return refused;
    }
    if let Some(lacking) = lacking_keys(known.replicas) {
        return lacking;
    }
    if let Some(lacking) = lacking_reviews(known) {
        return lacking;
    }
    if known.secrets.contains(&SecretState::Unread) {
        return unverified(known, namespace);
    }
    if let Some(problem) = known.digest_key_problem {
        return Verdict::no("SecretInvalid", problem);
    }
    if known.secrets.iter().any(|secret| secret.digest().is_none()) {
        return Verdict::not_yet(
            "Starting",
            "The Secret with the key of the proxies' digests is being made",
        );
    }
    progress(service, known)
}

/// Whether a Secret lets nobody in, and what to do.
fn wrong(source: &Source, secret: &SecretState, namespace: &str) -> Option<Verdict> {
    let name = &source.secret;
    match secret {
        SecretState::Missing { .. } if source.generated => Some(Verdict::not_yet(
            "Starting",
            format!("Secret {name} is being made"),
        )),
        SecretState::Missing { .. } => Some(Verdict::no("SecretMissing", missing(source, namespace))),
        SecretState::Found(Content {
            clients: Err(error), ..
        }) => Some(Verdict::no(
            "SecretInvalid",
            format!("Secret {name}: {error}; until then it lets nobody in"),
        )),
        SecretState::Found(_) | SecretState::Unread => None,
    }
}

fn missing(source: &Source, namespace: &str) -> String {
    let name = &source.secret;
    let entry = source.key.as_deref();
    let content = match source.kind {
        CredentialKind::Basic => format!("--from-file={}=HTPASSWD-FILE", entry.unwrap_or("auth")),
        CredentialKind::ApiKeys => match entry {
            Some(entry) => format!("--from-file={entry}=KEY-FILE"),
            None => "--from-literal=CLIENT=KEY".to_owned(),
        },
        CredentialKind::OllamaKeys => format!(
            "--from-file={}=PUBLIC-KEYS-FILE",
            entry.unwrap_or("authorized_keys")
        ),
        CredentialKind::TokenKeys => format!("--from-file={}=JWKS-OR-PEM-FILE", entry.unwrap_or("keys")),
        CredentialKind::IssuerAuthorities | CredentialKind::ClientCertificates => {
            format!("--from-file={}=CA-FILE", entry.unwrap_or("ca.crt"))
        }
    };
    format!(
        "Secret {name} is missing, and nobody is let in by {}; make it: kubectl -n {namespace} create secret generic {name} \
         {content}",
        words_for(source.kind)
    )
}

fn words_for(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Basic => "user and password",
        CredentialKind::ApiKeys => "API key",
        CredentialKind::OllamaKeys => "signature of the ollama CLI",
        CredentialKind::TokenKeys | CredentialKind::IssuerAuthorities => "JSON Web Token",
        CredentialKind::ClientCertificates => "client certificate",
    }
}

/// What those should know who think that a credential is needed.
pub(super) fn anonymous(service: &OllamaService) -> Option<Verdict> {
    let client = &service.spec.auth.as_ref()?.anonymous.as_ref()?.client;
    let message = format!(
        "spec.auth.anonymous lets callers without any credential in, as client {client}: whoever reaches the service may use \
         its models, or do what the rule of spec.access allows that names this client"
    );
    Some(Verdict::yes("Configured", message))
}

fn refused_configuration(replicas: &[Replica]) -> Option<Verdict> {
    replicas.iter().find_map(|replica| {
        let error = replica.answer.as_ref().ok()?.configuration.error.as_ref()?;
        let message = format!(
            "The proxy in Pod {} keeps its last good configuration: {error}",
            replica.pod
        );
        Some(Verdict::no(CONFIGURATION_REFUSED, message))
    })
}

/// An issuer whose keys can't be fetched. While the last good ones count, nothing is lacking.
fn lacking_keys(replicas: &[Replica]) -> Option<Verdict> {
    replicas.iter().find_map(|replica| {
        let (issuer, error) = replica
            .issuers_without_keys()
            .find_map(|issuer| Some((&issuer.issuer, issuer.error.as_ref()?)))?;
        let message = format!(
            "The proxy in Pod {} has no keys of issuer {issuer}: {error}; until then its tokens let nobody in",
            replica.pod
        );
        Some(Verdict::no("IssuerKeysMissing", message))
    })
}

/// An API server that says of no token whose it is.
fn lacking_reviews(known: &Known<'_>) -> Option<Verdict> {
    known.replicas.iter().find_map(|replica| {
        let (server, error) = replica.unanswering_server()?;
        let pod = &replica.pod;
        let (reason, remedy) = match &known.plan.token_reviewer_binding {
            Some(binding) if server.forbidden => {
                ("TokenReviewsForbidden", format!("; let an administrator allow it: {binding}"))
            }
            _ => ("TokenReviewsFailing", String::new()),
        };
        let message = format!(
            "The proxy in Pod {pod} can't have service account tokens reviewed, and until then they let nobody new in: \
             {error}{remedy}"
        );
        Some(Verdict::no(reason, message))
    })
}

/// Without a look at the Secrets the proxies' own words are all that there is.
fn unverified(known: &Known<'_>, namespace: &str) -> Verdict {
    let reported = known.replicas.iter().find_map(|replica| {
        let sources = &replica.answer.as_ref().ok()?.credentials;
        sources
            .iter()
            .find_map(|source| Some((source, source.error.as_ref()?)))
    });
    if let Some((reported, error)) = reported {
        let source = known.plan.sources.iter().find(|source| source.is(reported));
        let name = source.map_or("", |source| &source.secret);
        let message = format!(
            "Secret {name} in namespace {namespace}, as the proxies see it: {error}; until then it lets nobody in"
        );
        return Verdict::no("SecretInvalid", message);
    }
    Verdict::unknown(
        "Unverified",
        "The operator may not look at Secrets (--secrets=none), so it can't tell which version is in force; an edit takes the \
         kubelet a minute or two",
    )
}

fn progress(service: &OllamaService, known: &Known<'_>) -> Verdict {
    let replicas = known.replicas.len();
    if let Some((pod, why)) = known.progress.lagging.first() {
        let message = format!(
            "{} of {replicas} replicas have everything in force; Pod {pod}: {why}",
            known.progress.synced
        );
        return Verdict::not_yet("Rotating", message);
    }
    let hint = where_the_key_is(known);
    if replicas == 0 && scale::wanted(known) > 0 {
        let message = format!("No replica runs yet; each starts with the newest credentials{hint}");
        return Verdict::unknown("NoReplicas", message);
    }
    let message = format!(
        "{}, in force on {replicas} replica(s){hint}",
        who_is_let_in(service, known)
    );
    Verdict::yes("InForce", message)
}

/// The clients that stand in Secrets by their number, those that tokens name by who names them.
fn who_is_let_in(service: &OllamaService, known: &Known<'_>) -> String {
    let mut secrets = Vec::new();
    let mut parts = Vec::new();
    for source in &known.plan.sources {
        match &source.issuer {
            None => secrets.push(source.secret.as_str()),
            Some(issuer) => parts.push(format!("tokens of {} by Secret {}", issuer.issuer, source.secret)),
        }
    }
    let issuers = service.spec.auth.iter().flat_map(|auth| &auth.jwt);
    for issuer in issuers.filter(|issuer| issuer.secret_ref.is_none()) {
        parts.push(format!(
            "tokens of {} by the keys that it publishes",
            issuer.issuer
        ));
    }
    if let Some(kubernetes) = service
        .spec
        .auth
        .as_ref()
        .and_then(|auth| auth.kubernetes.as_ref())
    {
        parts.push(format!(
            "service accounts of this cluster by tokens for {}",
            kubernetes.audiences.join(" or ")
        ));
    }
    if !secrets.is_empty() {
        let clients = clients(known.secrets, known.replicas);
        parts.insert(0, format!("{clients} client(s) by Secret {}", secrets.join(", ")));
    }
    if parts.is_empty() {
        return "No credential is needed".to_owned();
    }
    parts.join(" and ")
}

/// Where to find a key that was made because `auth` is not given.
fn where_the_key_is(known: &Known<'_>) -> String {
    let generated = known.plan.sources.iter().find(|source| source.generated);
    generated.map_or_else(String::new, |source| {
        format!(
            "; a key was made for you: entry {GENERATED_ENTRY} of Secret {}",
            source.secret
        )
    })
}

/// How many clients are let in; where Secrets are not read, the proxies say.
pub(super) fn clients(secrets: &[SecretState], replicas: &[Replica]) -> usize {
    if secrets.contains(&SecretState::Unread) {
        return replicas.iter().map(|replica| replica.clients).max().unwrap_or(0);
    }
    let counts = secrets.iter().filter_map(|secret| match secret {
        SecretState::Found(content) => content.clients.as_ref().ok().copied(),
        SecretState::Missing { .. } | SecretState::Unread => None,
    });
    counts.sum()
}
