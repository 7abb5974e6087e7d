//! A proxy between one client and the API server that makes faults: it answers in the server's place, loses requests or
//! answers, holds them, is away, and shows old lists and late, doubled or broken watches.
//!
//! Its client speaks plain HTTP to it with a bearer token, which it passes on: who asks for what is the API server's to
//! judge and to log. A request that it has begun to pass on is passed on to its end even when the client dies meanwhile, so
//! [`FaultProxy::exchanges`] says exactly what took effect.

mod exchange;
mod fault;
mod forward;
mod view;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use exchange::{Exchange, Target};
pub use fault::{Armed, Fault, Pattern, Rule};
pub use view::{Lists, Nudge};

use fault::Faults;
use view::Views;

/// A running proxy; ends when dropped, with all its connections.
#[derive(Debug)]
pub struct FaultProxy {
    shared: Arc<Shared>,
    address: String,
    server: JoinHandle<()>,
}

/// What the connections share.
struct Shared {
    upstream: Client,
    faults: Faults,
    views: Views,
    exchanges: Mutex<Vec<Exchange>>,
    away: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// Starts one before the API server of that kubeconfig, whose user it does not take over.
    ///
    /// # Errors
    /// When the kubeconfig can't be read or no port is free.
    pub async fn start(kubeconfig: &Path) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.auth_info = AuthInfo::default();
        let shared = Arc::new(Shared {
            upstream: Client::try_from(config)?,
            faults: Faults::default(),
            views: Views::default(),
            exchanges: Mutex::default(),
            away: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let server = tokio::spawn(accept(listener, shared.clone()));
        Ok(Self {
            shared,
            address,
            server,
        })
    }

    /// Writes a kubeconfig for whoever has that token.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn kubeconfig(&self, path: &Path, token: &str) -> Result<()> {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "faults",
            "clusters": [{"name": "faults", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "faults", "user": {"token": token}}],
            "contexts": [{"name": "faults", "context": {"cluster": "faults", "user": "faults"}}],
        });
        crate::pki::write_private(path, &serde_yaml::to_string(&config)?)
    }

    /// Has a fault happen. It is over when the answer is dropped.
    pub fn arm(&self, rule: Rule) -> Armed {
        self.shared.faults.arm(rule)
    }

    /// Every request but watches that has been answered or lost so far, in order.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.lock().clone()
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// From now on nobody answers, and all connections are cut; or somebody does again.
    pub fn away(&self, away: bool) {
        self.shared.away.send_replace(away);
    }

    /// Events of that resource wait from now on; `*` is every resource.
    pub fn hold(&self, resource: &str) {
        self.shared.views.hold(resource);
    }

    /// Events that waited go on.
    pub fn release(&self) {
        self.shared.views.release();
    }

    /// Events of that resource come twice from now on; `*` is every resource.
    pub fn double(&self, resource: &str) {
        self.shared.views.double(resource);
    }

    /// Does something to every running watch of that resource; `*` is every resource.
    pub fn nudge(&self, resource: &str, nudge: Nudge) {
        self.shared.views.nudge(resource, nudge);
    }

    /// The newest list of each kind that the client has been shown.
    pub fn lists(&self) -> Lists {
        self.shared.views.lists()
    }

    /// Lists of that resource are these from now on, as far as they are among them; `*` is every resource.
    pub fn replay(&self, resource: &str, lists: Lists) {
        self.shared.views.replay(resource, lists);
    }

    /// Lists are the API server's again.
    pub fn stop_replay(&self) {
        self.shared.views.stop_replay();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Exchange>> {
        self.shared
            .exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.server.abort();
        self.away(true);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let mut away = shared.away.subscribe();
        if *away.borrow_and_update() {
            continue;
        }
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| forward::answer(shared.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                // An error is a connection that was cut, by a fault or by the client's end.
                _ = connection => {}
                _ = away.wait_for(|away| *away) => {}
            }
        });
    }
}
