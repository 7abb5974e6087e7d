//! The certificate that cert-manager makes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::Prepared;
use super::names::{metadata, tls_name};
use crate::crd::{IssuedCertificate, IssuerRef, OllamaServiceSpec};

/// The part of a Certificate (cert-manager.io/v1) that is needed here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Certificate {
    api_version: &'static str,
    kind: &'static str,
    metadata: ObjectMeta,
    spec: CertificateSpec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CertificateSpec {
    secret_name: String,
    dns_names: Vec<String>,
    issuer_ref: IssuerRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_before: Option<String>,
    private_key: PrivateKey,
    usages: [&'static str; 3],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PrivateKey {
    /// Each certificate has a key of its own: cert-manager kept one for ever before 1.18.
    rotation_policy: &'static str,
}

/// What is wrong with the spec's `network.tls`.
pub(super) fn tls_problem(spec: &OllamaServiceSpec) -> Option<String> {
    let tls = spec.network.as_ref()?.tls.as_ref()?;
    (tls.secret_name.is_some() == tls.certificate.is_some())
        .then(|| "spec.network.tls: exactly one of secretName and certificate".to_owned())
}

pub(super) fn certificate(prepared: &Prepared<'_>) -> Option<Certificate> {
    let tls = prepared.spec.network.as_ref()?.tls.as_ref()?;
    let IssuedCertificate {
        issuer_ref,
        dns_names,
        duration,
        renew_before,
    } = tls.certificate.clone()?;
    let mut names = in_cluster(prepared);
    names.extend(dns_names);
    Some(Certificate {
        api_version: "cert-manager.io/v1",
        kind: "Certificate",
        metadata: metadata(prepared, prepared.name),
        spec: CertificateSpec {
            secret_name: tls_name(prepared.name),
            dns_names: names,
            issuer_ref,
            duration,
            renew_before,
            private_key: PrivateKey {
                rotation_policy: "Always",
            },
            usages: ["digital signature", "key encipherment", "server auth"],
        },
    })
}

/// The names by which Pods find the Service (Kubernetes' DNS specification, with the usual domain of a cluster).
fn in_cluster(prepared: &Prepared<'_>) -> Vec<String> {
    let Prepared { name, namespace, .. } = prepared;
    vec![
        (*name).to_owned(),
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.cluster.local"),
    ]
}
