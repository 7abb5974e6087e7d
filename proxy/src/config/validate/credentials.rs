//! What the types of the credentials' configuration can't say.

use super::source::check_source;
use super::{Invalid, jwt, kubernetes};
use crate::config::{Anonymous, Credentials, OllamaKeys, Require};
use crate::credentials::{Means, check_name};

pub(super) fn check(credentials: &Credentials) -> Result<(), Invalid> {
    if credentials.means().is_empty() && credentials.anonymous.is_none() {
        return Err(Invalid::new(
            "credentials",
            "none are configured, and an open proxy is refused: give --htpasswd FILE, --api-keys FILE, --ollama-keys \
             FILE, --client-ca FILE, or credentials in the configuration file",
        ));
    }
    for (kind, source) in credentials.sources() {
        check_source(&format!("credentials.{}", kind.means().name()), &source)?;
    }
    clock_skew(credentials.ollama_keys.as_ref())?;
    jwt::check(&credentials.jwt)?;
    kubernetes::check(credentials.kubernetes.as_ref())?;
    anonymous(credentials.anonymous.as_ref())?;
    require(credentials)
}

fn anonymous(anonymous: Option<&Anonymous>) -> Result<(), Invalid> {
    anonymous.map_or(Ok(()), |Anonymous { client }| {
        check_name(client)
            .map_err(|problem| Invalid::new("credentials.anonymous.client", problem.to_string()))
    })
}

fn require(credentials: &Credentials) -> Result<(), Invalid> {
    match (
        credentials.require,
        unmeetable(&credentials.means(), credentials.anonymous.is_some()),
    ) {
        (Require::All, Some(problem)) => Err(Invalid::new("credentials.require", problem)),
        (Require::Any | Require::All, _) => Ok(()),
    }
}

/// Why no request can carry a credential for each of these means, if none can, or why it would make no sense.
pub fn unmeetable(means: &[Means], anonymous: bool) -> Option<String> {
    if anonymous {
        return Some(
            "can't be All with anonymous, which lets those in who carry none; keep one of the two".into(),
        );
    }
    let rivals: Vec<_> = means
        .iter()
        .filter(|means| means.needs_authorization())
        .map(|means| means.name())
        .collect();
    (rivals.len() > 1).then(|| {
        format!(
            "can't be All: {} are each carried in Authorization, of which a request has one; keep one of them",
            rivals.join(" and ")
        )
    })
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
