//! What is watched: one shared stream for each kind, kept in a store, and from every change the OllamaServices that it
//! concerns.
//!
//! Every replica of the operator watches, so that a new leader starts with warm stores.

mod concerned;
mod guarded;
mod index;
mod kept;
mod kept_service;
mod noted;
mod packed;
mod pauses;
mod stored;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{Api, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::runtime::reflector::{Lookup, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

use crate::cli::SecretsMode;
use crate::crd::OllamaService;
use crate::memory::{Key, Memory, key_of};
use crate::plan::{
    Kind, MANAGED_BY_LABEL, MANAGER, child_selector, config_map_names, registry_key_secret, secret_names,
};
use crate::queue::{Queue, Urgency};

use concerned::Concerned;
use kept::{Came, Keep};
use kept_service::Templates;
use pauses::Pauses;

pub use guarded::Guarded;
pub use index::Index;
pub use kept::{AnyChild, Kept};
pub use kept_service::KeptService;
pub use noted::Noted;

/// How many objects are asked for at a time when a list is read.
pub(crate) const PAGE: u32 = 100;

/// What is known of one namespace, or of all of them.
#[derive(Debug)]
pub struct Stores {
    /// The OllamaServices.
    pub services: Store<KeptService>,
    /// Their children.
    pub children: BTreeMap<Kind, Store<Kept<AnyChild>>>,
    /// Their Pods, without the spec.
    pub pods: Store<Kept<Pod>>,
    /// The Pods of each OllamaService.
    pub pods_of: Arc<Index>,
    /// ConfigMaps that aren't the operator's own.
    pub config_maps: Store<Noted<ConfigMap>>,
    /// All Secrets, where the operator may touch Secrets.
    pub secrets: Option<Store<Noted<Secret>>>,
}

/// Running watches. They end when this is dropped.
#[derive(Debug)]
pub struct Watches {
    /// The namespace that is watched; all without one.
    pub namespace: Option<String>,
    /// What they know.
    pub stores: Arc<Stores>,
    /// OllamaServices that something concerns.
    pub queue: Queue,
    /// What is remembered of each OllamaService.
    pub memory: Arc<Memory>,
    tasks: JoinSet<()>,
}

impl Watches {
    /// Starts to watch one namespace, or all without one.
    pub fn start(
        client: &Client,
        namespace: Option<&str>,
        secrets: SecretsMode,
        queue: Queue,
        memory: Arc<Memory>,
    ) -> Self {
        let (services, writer) = reflector::store();
        let mut starting = Starting {
            client,
            namespace,
            services: services.clone(),
            naming: Arc::default(),
            making: Arc::default(),
            queue,
            tasks: JoinSet::new(),
        };
        starting.services(writer, memory.clone());
        let (pods, pods_of) = starting.pods(memory.clone());
        let stores = Arc::new(Stores {
            services,
            children: Kind::ALL.map(|kind| (kind, starting.children(kind))).into(),
            pods,
            pods_of,
            config_maps: starting.config_maps(),
            secrets: (secrets == SecretsMode::Read).then(|| starting.secrets()),
        });
        Self {
            namespace: namespace.map(str::to_owned),
            stores,
            queue: starting.queue,
            memory,
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
            pods_of: _,
            config_maps,
            secrets,
        } = &*self.stores;
        services.wait_until_ready().await?;
        let served = children.iter().filter(|(kind, _)| !kind.may_be_unserved());
        for (_, store) in served {
            store.wait_until_ready().await?;
        }
        pods.wait_until_ready().await?;
        config_maps.wait_until_ready().await?;
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
    services: Store<KeptService>,
    /// The OllamaServices that name each Secret.
    naming: Arc<Index>,
    /// The OllamaServices that make models from each ConfigMap.
    making: Arc<Index>,
    queue: Queue,
    tasks: JoinSet<()>,
}

/// From an object as it comes to what is kept of it.
type Keeping<C, K> = Box<dyn FnMut(&C) -> K + Send>;

/// A kind of objects to watch.
struct Watched<C, K: Lookup + Clone + 'static>
where
    K::DynamicType: Eq + Hash + Clone,
{
    api: Api<C>,
    config: watcher::Config,
    writer: Writer<K>,
    keep: Keeping<C, K>,
    failed: fn(&watcher::Error),
    backoff: Pauses,
}

/// The names of the Secrets that an OllamaService is made from.
fn secrets_of(service: &OllamaService) -> impl Iterator<Item = String> {
    let key = registry_key_secret(service).map(str::to_owned);
    secret_names(service).chain(key)
}

impl Starting<'_> {
    fn services(&mut self, writer: Writer<KeptService>, memory: Arc<Memory>) {
        let mut templates = Templates::default();
        let watched = Watched {
            api: self.api::<Guarded>(),
            config: config(),
            writer,
            keep: Box::new(move |service| KeptService::pack(service, &mut templates)),
            failed: complain,
            backoff: Pauses::usual(),
        };
        let (naming, making) = (self.naming.clone(), self.making.clone());
        let note = move |event: &Event<Guarded>| {
            naming.note(event, |service| service.0.iter().flat_map(secrets_of).collect());
            making.note(event, |service| {
                let names = service.0.iter().flat_map(config_map_names);
                names.map(str::to_owned).collect()
            });
        };
        let services = self.services.clone();
        self.follow(watched, note, move |service| {
            concerned::itself(service, &services, &memory)
        });
    }

