//! What has happened to every object, as the API server's own watches tell it.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Result;
use futures::StreamExt;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::kinds;

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The object's resource.
    pub(crate) resource: String,
    /// The object as it was then.
    pub(crate) object: Value,
    /// Whether that was its end.
    pub(crate) deleted: bool,
    /// When it was heard of.
    pub(crate) at: Instant,
}

impl Entry {
    pub(crate) fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }

    pub(crate) fn uid(&self) -> &str {
        self.object["metadata"]["uid"].as_str().unwrap_or_default()
    }
}

type Entries = Arc<Mutex<HashMap<String, Vec<Entry>>>>;

/// The entries of all namespaces, from its start on.
pub(crate) struct Journal {
    entries: Entries,
    _watches: JoinSet<()>,
}

impl Journal {
    /// Begins to keep one; answers when every kind is watched.
    pub(crate) async fn start(client: &Client) -> Result<Self> {
        let entries = Entries::default();
        let mut watches = JoinSet::new();
        let kinds = kinds::all();
        let (started, mut ready) = tokio::sync::mpsc::channel(kinds.len());
        for kind in &kinds {
            watches.spawn(follow(
                client.clone(),
                kind.clone(),
                entries.clone(),
                started.clone(),
            ));
        }
        for _ in &kinds {
            ready.recv().await;
        }
        Ok(Self {
            entries,
            _watches: watches,
        })
    }

    /// The entries of a namespace so far.
    pub(crate) fn of(&self, namespace: &str) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(namespace).cloned().unwrap_or_default()
    }

    /// How many there are so far; without those of events and ReplicaSets, which tell for ever of Pods that can't be made.
    pub(crate) fn count(&self, namespace: &str) -> usize {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |entry: &&Entry| !matches!(entry.resource.as_str(), "events" | "replicasets");
        entries
            .get(namespace)
            .map_or(0, |entries| entries.iter().filter(counts).count())
    }

    /// Forgets a namespace.
    pub(crate) fn forget(&self, namespace: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.remove(namespace);
    }
}

async fn follow(client: Client, kind: ApiResource, entries: Entries, started: tokio::sync::mpsc::Sender<()>) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind);
    let mut events = pin!(watcher(api, watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        let (object, deleted) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
            Ok(Event::Delete(object)) => (object, true),
            Ok(Event::InitDone) => {
                // Nobody listens any more after the first time.
                let _ = started.try_send(());
                continue;
            }
            Ok(Event::Init) | Err(_) => continue,
        };
        let namespace = object.namespace().unwrap_or_default();
        let entry = Entry {
            resource: kind.plural.clone(),
            object: serde_json::to_value(object).unwrap_or_default(),
            deleted,
            at: Instant::now(),
        };
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(namespace).or_default().push(entry);
    }
}
