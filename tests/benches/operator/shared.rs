//! One Secret of many custom resources.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context, Result};
use corral_operator::plan::NUDGE_ANNOTATION;
use corral_tests::progress;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use crate::ground::{self, Ground};
use crate::reactions::change;
use crate::running::Running;
use crate::spent::{Meter, Spent};

/// Where they are, apart from the others.
const NAMESPACE: &str = "shared";
const SECRET: &str = "keys";
/// How many changes are made elsewhere while the edit is followed.
const CHANGES: u32 = 20;

/// An edit of the Secret.
#[derive(Serialize, Deserialize)]
pub(crate) struct Shared {
    pub(crate) count: u32,
    /// Until every Pod's kubelet was told.
    pub(crate) told: Spent,
    /// Until the status of all said that it is in force.
    pub(crate) in_force: Duration,
    /// What changes of others took meanwhile.
    pub(crate) others: Vec<Duration>,
}

/// Makes that many and edits their Secret.
pub(crate) async fn measure(
    ground: &Ground<'_>,
    running: &Running<'_>,
    count: u32,
    limit: Duration,
) -> Result<Shared> {
    let step = progress::step(format!("{count} custom resources that share a Secret"));
    ground.namespace(NAMESPACE).await?;
    write(ground, "the-first-key-of-them-all").await?;
    make(ground, count, limit).await?;
    // What was still on its way is not to be counted.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let shared = edit(ground, running, count, limit).await?;
    step.done();
    Ok(shared)
}

async fn make(ground: &Ground<'_>, count: u32, limit: Duration) -> Result<()> {
    let spec = json!({"spec": {"auth": {"apiKeys": {"secretRef": {"name": SECRET}}}}});
    let objects = (0..count)
        .map(|number| DynamicObject::new(&ground::name(number), &ground.subject.resource).data(spec.clone()));
    let mut listener = ground.journal.listen();
    let mut ready = HashSet::new();
    let all = listener.until("all that share the Secret are ready", limit, |seen| {
        let object = seen.object.as_ref().filter(|_| seen.key.0 == NAMESPACE)?;
        if *seen.kind == *ground.subject.resource.kind && (ground.subject.is_ready)(object) {
            ready.insert(seen.key.1.clone());
        }
        (ready.len() >= count as usize).then_some(())
    });
    tokio::try_join!(all, ground.make(objects.collect(), NAMESPACE))?;
    Ok(())
}

async fn edit(ground: &Ground<'_>, running: &Running<'_>, count: u32, limit: Duration) -> Result<Shared> {
    let before = nudges(ground).await?;
    let mut listener = ground.journal.listen();
    let start = Instant::now();
    let meter = Meter::start(ground, running)?;
    let version = write(ground, "the-second-key-of-them-all").await?;
    let (mut told, mut in_force) = (HashSet::new(), HashSet::new());
    let (mut told_until, mut in_force_at) = (None, None);
    let all = listener.until("the edit is in force everywhere", limit, |seen| {
        let object = seen.object.as_ref().filter(|_| seen.key.0 == NAMESPACE)?;
        if *seen.kind == *"Pod" && before.get(&seen.key.1) != Some(&nudge(object)) {
            told.insert(seen.key.1.clone());
        }
        if *seen.kind == *ground.subject.resource.kind && has(object, &version) {
            in_force.insert(seen.key.1.clone());
        }
        if told_until.is_none() && told.len() >= before.len() {
            told_until = Some(meter.spent());
        }
        in_force_at = in_force_at.or((in_force.len() >= count as usize).then_some(seen.at));
        in_force_at.and_then(|at| Some((told_until.take()?, at)))
    });
    let others = async {
        let mut took = Vec::new();
        for time in 0..CHANGES {
            took.push(change(ground, &ground::key(time), 100_000 + time).await?);
        }
        Ok(took)
    };
    let ((told, in_force), others) = tokio::try_join!(all, others)?;
    Ok(Shared {
        count,
        told: told?,
        in_force: in_force - start,
        others,
    })
}

async fn write(ground: &Ground<'_>, key: &str) -> Result<String> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": {"client": key}});
    let api: Api<Secret> = Api::namespaced(ground.client.clone(), NAMESPACE);
    let written = api
        .patch(SECRET, &PatchParams::apply("benchmark"), &Patch::Apply(secret))
        .await?;
    written.resource_version().context("a Secret without a version")
}

async fn nudges(ground: &Ground<'_>) -> Result<HashMap<String, Option<String>>> {
    let api: Api<Pod> = Api::namespaced(ground.client.clone(), NAMESPACE);
    let pods = api.list_metadata(&ListParams::default()).await?;
    Ok(pods
        .items
        .iter()
        .map(|pod| (pod.name_any(), nudge(pod)))
        .collect())
}

fn nudge(pod: &impl ResourceExt) -> Option<String> {
    pod.annotations().get(NUDGE_ANNOTATION).cloned()
}

fn has(object: &DynamicObject, version: &str) -> bool {
    let secrets = object.data["status"]["credentials"]["secrets"].as_array();
    let mut secrets = secrets.into_iter().flatten();
    secrets.any(|secret| secret["name"] == SECRET && secret["resourceVersion"] == version)
}
