//! What is watched: one shared stream for each kind, kept in a store, and from every change the OllamaServices that it
//! concerns.
//!
//! Every replica of the operator watches, so that a new leader starts with warm stores.

mod concerned;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Api, DynamicObject, PartialObjectMeta};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::reflector::{ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::cli::SecretsMode;
use crate::crd::OllamaService;
use crate::plan::{Kind, child_selector};

/// An OllamaService as it comes from the API server: one that can't be read doesn't stop the others.
pub type Guarded = DeserializeGuard<OllamaService>;

/// What is known of one namespace, or of all of them.
#[derive(Debug)]
pub struct Stores {
    /// The OllamaServices.
    pub services: Store<Guarded>,
    /// Their children.
    pub children: BTreeMap<Kind, Store<DynamicObject>>,
    /// Their Pods, without the spec.
    pub pods: Store<Pod>,
    /// The metadata of all Secrets, where the operator may touch Secrets.
    pub secrets: Option<Store<PartialObjectMeta<Secret>>>,
}

/// Running watches. They end when this is dropped.
#[derive(Debug)]
pub struct Watches {
    /// What they know.
    pub stores: Arc<Stores>,
    /// OllamaServices that something concerns.
    pub changes: UnboundedReceiver<ObjectRef<Guarded>>,
    tasks: JoinSet<()>,
}

impl Watches {
    /// Starts to watch one namespace, or all without one.
    pub fn start(client: &Client, namespace: Option<&str>, secrets: SecretsMode) -> Self {
        let (queue, changes) = unbounded();
        let (services, writer) = reflector::store();
        let mut starting = Starting {
            client,
            namespace,
            services: services.clone(),
            queue,
            tasks: JoinSet::new(),
        };
        starting.services(writer);
        let stores = Arc::new(Stores {
            services,
            children: Kind::ALL.map(|kind| (kind, starting.children(kind))).into(),
            pods: starting.pods(),
            secrets: (secrets == SecretsMode::Read).then(|| starting.secrets()),
        });
        Self {
            stores,
            changes,
            tasks: starting.tasks,
        }
    }

    /// Waits until every store has been filled once, but for those of kinds that the cluster may be without.
    ///
    /// # Errors
    /// When a watch has ended, which only the end of the process brings about.
    pub async fn ready(&self) -> Result<(), reflector::store::WriterDropped> {
        let Stores {
            services,
            children,
            pods,
            secrets,
        } = &*self.stores;
        services.wait_until_ready().await?;
        let served = children.iter().filter(|(kind, _)| !kind.may_be_unserved());
        for (_, store) in served {
            store.wait_until_ready().await?;
        }
        pods.wait_until_ready().await?;
        match secrets {
            Some(secrets) => secrets.wait_until_ready().await,
            None => Ok(()),
        }
    }

    /// How many watches run.
    pub fn count(&self) -> usize {
        self.tasks.len()
    }
}

/// The operator while its watches start.
struct Starting<'a> {
    client: &'a Client,
    namespace: Option<&'a str>,
    services: Store<Guarded>,
    queue: UnboundedSender<ObjectRef<Guarded>>,
    tasks: JoinSet<()>,
}

impl Starting<'_> {
    fn services(&mut self, writer: Writer<Guarded>) {
        let api = self.api::<Guarded>();
        self.follow(
            api,
            watcher::Config::default(),
            writer,
            strip,
            complain,
            |_, service| vec![ObjectRef::from_obj(service)],
        );
    }

    fn children(&mut self, kind: Kind) -> Store<DynamicObject> {
        let resource = kind.resource();
        let api = match self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let writer = Writer::new(resource);
        let store = writer.as_reader();
        let complain = if kind.may_be_unserved() { note } else { complain };
        self.follow(api, ours(), writer, strip, complain, concerned::by_owner);
        store
    }

    fn pods(&mut self) -> Store<Pod> {
        let (store, writer) = reflector::store();
        let api = self.api::<Pod>();
        let strip_pod = |pod: &mut Pod| {
            strip(pod);
            pod.spec = None;
        };
        self.follow(api, ours(), writer, strip_pod, complain, concerned::by_label);
        store
    }

    fn secrets(&mut self) -> Store<PartialObjectMeta<Secret>> {
        let (store, writer) = reflector::store();
        let api = self.api::<PartialObjectMeta<Secret>>();
        let strip_secret = |secret: &mut PartialObjectMeta<Secret>| {
            strip(secret);
            secret.metadata.annotations = None;
            secret.metadata.labels = None;
        };
        // Helm's records are large in number and never credentials.
        let others = watcher::Config::default().fields("type!=helm.sh/release.v1");
        self.follow(
            api,
            others,
            writer,
            strip_secret,
            complain,
            concerned::by_reference,
        );
        store
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn follow<K>(
        &mut self,
        api: Api<K>,
        config: watcher::Config,
        writer: Writer<K>,
        strip: impl FnMut(&mut K) + Send + 'static,
        failed: fn(&watcher::Error),
        concerned: impl Fn(&Store<Guarded>, &K) -> Vec<ObjectRef<Guarded>> + Send + 'static,
    ) where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Send + Sync + Unpin,
    {
        let (services, queue) = (self.services.clone(), self.queue.clone());
        self.tasks.spawn(async move {
            let events = reflector(writer, watcher(api, config).default_backoff().modify(strip));
            let mut events = pin!(events.map_err(|error| failed(&error)));
            while let Some(event) = events.next().await {
                for service in event
                    .map(|event| touched(&services, &event, &concerned))
                    .unwrap_or_default()
                {
                    // Nobody listens any more only when the process ends.
                    let _ = queue.unbounded_send(service);
                }
            }
        });
    }
}

/// The OllamaServices that an event concerns. A list that is read anew may hide any change, so then it is all of them.
fn touched<K>(
    services: &Store<Guarded>,
    event: &Event<K>,
    concerned: impl Fn(&Store<Guarded>, &K) -> Vec<ObjectRef<Guarded>>,
) -> Vec<ObjectRef<Guarded>> {
    match event {
        Event::Apply(object) | Event::Delete(object) => concerned(services, object),
        Event::Init | Event::InitApply(_) => Vec::new(),
        Event::InitDone => services
            .state()
            .iter()
            .map(|service| ObjectRef::from_obj(&**service))
            .collect(),
    }
}

fn complain(error: &watcher::Error) {
    tracing::warn!(%error, "a watch failed; it starts again");
}

/// A kind that the cluster may be without is asked for again and again, at most twice a minute, until it is there.
fn note(error: &watcher::Error) {
    tracing::debug!(%error, "a kind that the cluster may be without can't be watched");
}

fn ours() -> watcher::Config {
    watcher::Config::default().labels(&child_selector())
}

/// Leaves out what nobody here reads and what can be large.
fn strip(object: &mut impl ResourceExt) {
    object.meta_mut().managed_fields = None;
}
