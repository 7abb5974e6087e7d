//! How soon the operator follows one change, with many custom resources in place.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use corral_operator::plan::Kind;
use corral_tests::progress;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::ground::{self, Ground, NAMESPACE};
use crate::journal::{Content, Key, Seen};

/// Longest wait for one reaction.
const LIMIT: Duration = Duration::from_secs(60);
/// How many times each is measured.
pub(crate) const TIMES: u32 = 10;

/// One custom resource alone.
#[derive(Serialize, Deserialize)]
pub(crate) struct Alone {
    /// From its creation to its last child, each time.
    pub(crate) children: Vec<Duration>,
    /// From its Pod's being ready to its own.
    pub(crate) ready: Vec<Duration>,
}

/// Creates some, one after the other.
pub(crate) async fn alone(ground: &Ground<'_>) -> Result<Alone> {
    let step = progress::step("one at a time");
    let mut alone = Alone {
        children: Vec::new(),
        ready: Vec::new(),
    };
    for number in 0..TIMES {
        let (children, ready) = one(ground, &format!("alone{number}")).await?;
        alone.children.push(children);
        alone.ready.push(ready);
    }
    step.done();
    Ok(alone)
}

async fn one(ground: &Ground<'_>, name: &str) -> Result<(Duration, Duration)> {
    let subject = ground.subject;
    let mut listener = ground.journal.listen();
    let start = Instant::now();
    ground.make(vec![subject.object(name)], NAMESPACE).await?;
    let key = (NAMESPACE.to_owned(), name.to_owned());
    let (mut made, mut pod_ready) = (vec![None; subject.last_children.len()], None);
    let look = |seen: &Seen| {
        let object = seen.object.as_ref().filter(|_| seen.key.0 == NAMESPACE)?;
        if let Some(place) = subject
            .last_children
            .iter()
            .position(|kind| *kind.kind == *seen.kind)
            && seen.key.1.ends_with(name)
        {
            made[place].get_or_insert(seen.at);
        }
        if *seen.kind == *"Pod" && seen.key.1.contains(name) && is_ready(object) {
            pod_ready.get_or_insert(seen.at);
        }
        let ready = seen.is(&subject.resource.kind, &key) && (subject.is_ready)(object);
        ready.then_some(())?;
        let made = made
            .iter()
            .copied()
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .max()?;
        // The two watches are not in step: what is seen of the Pod may come after what came of it.
        Some((
            made - start,
            seen.at.saturating_duration_since(pod_ready.unwrap_or(seen.at)),
        ))
    };
    listener.until(&format!("{name} is ready"), LIMIT, look).await
}

