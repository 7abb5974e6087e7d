//! Why nobody can say whose a token is.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// The API server can't be asked, or has given no answer to what it was asked. Names addresses and files, never what a
/// token or an answer holds.
#[derive(Debug, Error)]
pub(super) enum ReviewError {
    #[error(
        "there is no API server: credentials.kubernetes.server is missing, and so is KUBERNETES_SERVICE_HOST"
    )]
    NoServer,
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: String },
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error(
        "audiences name the API server itself, as the proxy's own token does: whoever sees such a token on its way here \
         could use it there"
    )]
    OwnAudience,
    #[error("no answer from {0}: {1}")]
    NoAnswer(String, String),
    #[error("no whole answer from {0} within {time} s", time = .1.as_secs())]
    Timeout(String, Duration),
    #[error("{0} forbids the proxy to create TokenReviews of authentication.k8s.io")]
    Forbidden(String),
    #[error("{0} doesn't accept the proxy's own token")]
    Unauthorized(String),
    #[error("{0} answers {1} in place of a TokenReview")]
    Status(String, http::StatusCode),
    #[error("the answer of {0} is no TokenReview of authentication.k8s.io/v1")]
    NoReview(String),
}

impl ReviewError {
    /// Whether it lacks the right to ask.
    pub(super) const fn is_forbidden(&self) -> bool {
        matches!(self, Self::Forbidden(_))
    }
}
