//! What happens in the cluster, as whoever watches it sees it, with the time at which it was seen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt};
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;
use tokio::sync::{broadcast, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How many events a reader may be behind.
const BACKLOG: usize = 1 << 18;

/// Namespace and name.
pub(crate) type Key = (String, String);

/// An object that was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) kind: Arc<str>,
    pub(crate) key: Key,
    pub(crate) at: Instant,
    /// The object, or of some kinds its metadata; none once it is gone.
    pub(crate) object: Option<DynamicObject>,
}

impl Seen {
    /// Whether it is that object.
    pub(crate) fn is(&self, kind: &str, key: &Key) -> bool {
        *self.kind == *kind && self.key == *key
    }
}

/// How much of objects is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Whole,
    Metadata,
}

/// Watches that run until it is dropped.
pub(crate) struct Journal {
    client: Client,
    seen: broadcast::Sender<Arc<Seen>>,
    watches: Mutex<JoinSet<()>>,
}

impl Journal {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            seen: broadcast::channel(BACKLOG).0,
            watches: Mutex::default(),
        }
    }

    /// Watches a kind in all namespaces; returns once what there is has been seen.
    pub(crate) async fn follow(&self, resource: &ApiResource, content: Content) -> Result<()> {
        let kind: Arc<str> = resource.kind.as_str().into();
        let config = watcher::Config::default();
        let events = match content {
            Content::Whole => watcher::watcher(Api::all_with(self.client.clone(), resource), config).boxed(),
            Content::Metadata => watcher::watcher(Api::all_with(self.client.clone(), resource), config)
                .map_ok(only_metadata)
                .boxed(),
        };
        let (listed, ready) = oneshot::channel();
        let seen = self.seen.clone();
        let watch = async move {
            let mut listed = Some(listed);
            let mut events = events.default_backoff().boxed();
            while let Some(event) = events.next().await {
                let (object, there) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (object, true),
                    Ok(Event::Delete(object)) => (object, false),
                    Ok(Event::Init) => continue,
                    Ok(Event::InitDone) => {
                        if let Some(listed) = listed.take() {
                            let _ = listed.send(());
                        }
                        continue;
                    }
                    Err(error) => {
                        eprintln!("watch of {kind}: {error}");
                        continue;
                    }
                };
                // Without a reader nobody wants to know.
                let _ = seen.send(Arc::new(Seen {
                    kind: kind.clone(),
                    key: (object.namespace().unwrap_or_default(), object.name_any()),
                    at: Instant::now(),
                    object: there.then_some(object),
                }));
            }
        };
        self.lock().spawn(watch);
        ready.await.context("a watch ended")
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is seen from now on.
    pub(crate) fn listen(&self) -> Listener {
        Listener(self.seen.subscribe())
    }
}

fn only_metadata(event: Event<PartialObjectMeta<DynamicObject>>) -> Event<DynamicObject> {
    let object = |partial: PartialObjectMeta<DynamicObject>| DynamicObject {
        types: None,
        metadata: partial.metadata,
        data: Value::Null,
    };
    match event {
        Event::Apply(partial) => Event::Apply(object(partial)),
        Event::Delete(partial) => Event::Delete(object(partial)),
        Event::InitApply(partial) => Event::InitApply(object(partial)),
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
    }
}

/// Reads what is seen, from the moment at which it was made.
pub(crate) struct Listener(broadcast::Receiver<Arc<Seen>>);

impl Listener {
    /// The next thing that is seen.
    pub(crate) async fn next(&mut self) -> Result<Arc<Seen>> {
        self.0.recv().await.context("more was seen than could be read")
    }

    /// Reads until something is what is waited for.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut(&Seen) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            let Ok(seen) = timeout_at(end, self.next()).await else {
                bail!("{what}: not within {} s", limit.as_secs());
            };
            if let Some(found) = look(&*seen?) {
                return Ok(found);
            }
        }
    }
}
