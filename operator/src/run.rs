//! The running operator: watches, the Lease, and a controller for each watched namespace, until SIGTERM.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::{StreamExt, TryFutureExt, future};
use kube::runtime::controller::{self, Error};
use kube::runtime::events::{Recorder, Reporter as EventReporter};
use kube::runtime::{applier, utils::CancelableJoinHandle};
use kube::{Client, Config};
use kube_lease_manager::LeaseManagerError;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::cli::RunOptions;
use crate::lease::Lease;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::observe::Readings;
use crate::plan::MANAGER;
use crate::queue::{AT_A_TIME, Queue, Urgency};
use crate::reconcile::{Context, ReconcileError, key_of, pause, reconcile};
use crate::replicas::Asker;
use crate::report::Reporter;
use crate::watch::{Guarded, Watches, all};

/// How long reconciles that run may take to end after SIGTERM.
const SHUTDOWN: Duration = Duration::from_secs(15);

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
        outcome = admin::serve(listener, admin.clone()) => {
            outcome.map_err(|source| RunError::Listen { address, source })
        }
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
    let lease = Lease::new(config, namespace, &options.pod_name).await?;
    if stop.run_until_cancelled(lease.acquired()).await.is_none() {
        return Ok(());
    }
    tracing::info!("acting: the Lease is held");
    let outcome = tokio::select! {
        outcome = act(options, &client, &admin.metrics, watches, stop) => outcome,
        () = lease.lost() => return Err(RunError::LeaseLost),
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
    let controllers = watches.into_iter().map(|watches| {
        let context = Arc::new(context(options, client, metrics, &watches));
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

fn context(options: &RunOptions, client: &Client, metrics: &Arc<Metrics>, watches: &Watches) -> Context {
    let reporter = EventReporter {
        controller: format!("corral.dev/{MANAGER}"),
        instance: Some(options.pod_name.clone()),
    };
    Context {
        client: client.clone(),
        stores: watches.stores.clone(),
        options: options.plan.clone(),
        reporter: Reporter {
            client: client.clone(),
            recorder: Recorder::new(client.clone(), reporter),
        },
        asker: Asker::default(),
        metrics: metrics.clone(),
        memory: Memory::default(),
        readings: Readings::default(),
    }
}

/// Reconciles the OllamaServices of one scope: all of them first, then those that something concerns.
async fn control(watches: Watches, context: Arc<Context>, stop: CancellationToken) {
    let Watches { stores, queue, .. } = &watches;
    // What has changed before need not be kept in mind: all are looked at.
    queue.clear();
    for service in all(&stores.services) {
        queue.add(service, Urgency::Later);
    }
    let reconcile = |service: Arc<Guarded>, context| {
        let (key, queue) = (key_of(&service), queue.clone());
        let work = async move {
            queue.started(&key);
            let outcome = reconcile(service, context).await;
            queue.ended(&key);
            outcome
        };
        CancelableJoinHandle::spawn(TryFutureExt::into_future(work), &Handle::current())
    };
    let config = controller::Config::default().concurrency(AT_A_TIME);
    let outcomes = applier(
        reconcile,
        pause,
        context.clone(),
        stores.services.clone(),
        queue.clone().take_until(stop.cancelled_owned()),
        config,
    );
    outcomes
        .for_each(|outcome| {
            settle(&context, queue, outcome);
            future::ready(())
        })
        .await;
}

/// Failures have been told of when their pause was chosen; here one that is gone is forgotten.
fn settle<Action>(
    context: &Context,
    queue: &Queue,
    outcome: Result<Action, Error<ReconcileError, std::convert::Infallible>>,
) {
    match outcome {
        Err(Error::ObjectNotFound(gone)) => {
            let key = (gone.namespace.clone().unwrap_or_default(), gone.name.clone());
            queue.gone(&key);
            context.readings.forget(&key.0, &key.1);
            context.memory.forget(&key);
        }
        Err(Error::RunnerError(error)) => tracing::error!(%error, "the controller ended"),
        Err(Error::ReconcilerFailed(..) | Error::QueueError(_)) | Ok(_) => {}
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
