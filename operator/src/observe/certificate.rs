//! The Secret with the certificate: whether a proxy can serve it. Its content is never kept.

use corral_proxy::tls::certificate::{Part, parse};

use super::Place;
use super::read_secret::ReadSecret;
use crate::plan::Plan;

/// The state of the Secret with the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateState {
    /// The operator may not touch Secrets.
    Unread,
    /// There is none of that name.
    Missing,
    /// It is there.
    Found {
        /// Which version of it.
        resource_version: String,
        /// Which entry is wrong, and how.
        error: Option<String>,
    },
}

impl CertificateState {
    /// Which version was read.
    pub fn resource_version(&self) -> Option<&str> {
        match self {
            Self::Unread | Self::Missing => None,
            Self::Found { resource_version, .. } => Some(resource_version),
        }
    }
}

/// The state of the plan's certificate. A Secret that hasn't changed is not read again.
pub(super) async fn certificate(
    place: Place<'_>,
    plan: &Plan,
) -> Result<Option<CertificateState>, kube::Error> {
    let Some(name) = &plan.tls_secret else {
        return Ok(None);
    };
    if place.stores.secrets.is_none() {
        return Ok(Some(CertificateState::Unread));
    }
    let index = (place.namespace.to_owned(), place.name.to_owned());
    if let Some((secret, known)) = place.readings.certificates.get(&index)
        && secret == *name
        && place.version_in_store(name).as_deref() == known.resource_version()
    {
        return Ok(Some(known));
    }
    let Some(secret) = place.read(name).await? else {
        return Ok(Some(CertificateState::Missing));
    };
    let found = CertificateState::Found {
        resource_version: secret.resource_version.clone(),
        error: error(&secret),
    };
    place
        .readings
        .certificates
        .insert(index, (name.clone(), found.clone()));
    Ok(Some(found))
}

fn error(secret: &ReadSecret) -> Option<String> {
    let entry = |part: Part| secret.entries.get(part.entry()).map_or(&[][..], Vec::as_slice);
    let parsed = parse(entry(Part::Certificate), entry(Part::Key));
    parsed
        .err()
        .map(|error| format!("{} {error}", error.part.entry()))
}
