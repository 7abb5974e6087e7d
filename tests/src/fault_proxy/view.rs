//! What the client sees of the cluster: lists as they were, and watches that are late, doubled or broken.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc, watch};

use super::Shared;
use super::exchange::Target;
use super::forward::{Body, Cut};

/// Lists that the client was shown, by path and query.
pub type Lists = HashMap<String, Bytes>;

/// What is done to running watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nudge {
    /// They end.
    Close,
    /// They end with 410 Gone.
    Gone,
    /// A bookmark of what they have shown last comes in between.
    Bookmark,
}

/// Resources by name; `*` is all of them.
type Resources = BTreeSet<String>;

fn has(resources: &Resources, resource: &str) -> bool {
    resources.contains("*") || resources.contains(resource)
}

#[derive(Debug)]
pub(super) struct Views {
    held: watch::Sender<Resources>,
    doubled: Mutex<Resources>,
    nudges: broadcast::Sender<(String, Nudge)>,
    lists: Mutex<Lists>,
    replayed: Mutex<Option<(String, Lists)>>,
}

impl Default for Views {
    fn default() -> Self {
        Self {
            held: watch::Sender::default(),
            doubled: Mutex::default(),
            nudges: broadcast::Sender::new(64),
            lists: Mutex::default(),
            replayed: Mutex::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Views {
    pub(super) fn hold(&self, resource: &str) {
        self.held.send_modify(|held| {
            held.insert(resource.to_owned());
        });
    }

    pub(super) fn release(&self) {
        self.held.send_modify(Resources::clear);
    }

    pub(super) fn double(&self, resource: &str) {
        lock(&self.doubled).insert(resource.to_owned());
    }

    pub(super) fn nudge(&self, resource: &str, nudge: Nudge) {
        // Nobody may be watching.
        let _ = self.nudges.send((resource.to_owned(), nudge));
    }

    pub(super) fn lists(&self) -> Lists {
        lock(&self.lists).clone()
    }

    pub(super) fn replay(&self, resource: &str, lists: Lists) {
        *lock(&self.replayed) = Some((resource.to_owned(), lists));
    }

    pub(super) fn stop_replay(&self) {
        *lock(&self.replayed) = None;
    }

    /// Remembers a list that the client is shown.
    pub(super) fn shown(&self, uri: String, list: Bytes) {
        lock(&self.lists).insert(uri, list);
    }

    /// The old list that is shown in place of the one there is.
    pub(super) fn old(&self, target: &Target, uri: &str) -> Option<Bytes> {
        let replayed = lock(&self.replayed);
        let (resource, lists) = replayed.as_ref()?;
        let concerned = resource == "*" || *resource == target.resource;
        lists.get(uri).filter(|_| concerned).cloned()
    }
}

/// One watch.
struct Watch {
    resource: String,
    held: watch::Receiver<Resources>,
    nudges: broadcast::Receiver<(String, Nudge)>,
    to_client: mpsc::Sender<Bytes>,
    /// The version of what was shown last, or from which it began.
    version: String,
}

impl Shared {
    /// Passes a watch on and its events back, as the views say.
    pub(super) async fn watch(
        &self,
        target: &Target,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, Cut> {
        let (to_client, mut events) = mpsc::channel(1);
        let watch = Watch {
            resource: target.resource.clone(),
            held: self.views.held.subscribe(),
            nudges: self.views.nudges.subscribe(),
            to_client,
            version: version_asked_for(request.uri().query().unwrap_or_default()),
        };
        let doubled = has(&lock(&self.views.doubled), &target.resource);
        let answer = self.send(request).await?;
        let (parts, body) = answer.into_parts();
        tokio::spawn(watch.follow(body, doubled));
        let events = futures::stream::poll_fn(move |context| events.poll_recv(context));
        let body = StreamBody::new(events.map(|event| Ok(Frame::data(event))));
        Ok(Response::from_parts(parts, body.boxed_unsync()))
    }
}

impl Watch {
    async fn follow(mut self, body: kube::client::Body, doubled: bool) {
        let stream = body.into_data_stream().map_err(std::io::Error::other);
        let mut lines = stream.into_async_read().lines();
        loop {
            tokio::select! {
                line = lines.next() => {
                    let Some(Ok(line)) = line else { return };
                    let times = if doubled { 2 } else { 1 };
                    for _ in 0..times {
                        if self.show(&line).await.is_none() {
                            return;
                        }
                    }
                }
                nudge = self.nudges.recv() => {
                    if self.nudged(nudge).await.is_none() {
                        return;
                    }
                }
                () = self.to_client.closed() => return,
            }
        }
    }

    /// Shows an event when it is no longer held; none when the watch has ended meanwhile.
    async fn show(&mut self, line: &str) -> Option<()> {
        loop {
            if !has(&self.held.borrow_and_update(), &self.resource) {
                break;
            }
            tokio::select! {
                changed = self.held.changed() => changed.ok()?,
                nudge = self.nudges.recv() => self.nudged(nudge).await?,
                () = self.to_client.closed() => return None,
            }
        }
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        if let Some(version) = event["object"]["metadata"]["resourceVersion"].as_str() {
            version.clone_into(&mut self.version);
        }
        self.send(line.to_owned()).await
    }

    /// Does what is to be done to the watch; none when that is its end.
    async fn nudged(&mut self, nudge: Result<(String, Nudge), broadcast::error::RecvError>) -> Option<()> {
        let (resource, nudge) = nudge.ok()?;
        if resource != "*" && resource != self.resource {
            return Some(());
        }
        match nudge {
            Nudge::Close => None,
            Nudge::Gone => {
                let gone = json!({"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410}});
                self.send(gone.to_string()).await?;
                None
            }
            Nudge::Bookmark => {
                let bookmark = json!({"type": "BOOKMARK", "object": {"kind": "Bookmark", "apiVersion": "v1",
                    "metadata": {"resourceVersion": self.version}}});
                self.send(bookmark.to_string()).await
            }
        }
    }

    async fn send(&self, line: String) -> Option<()> {
        self.to_client.send((line + "\n").into()).await.ok()
    }
}

fn version_asked_for(query: &str) -> String {
    let version = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("resourceVersion="));
    version.unwrap_or_default().to_owned()
}
