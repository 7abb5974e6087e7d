//! What all requests share.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::account::Accounting;
use crate::account::log::AccessLog;
use crate::admit::{Admission, InFlightRequests};
use crate::identify::Verifier;
use crate::in_force::InForce;
use crate::limit::Limiter;
use crate::metrics::{Metrics, ReloadLabels};
use crate::models::board::{Board, Wanted};
use crate::payload::HeldBytes;
use crate::readiness::Readiness;
use crate::status::{ConfigurationStatus, LimitsStatus, Status};
use crate::tls;
use crate::trace::RequestIds;
use crate::upstream::Upstream;

/// The proxy, without its listeners.
pub struct Proxy {
    in_force: ArcSwap<InForce>,
    /// The generation in force.
    swaps: watch::Sender<u64>,
    verifier: Verifier,
    requests: Arc<InFlightRequests>,
    limiter: Limiter,
    held: HeldBytes,
    upstream: Arc<Upstream>,
    accounting: Arc<Accounting>,
    readiness: Readiness,
    models: Board,
    certificate: Arc<tls::Served>,
    tls: Option<ArcSwap<TlsAcceptor>>,
}

/// The system denies what the proxy can't do without.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No thread for the access log.
    #[error("can't start the access log: {0}")]
    AccessLog(io::Error),
    /// No threads or no random numbers for passwords.
    #[error("can't check passwords: {0}")]
    Passwords(io::Error),
    /// No TLS.
    #[error("can't start TLS: {0}")]
    Tls(rustls::Error),
}

impl Proxy {
    /// Puts it together; the access log goes to `sink`.
    ///
    /// # Errors
    /// The system has no thread or no random numbers.
    pub fn new(first: InForce, sink: impl Write + Send + 'static) -> Result<Self, SetupError> {
        let metrics = Arc::new(Metrics::with(first.credentials.token_reviews().clone()));
        let config = &first.config.log;
        let log =
            AccessLog::start(sink, config, metrics.log_dropped.clone()).map_err(SetupError::AccessLog)?;
        let certificate = Arc::new(tls::Served::default());
        certificate.put(first.certificate.key());
        let tls = first.config.tls.as_ref();
        let authorities = first.credentials.certificates().authorities();
        let tls = tls
            .map(|_| tls::acceptor(Arc::clone(&certificate), authorities.map(Arc::as_ref)))
            .transpose()
            .map_err(SetupError::Tls)?;
        let connect_timeout = first.config.limits.timeouts.connect();
        let proxy = Self {
            upstream: Arc::new(Upstream::new(&first.config.upstream, connect_timeout)),
            models: Board::new(Wanted::of(&first.config)),
            swaps: watch::Sender::new(first.generation),
            in_force: ArcSwap::from_pointee(first),
            verifier: Verifier::new(metrics.passwords_hashed.clone()).map_err(SetupError::Passwords)?,
            requests: Arc::default(),
            limiter: Limiter::new(metrics.clients_limited.clone()),
            held: HeldBytes::default(),
            accounting: Arc::new(Accounting {
                log,
                metrics,
                request_ids: RequestIds::default(),
            }),
            readiness: Readiness::default(),
            certificate,
            tls: tls.map(ArcSwap::from_pointee),
        };
        proxy.note_certificate();
        Ok(proxy)
    }

    fn note_certificate(&self) {
        let lacks = self.tls.is_some() && self.in_force().certificate.key().is_none();
        self.readiness.note_certificate_lacks(lacks);
    }

    /// How handshakes are answered; none where the proxy speaks plain HTTP.
    pub fn tls(&self) -> Option<TlsAcceptor> {
        self.tls.as_ref().map(|tls| TlsAcceptor::clone(&tls.load()))
    }

