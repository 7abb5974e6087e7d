//! What is wrong with the certificate, and what to do.

use super::Known;
use super::verdict::Verdict;
use crate::crd::OllamaService;
use crate::observe::CertificateState;

pub(super) fn problem(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    let name = known.plan.tls_secret.as_deref()?;
    match known.certificate? {
        CertificateState::Missing => Some(Verdict::no("CertificateMissing", missing(service, name))),
        CertificateState::Found { error, .. } => error.as_ref().map(|error| invalid(name, error)),
        CertificateState::Unread => reported(known).map(|error| invalid(name, error)),
    }
}

fn missing(service: &OllamaService, name: &str) -> String {
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    format!(
        "Secret {name} of spec.network.tls is missing, and Pods that start have no certificate; let cert-manager make it, or: \
         kubectl -n {namespace} create secret tls {name} --cert=FILE --key=FILE"
    )
}

fn invalid(name: &str, error: &str) -> Verdict {
    let message = format!(
        "Secret {name} of spec.network.tls: {error}; until then the last good certificate is served, and a Pod that has had \
         none refuses connections"
    );
    Verdict::no("CertificateInvalid", message)
}

/// Without a look at the Secret, the proxies' own words.
fn reported<'a>(known: &'a Known<'_>) -> Option<&'a str> {
    let answers = known
        .replicas
        .iter()
        .filter_map(|replica| replica.answer.as_ref().ok());
    answers
        .filter_map(|status| status.certificate.as_ref()?.error.as_deref())
        .next()
}
