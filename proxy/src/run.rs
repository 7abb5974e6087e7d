//! The life of a process: start, serve, drain, end.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::runtime::{self, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::accept::{Acceptor, Limits};
use crate::config::flags::Flags;
use crate::config::load::Loaded;
use crate::config::{Config, Shutdown, State};
use crate::in_force::InForce;
use crate::jwt::Fetcher;
use crate::limit::{Keeper, Moment, SavedFile};
use crate::proxy::{Proxy, SetupError};
use crate::{admin, keep, reload};

/// Why the process can't do its work.
#[derive(Debug, Error)]
pub enum RunError {
    /// The address is taken, or not this machine's.
    #[error("can't listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The system denies something.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No threads or no signals.
    #[error("can't start: {0}")]
    Start(io::Error),
}

/// Runs the proxy until SIGTERM or SIGINT and the end of the streams.
///
/// # Errors
/// The proxy can't start.
pub fn run(flags: Flags, loaded: Loaded) -> Result<(), RunError> {
    let runtime = runtime(loaded.config.threads).map_err(RunError::Start)?;
    let outcome = runtime.block_on(serve(flags, loaded));
    // What is still running has had its time.
    runtime.shutdown_background();
    outcome
}

/// One thread serves alone, without the cost of sharing.
fn runtime(threads: Option<NonZeroUsize>) -> io::Result<Runtime> {
    let mut builder = match threads.map(NonZeroUsize::get) {
        Some(1) => runtime::Builder::new_current_thread(),
        _ => runtime::Builder::new_multi_thread(),
    };
    if let Some(threads) = threads {
        builder.worker_threads(threads.get());
    }
    builder.enable_all().build()
}

async fn serve(flags: Flags, loaded: Loaded) -> Result<(), RunError> {
    let mut end = End::listen().map_err(RunError::Start)?;
    let listener = listen(loaded.config.listen).await?;
    let admin_listener = match loaded.config.admin_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let keeper = loaded.config.state.as_ref().map(keeper);
    let proxy = Arc::new(Proxy::new(InForce::first(loaded), io::stdout())?);
    if let Some(keeper) = &keeper {
        keeper.restore(proxy.limiter(), Moment::now());
    }
    announce(&proxy, &listener, admin_listener.as_ref());
    if let Some(listener) = admin_listener {
        tokio::spawn(admin::serve(listener, Arc::clone(&proxy)));
    }
    tokio::spawn(reload::keep_in_force(flags, Arc::clone(&proxy)));
    let fetcher = Fetcher::new().map_err(SetupError::Tls)?;
    keep::start(&proxy, fetcher, keeper.as_ref());
    serve_until_end(&proxy, listener, &mut end).await;
    if let Some(keeper) = keeper {
        keeper.save(proxy.limiter(), Moment::now());
    }
    proxy.accounting().log.close();
    Ok(())
}

fn keeper(state: &State) -> Arc<Keeper> {
    Arc::new(Keeper::new(SavedFile::in_directory(&state.directory)))
}

async fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen { address, source })
}

/// New requests are served until `delay` is over; running ones have `drain` from then on. A second signal ends both.
async fn serve_until_end(proxy: &Arc<Proxy>, listener: TcpListener, end: &mut End) {
    let limits = Limits {
        head_timeout: proxy.in_force().config.limits.timeouts.head(),
        ..Limits::default()
    };
    let acceptor = Acceptor::new(Arc::clone(proxy), limits);
    let drain = async {
        end.wait().await;
        proxy.readiness().note_draining();
        let Shutdown {
            delay_seconds,
            drain_seconds,
        } = proxy.in_force().config.shutdown.clone();
        tracing::info!(
            requests = proxy.requests().count(),
            delay_seconds,
            drain_seconds,
            "draining"
        );
        let delay = Duration::from_secs(delay_seconds.into());
        let _ = tokio::time::timeout(delay, end.wait()).await;
        Duration::from_secs(drain_seconds.into())
    };
    let limit = tokio::select! {
        never = acceptor.accept(listener) => match never {},
        limit = drain => limit,
    };
    let left = tokio::select! {
        left = acceptor.drain(limit) => left,
        () = end.wait() => proxy.requests().count(),
    };
    if left > 0 {
        tracing::warn!(left, "cut at the end of the drain");
    }
}

/// The signals that end the process.
struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Says where it listens and what it guards, with the ports that the system chose.
#[expect(
    clippy::print_stderr,
    reason = "the one line for whoever started it, whatever the log level"
)]
fn announce(proxy: &Proxy, listener: &TcpListener, admin: Option<&TcpListener>) {
    let in_force = proxy.in_force();
    let Config { listen, upstream, .. } = &in_force.config;
    let clients = in_force.credentials.clients().len();
    let address = |listener: &TcpListener, otherwise| listener.local_addr().unwrap_or(otherwise);
    let admin = admin
        .map(|admin| format!(", admin on http://{}", address(admin, *listen)))
        .unwrap_or_default();
    eprintln!(
        "corral-proxy {} listens on {}://{} and guards {} for {clients} client{}{admin}",
        env!("CARGO_PKG_VERSION"),
        in_force.config.scheme(),
        address(listener, *listen),
        upstream.as_str().trim_end_matches('/'),
        if clients == 1 { "" } else { "s" },
    );
    if let Some(error) = in_force.certificate.error() {
        tracing::error!(error, "no handshake succeeds");
    }
    if let Some(anonymous) = &in_force.config.credentials.anonymous {
        let client = &anonymous.client;
        tracing::warn!(client, "callers without any credential are let in");
    }
    for source in in_force.credentials.sources() {
        if let Some(error) = source.error {
            tracing::error!(means = source.means.name(), error, "nobody is let in");
        }
    }
}
