//! Whether traffic should come: Ollama answers, the models are there, and the end has not begun.

use std::sync::atomic::{AtomicBool, Ordering};

use thiserror::Error;

/// What `/readyz` depends on.
#[derive(Debug, Default)]
pub struct Readiness {
    upstream_answers: AtomicBool,
    models_were_ready: AtomicBool,
    certificate_lacks: AtomicBool,
    draining: AtomicBool,
}

/// Why traffic should not come.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotReady {
    /// SIGTERM has come.
    #[error("draining")]
    Draining,
    /// There is TLS, and no certificate yet.
    #[error("there is no certificate yet")]
    Certificate,
    /// Ollama doesn't answer `/api/version`.
    #[error("the upstream doesn't answer")]
    Upstream,
    /// A model of the configuration isn't there yet.
    #[error("not all models are there yet")]
    Models,
}

impl Readiness {
    /// Whether traffic may come.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self) -> Result<(), NotReady> {
        if self.is_draining() {
            return Err(NotReady::Draining);
        }
        if self.certificate_lacks.load(Ordering::Relaxed) {
            return Err(NotReady::Certificate);
        }
        if !self.upstream_answers.load(Ordering::Relaxed) {
            return Err(NotReady::Upstream);
        }
        if !self.models_were_ready.load(Ordering::Relaxed) {
            return Err(NotReady::Models);
        }
        Ok(())
    }

    /// Notes whether Ollama answers.
    pub fn note_upstream(&self, answers: bool) {
        if self.upstream_answers.swap(answers, Ordering::Relaxed) != answers {
            tracing::info!(answers, "the upstream's state changed");
        }
    }

    /// All models were there once. That stays: a model that is added later must not take a replica out of service.
    pub fn note_models_ready(&self) {
        self.models_were_ready.store(true, Ordering::Relaxed);
    }

    /// Notes whether TLS lacks its certificate.
    pub fn note_certificate_lacks(&self, lacks: bool) {
        self.certificate_lacks.store(lacks, Ordering::Relaxed);
    }

    /// The end begins.
    pub fn note_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the end has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_comes_when_all_is_there() {
        let readiness = Readiness::default();
        assert_eq!(readiness.check(), Err(NotReady::Upstream), "at first");
        readiness.note_upstream(true);
        assert_eq!(readiness.check(), Err(NotReady::Models), "with Ollama alone");
        readiness.note_models_ready();
        assert_eq!(readiness.check(), Ok(()), "with the models");
        readiness.note_upstream(false);
        assert_eq!(readiness.check(), Err(NotReady::Upstream), "Ollama restarts");
        readiness.note_upstream(true);
        assert_eq!(readiness.check(), Ok(()), "Ollama is back, the models were there");
        readiness.note_certificate_lacks(true);
        assert_eq!(readiness.check(), Err(NotReady::Certificate), "no certificate");
        readiness.note_draining();
        assert_eq!(readiness.check(), Err(NotReady::Draining), "at the end");
    }
}
