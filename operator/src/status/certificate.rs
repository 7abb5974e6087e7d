//! What is wrong with the certificate, and what to do.

use kube::ResourceExt;

use super::Known;
use super::verdict::{Verdict, refused};
use crate::crd::OllamaService;
use crate::observe::CertificateState;
use crate::plan::Kind;

pub(super) fn problem(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    let name = known.plan.tls_secret.as_deref()?;
    if known.unserved.contains(&Kind::Certificate) {
        return Some(Verdict::no(
            "CertManagerMissing",
            "spec.network.tls.certificate needs cert-manager (cert-manager.io/v1), which this cluster doesn't have; install \
             it, or name a Secret of yours in spec.network.tls.secretName",
        ));
    }
    if let Some(failed) = failed(known) {
        return Some(failed);
    }
    match known.certificate? {
        CertificateState::Missing => {
            Some(made(known).unwrap_or_else(|| Verdict::no("CertificateMissing", missing(service, name))))
        }
        CertificateState::Found { error, .. } => error.as_ref().map(|error| invalid(name, error)),
        CertificateState::Unread => reported(known).map(|error| invalid(name, error)),
    }
}

/// A certificate that cert-manager has given up on for now says why in its status (cert-manager.io/v1 CertificateStatus).
fn failed(known: &Known<'_>) -> Option<Verdict> {
    let certificate = known.children.get(&Kind::Certificate)?;
    let (reason, words) = refused(&certificate.data["status"], "Issuing")?;
    let message = format!("cert-manager can't make the certificate: {reason}: {words}; it tries again later");
    (reason == "Failed").then(|| Verdict::no("CertificateFailed", message))
}

/// What is said of a Secret that cert-manager is yet to make; none where nobody is to make it.
fn made(known: &Known<'_>) -> Option<Verdict> {
    let certificate = known.children.get(&Kind::Certificate)?;
    let says = refused(&certificate.data["status"], "Ready");
    let words = says.map_or_else(
        || "it has not said anything of it yet".to_owned(),
        |(reason, words)| format!("it says {reason}: {words}"),
    );
    let name = certificate.name_any();
    Some(Verdict::not_yet(
        "CertificatePending",
        format!("cert-manager is to make the certificate; {words}; see: kubectl describe certificate {name}"),
    ))
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