    /// What is in force now.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts the next snapshot in force: requests that it would not let in are cut, the others go on untouched.
    pub fn put_in_force(&self, next: InForce) {
        let outcome = if next.error.is_some() {
            "refused"
        } else {
            "applied"
        };
        self.accounting.log.configure(&next.config.log);
        self.models.list(Wanted::of(&next.config));
        self.certificate.put(next.certificate.key());
        self.trust(&next);
        let next = Arc::new(next);
        self.in_force.store(Arc::clone(&next));
        self.swaps.send_replace(next.generation);
        self.note_certificate();
        self.judge_again(&next);
        self.accounting
            .metrics
            .reloads
            .get_or_create(&ReloadLabels { outcome })
            .inc();
    }

    /// Lets handshakes ask for certificates of the authorities that are in force from now on.
    fn trust(&self, next: &InForce) {
        let in_force = self.in_force();
        let before = in_force.credentials.certificates().authorities();
        let authorities = next.credentials.certificates().authorities();
        if before.map(Arc::as_ptr) == authorities.map(Arc::as_ptr) {
            return;
        }
        let Some(tls) = &self.tls else { return };
        match tls::acceptor(Arc::clone(&self.certificate), authorities.map(Arc::as_ref)) {
            Ok(acceptor) => tls.store(Arc::new(acceptor)),
            // What it lets through is judged by what is in force, for each request.
            Err(error) => {
                tracing::error!(%error, "handshakes go on asking for certificates of earlier authorities");
            }
        }
    }

    /// Which upstream a request goes to.
    pub fn route(&self, _admission: &Admission) -> Arc<Upstream> {
        Arc::clone(&self.upstream)
    }

    /// The upstream that the proxy's own questions go to.
    pub const fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    /// Who checks credentials.
    pub const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The requests on their way.
    pub const fn requests(&self) -> &Arc<InFlightRequests> {
        &self.requests
    }

    /// What clients use.
    pub const fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The memory for bodies that are being read.
    pub const fn held(&self) -> &HeldBytes {
        &self.held
    }

    /// Cuts requests of clients whose access has ended since `earlier`.
    pub fn end_expired(&self, earlier: Timestamp, now: Timestamp) {
        let in_force = self.in_force();
        if in_force.authorizer.expires_between(earlier, now) {
            self.judge_again(&in_force);
        }
    }

    /// Forgets the numbers of clients that are known no longer.
    pub fn forget_gone(&self, now: Instant) {
        let known = self.in_force().credentials.client_names();
        self.accounting.metrics.forget_gone(&known, now);
    }

    /// Tells when another snapshot is in force.
    pub fn swaps(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }

    /// Judges all requests again under what is in force: keys of issuers have changed.
    pub fn judge_again_all(&self) {
        self.judge_again(&self.in_force());
    }

    fn judge_again(&self, in_force: &InForce) {
        let cut = self.requests.judge_again(in_force);
        self.accounting.metrics.cut.inc_by(cut as u64);
        if cut > 0 {
            tracing::info!(requests = cut, "cut requests that may no longer go on");
        }
    }

    /// Log and metrics.
    pub const fn accounting(&self) -> &Arc<Accounting> {
        &self.accounting
    }

    /// What `/readyz` says.
    pub const fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// How far the models are.
    pub const fn models(&self) -> &Board {
        &self.models
    }

    /// What `/status` says.
    pub fn status(&self) -> Status {
        let in_force = self.in_force();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.readiness.check().is_ok(),
            draining: self.readiness.is_draining(),
            configuration: ConfigurationStatus {
                digest: in_force.digest.clone(),
                loaded_at: in_force.configured_at,
                error: in_force.error.clone(),
            },
            certificate: self.tls.as_ref().map(|_| in_force.certificate.status()),
            require: in_force.config.credentials.require,
            credentials: in_force.credentials.sources(),
            issuers: in_force.credentials.issuer_statuses(),
            kubernetes: in_force.credentials.api_server_status(),
            clients: in_force.credentials.clients(),
            limits: in_force
                .config
                .access
                .iter()
                .filter_map(LimitsStatus::of)
                .collect(),
            models: self.models.statuses(),
            loaded: self.models.loaded(),
        }
    }
}