    fn children(&mut self, kind: Kind) -> Store<Kept<AnyChild>> {
        let api = match self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        let writer = Writer::new(kind);
        let store = writer.as_reader();
        let watched = Watched {
            api,
            config: ours(),
            writer,
            keep: packing(),
            failed: if kind.may_be_unserved() { note } else { complain },
            backoff: if kind.may_be_unserved() {
                Pauses::rare()
            } else {
                Pauses::usual()
            },
        };
        self.follow(watched, |_| {}, concerned::by_service);
        store
    }

    fn pods(&mut self, memory: Arc<Memory>) -> (Store<Kept<Pod>>, Arc<Index>) {
        let (store, writer) = reflector::store();
        let index = Arc::new(Index::default());
        let watched = Watched {
            api: self.api::<Came<Pod>>(),
            config: ours(),
            writer,
            keep: packing(),
            failed: complain,
            backoff: Pauses::usual(),
        };
        let pods_of = index.clone();
        let note = move |event: &Event<Came<Pod>>| {
            pods_of.note(event, |pod| {
                pod.service().map(str::to_owned).into_iter().collect()
            });
        };
        self.follow(watched, note, move |pod| concerned::by_pod(pod, &memory));
        (store, index)
    }

    fn config_maps(&mut self) -> Store<Noted<ConfigMap>> {
        let (store, writer) = reflector::store();
        let watched = Watched {
            api: self.api::<PartialObjectMeta<ConfigMap>>(),
            // Kubernetes keeps the latter in every namespace.
            config: config()
                .labels(&format!("{MANAGED_BY_LABEL}!={MANAGER}"))
                .fields("metadata.name!=kube-root-ca.crt"),
            writer,
            keep: Box::new(Noted::of),
            failed: complain,
            backoff: Pauses::usual(),
        };
        let naming = self.making.clone();
        self.follow(
            watched,
            |_| {},
            move |config_map| concerned::by_reference(&naming, config_map),
        );
        store
    }

    fn secrets(&mut self) -> Store<Noted<Secret>> {
        let (store, writer) = reflector::store();
        let watched = Watched {
            api: self.api::<PartialObjectMeta<Secret>>(),
            // Helm's records are large in number and never credentials.
            config: config().fields("type!=helm.sh/release.v1"),
            writer,
            keep: Box::new(Noted::of),
            failed: complain,
            backoff: Pauses::usual(),
        };
        let naming = self.naming.clone();
        self.follow(
            watched,
            |_| {},
            move |secret| concerned::by_reference(&naming, secret),
        );
        store
    }

    fn api<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self) -> Api<K> {
        match self.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// Keeps a store, has each event noted, and puts those into the queue whom it concerns.
    fn follow<C, K>(
        &mut self,
        watched: Watched<C, K>,
        note: impl Fn(&Event<C>) + Send + 'static,
        concerned: impl Fn(&C) -> Concerned + Send + 'static,
    ) where
        C: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        K: Lookup + Clone + Send + Sync + 'static,
        K::DynamicType: Eq + Hash + Clone + Send + Sync + Unpin,
    {
        let Watched {
            api,
            config,
            mut writer,
            mut keep,
            failed,
            backoff,
        } = watched;
        let (services, queue) = (self.services.clone(), self.queue.clone());
        self.tasks.spawn(async move {
            let events = watcher(api, config).backoff(backoff);
            let mut events = pin!(events.map_err(|error| failed(&error)));
            while let Some(event) = events.next().await {
                let Ok(event) = event else { continue };
                writer.apply_watcher_event(&kept::event(&event, &mut keep));
                note(&event);
                let (touched, urgency) = touched(&services, &event, &concerned);
                for service in touched {
                    queue.add(service, urgency);
                }
            }
        });
    }
}

/// The OllamaServices that an event concerns. A list that is read anew may hide any change, so then it is all of them.
fn touched<C>(
    services: &Store<KeptService>,
    event: &Event<C>,
    concerned: impl Fn(&C) -> Concerned,
) -> (Vec<Key>, Urgency) {
    match event {
        Event::Apply(object) | Event::Delete(object) => {
            let Concerned { keys, urgency } = concerned(object);
            let urgency = match keys.as_slice() {
                [key] if urgency > Urgency::Later && is_ready(services, key) => Urgency::Soon,
                [_] => urgency,
                _ => Urgency::Later,
            };
            (keys, urgency)
        }
        Event::Init | Event::InitApply(_) => (Vec::new(), Urgency::Later),
        Event::InitDone => (all(services), Urgency::Later),
    }
}

fn is_ready(services: &Store<KeptService>, key: &Key) -> bool {
    kept_of(services, key).is_some_and(|service| service.is_ready())
}

/// What is kept of one OllamaService, if it is known.
pub fn kept_of(services: &Store<KeptService>, (namespace, name): &Key) -> Option<Arc<KeptService>> {
    services.get(&ObjectRef::new(name).within(namespace))
}

/// All OllamaServices that are known.
pub fn all(services: &Store<KeptService>) -> Vec<Key> {
    let services = services.state();
    services.iter().map(|service| key_of(&**service)).collect()
}

fn complain(error: &watcher::Error) {
    tracing::warn!(%error, "a watch failed; it starts again");
}

/// A kind that the cluster may be without is asked for again and again, at most twice a minute, until it is there.
fn note(error: &watcher::Error) {
    tracing::debug!(%error, "a kind that the cluster may be without can't be watched");
}

/// A page of thousands of objects is held as a whole while it is read.
fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

fn ours() -> watcher::Config {
    config().labels(&child_selector())
}

/// Packs children and Pods against the first that comes.
fn packing<T: Keep>() -> Keeping<Came<T>, Kept<T>> {
    let mut template = None;
    Box::new(move |came| Kept::pack(came, &mut template))
}