fn is_ready(pod: &DynamicObject) -> bool {
    let conditions = pod.data["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// A Pod that stops being ready: until the status says so.
pub(crate) async fn not_ready(ground: &Ground<'_>) -> Result<Vec<Duration>> {
    let step = progress::step("Pods that stop being ready");
    let pods: Api<Pod> = Api::namespaced(ground.client.clone(), NAMESPACE);
    let mut took = Vec::new();
    for number in 0..TIMES {
        let key = ground::key(number);
        let listed = pods.list(&ListParams::default().labels(&selector(&key))).await?;
        let pod = listed.items.first().context("a service has no Pod")?.name_any();
        for ready in [false, true] {
            let mut listener = ground.journal.listen();
            let start = Instant::now();
            pods.patch_status(&pod, &PatchParams::default(), &Patch::Strategic(said(ready)))
                .await?;
            let at = listener
                .until(&format!("{} is ready: {ready}", key.1), LIMIT, |seen| {
                    let object = seen.object.as_ref()?;
                    let says = seen.is(&ground.subject.resource.kind, &key)
                        && (ground.subject.is_ready)(object) == ready;
                    says.then_some(seen.at)
                })
                .await?;
            took.extend((!ready).then_some(at - start));
        }
    }
    step.done();
    Ok(took)
}

fn selector((_, service): &Key) -> String {
    corral_operator::plan::selector(service)
}

/// What a kubelet says.
fn said(ready: bool) -> serde_json::Value {
    let status = if ready { "True" } else { "False" };
    json!({"status": {"conditions": [
        {"type": "Ready", "status": status},
        {"type": "ContainersReady", "status": status},
    ]}})
}

/// What was done to children by hand.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Harm {
    Deleted,
    Edited,
}

/// A child that was deleted or edited: until it is as before.
#[derive(Serialize, Deserialize)]
pub(crate) struct Repair {
    pub(crate) kind: String,
    pub(crate) harm: Harm,
    pub(crate) took: Vec<Duration>,
}

const REPAIRED: [Kind; 5] = [
    Kind::ServiceAccount,
    Kind::ConfigMap,
    Kind::Service,
    Kind::NetworkPolicy,
    Kind::Deployment,
];

/// Harms children of every kind.
pub(crate) async fn repairs(ground: &Ground<'_>) -> Result<Vec<Repair>> {
    let step = progress::step("children deleted and edited by hand");
    for kind in [Kind::ServiceAccount, Kind::Service, Kind::NetworkPolicy] {
        // Nobody else wants to see them, and watches take their part of the processors.
        ground.journal.follow(&kind.resource(), Content::Metadata).await?;
    }
    let mut repairs = Vec::new();
    let mut number = TIMES;
    for kind in REPAIRED {
        for harm in [Harm::Edited, Harm::Deleted] {
            let mut took = Vec::new();
            for _ in 0..TIMES / 2 {
                number += 1;
                took.push(repair(ground, kind, harm, &ground::key(number)).await?);
            }
            repairs.push(Repair {
                kind: kind.name().to_owned(),
                harm,
                took,
            });
        }
    }
    step.done();
    Ok(repairs)
}

async fn repair(ground: &Ground<'_>, kind: Kind, harm: Harm, key: &Key) -> Result<Duration> {
    let api: Api<DynamicObject> = Api::namespaced_with(ground.client.clone(), &key.0, &kind.resource());
    let before = api.get(&key.1).await?;
    let mut listener = ground.journal.listen();
    let start = Instant::now();
    let edited = match harm {
        Harm::Deleted => {
            api.delete(&key.1, &DeleteParams::background()).await?;
            None
        }
        Harm::Edited => {
            let edit = Patch::Merge(
                json!({"metadata": {"labels": {"app.kubernetes.io/part-of": "something-else"}}}),
            );
            let edited = api.patch(&key.1, &PatchParams::default(), &edit).await?;
            edited.resource_version()
        }
    };
    let mut edit_seen = false;
    let what = format!("{} {} is repaired", kind.name(), key.1);
    let at = listener
        .until(&what, LIMIT, |seen| {
            let object = seen.object.as_ref().filter(|_| seen.is(kind.name(), key))?;
            if harm == Harm::Deleted {
                return (object.uid() != before.uid()).then_some(seen.at);
            }
            let repaired = edit_seen && object.labels() == before.labels();
            edit_seen |= object.resource_version() == edited;
            repaired.then_some(seen.at)
        })
        .await?;
    if api.get(&key.1).await?.labels() != before.labels() {
        bail!("{what}, but not as before");
    }
    Ok(at - start)
}

/// One change of a spec at a time: from sending it to the change of the child, which is the proxy's configuration here.
pub(crate) async fn changes(ground: &Ground<'_>, count: u32, times: u32) -> Result<Vec<Duration>> {
    let step = progress::step(format!("{times} changes among {count}"));
    let mut took = Vec::new();
    for time in 0..times {
        // All over the place, and none twice.
        let number = u32::try_from(u64::from(time) * u64::from(count) / u64::from(times))?;
        took.push(change(ground, &ground::key(number), time).await?);
    }
    step.done();
    Ok(took)
}

/// Changes one spec and waits for its child.
pub(crate) async fn change(ground: &Ground<'_>, key: &Key, time: u32) -> Result<Duration> {
    let mut listener = ground.journal.listen();
    let client = format!("client-{time}");
    let start = Instant::now();
    let edit = Patch::Merge(json!({"spec": {"access": [{"clients": [client], "allow": ["Inference"]}]}}));
    ground
        .resources(&key.0)
        .patch(&key.1, &PatchParams::default(), &edit)
        .await?;
    let at = listener
        .until(&format!("the change of {} has come", key.1), LIMIT, |seen| {
            let object = seen.object.as_ref().filter(|_| seen.is("ConfigMap", key))?;
            object.data["data"]
                .to_string()
                .contains(&client)
                .then_some(seen.at)
        })
        .await?;
    Ok(at - start)
}
