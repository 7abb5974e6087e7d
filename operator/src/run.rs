//! The running operator: watches, the Lease, and a controller for each watched namespace, until SIGTERM.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future;
use kube::runtime::events::Reporter as Speaker;
use kube::{Client, Config};
use kube_lease_manager::LeaseManagerError;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::cli::RunOptions;
use crate::lease::Lease;
use crate::memory::Key;
use crate::metrics::Metrics;
use crate::observe::{HELD, Readings};
use crate::plan::MANAGER;
use crate::queue::{Queue, Urgency};
use crate::reconcile::{Context, reconcile};
use crate::replicas::Asker;
use crate::report::Reporter;
use crate::watch::{Watches, all, kept_of};

/// How long reconciles that run may take to end after SIGTERM.
const SHUTDOWN: Duration = Duration::from_secs(15);

/// How long Secrets are read ahead at most.
const READ_AHEAD: Duration = Duration::from_secs(10);
/// How many OllamaServices of one watched namespace are reconciled at a time. A reconcile mostly waits for answers.
pub const AT_A_TIME: usize = 32;

/// Why the operator ends.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No way to the API server is known.
    #[error("no Kubernetes to work for: {0}")]
    Config(#[from] kube::config::InferConfigError),
    /// The way to the API server can't be gone.
    #[error("no connection to Kubernetes: {0}")]
    Client(#[from] kube::Error),
    /// The metrics port can't be had.
    #[error("--metrics-listen {address}: {source}")]
    Listen {
        /// The port.
        address: std::net::SocketAddr,
        /// The system's words.
        source: io::Error,
    },
    /// The system gives no signals.
    #[error("signals can't be handled: {0}")]
    Signal(io::Error),
    /// An option lacks another.
    #[error("--leader-elect needs --pod-namespace (CORRAL_POD_NAMESPACE), where the Lease is")]
    NoNamespace,
    /// The Lease can't be sought.
    #[error("the Lease can't be read or made: {0}")]
    Lease(#[from] LeaseManagerError),
    /// Another operator acts now.
    #[error("the Lease is lost; another operator acts now")]
    LeaseLost,
    /// A watch ended.
    #[error("a watch ended")]
    Watch(#[from] kube::runtime::reflector::store::WriterDropped),
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// When it can't start, or must not go on.
pub async fn run(options: RunOptions) -> Result<(), RunError> {
    let stop = stop_on_signal().map_err(RunError::Signal)?;
    let config = Config::infer().await?;
    let admin = Arc::new(Admin::default());
    let address = options.metrics_listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| RunError::Listen { address, source })?;
    let work = work(&options, config, &admin, &stop);
    tokio::select! {
        outcome = work => outcome,
        never = admin::serve(listener, admin.clone()) => match never {},
    }
}

/// From warm watches over the Lease to the controllers.
async fn work(
    options: &RunOptions,
    config: Config,
    admin: &Admin,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    let client = Client::try_from(config.clone())?;
    let mut watches = Vec::new();
    for namespace in scopes(options) {
        watches.push(Watches::start(
            &client,
            namespace.as_deref(),
            options.plan.secrets,
            Queue::new(admin.metrics.clone()),
            Arc::default(),
        ));
    }
    let filled = future::try_join_all(watches.iter().map(Watches::ready));
    if stop.run_until_cancelled(filled).await.transpose()?.is_none() {
        return Ok(());
    }
    admin.ready.store(true, Ordering::Relaxed);
    tracing::info!(
        watches = watches.iter().map(Watches::count).sum::<usize>(),
        "watching"
    );
    if !options.leader_elect {
        return act(options, &client, &admin.metrics, watches, stop).await;
    }
    let namespace = options
        .plan
        .pod_namespace
        .as_deref()
        .ok_or(RunError::NoNamespace)?;
    let lease = Lease::new(config, namespace, &options.pod_name);
    let Some(mut lease) = stop.run_until_cancelled(lease).await.transpose()? else {
        return Ok(());
    };
    let acquired = stop.run_until_cancelled(lease.acquired()).await;
    let Some(held) = acquired.transpose()? else {
        return Ok(());
    };
    tracing::info!("acting: the Lease is held");
    let outcome = tokio::select! {
        outcome = act(options, &client, &admin.metrics, watches, stop) => outcome,
        () = lease.lost(held) => return Err(RunError::LeaseLost),
    };
    lease.release().await;
    outcome
}

/// One scope for each watched namespace, or one for all.
fn scopes(options: &RunOptions) -> Vec<Option<String>> {
    let namespaces: BTreeSet<_> = options.watch_namespaces.iter().cloned().collect();
    if namespaces.is_empty() {
        vec![None]
    } else {
        namespaces.into_iter().map(Some).collect()
    }
}

/// Reconciles until it is time to stop, and then lets what runs come to its end.
async fn act(
    options: &RunOptions,
    client: &Client,
    metrics: &Arc<Metrics>,
    watches: Vec<Watches>,
    stop: &CancellationToken,
) -> Result<(), RunError> {
    metrics.leads();
    let asker = Asker::default();
    let controllers = watches.into_iter().map(|watches| {
        let context = Arc::new(context(options, client, metrics, &asker, &watches));
        control(watches, context, stop.clone())
    });
    let controllers = future::join_all(controllers);
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(SHUTDOWN).await;
    };
    tokio::select! {
        _ = controllers => {}
        () = overdue => tracing::warn!("reconciles that still ran were cut off"),
    }
    Ok(())
}

fn context(
    options: &RunOptions,
    client: &Client,
    metrics: &Arc<Metrics>,
    asker: &Asker,
    watches: &Watches,
) -> Context {
    let speaker = Speaker {
        controller: format!("corral.dev/{MANAGER}"),
        instance: Some(options.pod_name.clone()),
    };
    Context {
        client: client.clone(),
        stores: watches.stores.clone(),
        options: options.plan.clone(),
        reporter: Reporter::new(client.clone(), speaker),
        asker: asker.clone(),
        metrics: metrics.clone(),
        memory: watches.memory.clone(),
        readings: Readings::default(),
    }
}

/// Reconciles the OllamaServices of one scope: all of them first, then those that something concerns.
async fn control(watches: Watches, context: Arc<Context>, stop: CancellationToken) {
    let Watches { stores, queue, .. } = &watches;
    // What has changed before need not be kept in mind: all are looked at.
    queue.clear();
    let services = all(&stores.services);
    if !services.is_empty() && stores.secrets.is_some() {
        read_ahead(watches.namespace.as_deref(), &context).await;
    }
    for service in services {
        queue.add(service, Urgency::Later);
    }
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = running.join_next() => pass_on_panic(ended),
            () = stop.cancelled() => break,
            key = queue.next(), if running.len() < AT_A_TIME => {
                running.spawn(one(key, queue.clone(), context.clone()));
            }
        }
    }
    while let Some(ended) = running.join_next().await {
        pass_on_panic(ended);
    }
}

/// Reads the operator's own Secrets for those who are about to ask for them. Where that fails each is read by itself.
async fn read_ahead(namespace: Option<&str>, context: &Arc<Context>) {
    let reading = context.readings.read_ahead(&context.client, namespace);
    match tokio::time::timeout(READ_AHEAD, reading).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "Secrets can't be read ahead"),
        Err(_) => tracing::warn!("Secrets can't be read ahead: the API server takes too long"),
    }
    let context = context.clone();
    tokio::spawn(async move {
        tokio::time::sleep(HELD).await;
        context.readings.let_go();
    });
}

/// Reconciles one, or forgets one that is gone.
async fn one(key: Key, queue: Queue, context: Arc<Context>) {
    let look_after = match kept_of(&context.stores.services, &key) {
        Some(service) => reconcile(&service.guarded(), &context).await,
        None => {
            context.readings.forget(&key.0, &key.1);
            context.memory.forget(&key);
            None
        }
    };
    queue.ended(&key, look_after);
}

/// Whatever is wrong with one may be so with all: the process ends and starts anew.
fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

/// Is cancelled at SIGTERM or SIGINT.
fn stop_on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopped.cancel();
    });
    Ok(stop)
}
