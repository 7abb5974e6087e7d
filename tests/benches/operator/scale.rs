//! Many custom resources: until their children are there and they are ready, what that takes, and what a restart does.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use corral_measure::process::Resident;
use corral_operator::plan::Kind;
use corral_tests::progress;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::ground::{self, Ground, NAMESPACE, named_after};
use crate::journal::{Listener, Seen};
use crate::running::{Requests, Running, since};
use crate::spent::{Meter, Spent};
use crate::subject::Subject;

/// How often the progress is told.
const TELL: Duration = Duration::from_secs(10);

/// What came of one number of custom resources.
#[derive(Serialize, Deserialize)]
pub(crate) struct Scale {
    pub(crate) count: u32,
    /// Before there was anything to do.
    pub(crate) memory_before: Resident,
    pub(crate) made: Made,
    pub(crate) memory: Resident,
    /// Children of all.
    pub(crate) children: Vec<Children>,
    pub(crate) idle: Idle,
    pub(crate) restart: Restart,
}

/// The children of one kind.
#[derive(Serialize, Deserialize)]
pub(crate) struct Children {
    pub(crate) kind: String,
    /// The kind's name in requests.
    pub(crate) plural: String,
    pub(crate) count: usize,
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
impl Scale {
    /// For each custom resource.
    pub(crate) fn each(&self, count: usize) -> f64 {
        count as f64 / f64::from(self.count)
    }

    /// How many of a kind each custom resource has.
    pub(crate) fn of_each(&self, children: &Children) -> f64 {
        self.each(children.count)
    }

    /// Writes of each child of a kind while they were made.
    pub(crate) fn writes_of_each(&self, children: &Children) -> f64 {
        self.each(self.made.requests.writes_of(&children.plural)) / self.of_each(children)
    }
}

/// From the first custom resource's creation on.
#[derive(Serialize, Deserialize)]
pub(crate) struct Made {
    /// Until all children were there.
    pub(crate) children: Spent,
    /// Until all were ready.
    pub(crate) ready: Spent,
    /// Of the operator, until it was quiet.
    pub(crate) processor_time: Duration,
    pub(crate) requests: Requests,
}

/// What the operator did while there was nothing to do.
#[derive(Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) time: Duration,
    pub(crate) processor_time: Duration,
    pub(crate) requests: Requests,
}

/// A start with everything in place.
#[derive(Serialize, Deserialize)]
pub(crate) struct Restart {
    /// Until each had been looked at.
    pub(crate) settled: Duration,
    pub(crate) processor_time: Duration,
    pub(crate) requests: Requests,
    pub(crate) memory: Resident,
}

/// Makes that many and waits until all are ready and the operator is quiet.
pub(crate) async fn make(
    ground: &Ground<'_>,
    running: &mut Running<'_>,
    count: u32,
    limit: Duration,
) -> Result<Made> {
    let step = progress::step(format!("{count} custom resources of {}", ground.subject.name));
    let (mark, before) = (ground.audit().mark()?, running.processor_time()?);
    let mut listener = ground.journal.listen();
    let objects = (0..count).map(|number| ground.subject.object(&ground::name(number)));
    let meter = Meter::start(ground, running)?;
    let watched = watch(&mut listener, ground.subject, count as usize, &meter, limit);
    let ((children, ready), ()) = tokio::try_join!(watched, ground.make(objects.collect(), NAMESPACE))?;
    running.quiet(limit).await?;
    step.done();
    progress::say(&format!("    children there: {children}"));
    progress::say(&format!("    all ready: {ready}"));
    Ok(Made {
        children,
        ready,
        processor_time: since(running, before)?,
        requests: running.requests(mark)?,
    })
}

async fn watch(
    listener: &mut Listener,
    subject: &Subject,
    count: usize,
    meter: &Meter<'_>,
    limit: Duration,
) -> Result<(Spent, Spent)> {
    let mut made = vec![HashSet::new(); subject.last_children.len()];
    let mut ready = HashSet::new();
    let mut children = None;
    let mut told = Instant::now();
    let look = |seen: &Seen| {
        note(seen, subject, &mut made, &mut ready);
        if told.elapsed() > TELL {
            told = Instant::now();
            let made = made.iter().map(HashSet::len).min().unwrap_or(0);
            progress::say(&format!(
                "    {made} have their children, {} are ready",
                ready.len()
            ));
        }
        if children.is_none() && made.iter().all(|made| made.len() >= count) {
            children = Some(meter.spent());
        }
        (ready.len() >= count).then_some(())?;
        Some((children.take()?, meter.spent()))
    };
    let (children, ready) = listener.until("all are ready", limit, look).await?;
    Ok((children?, ready?))
}

fn note(seen: &Seen, subject: &Subject, made: &mut [HashSet<String>], ready: &mut HashSet<String>) {
    let Some(object) = &seen.object else { return };
    if seen.key.0 != NAMESPACE {
        return;
    }
    if *seen.kind == *subject.resource.kind {
        if (subject.is_ready)(object) {
            ready.insert(seen.key.1.clone());
        } else {
            ready.remove(&seen.key.1);
        }
        return;
    }
    let place = subject
        .last_children
        .iter()
        .position(|kind| *kind.kind == *seen.kind);
    if let (Some(place), Some(name)) = (place, named_after(&seen.key.1)) {
        made[place].insert(name.to_owned());
    }
}

/// Counts the objects that belong to custom resources.
pub(crate) async fn children(ground: &Ground<'_>) -> Result<Vec<Children>> {
    let mut kinds: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| !kind.may_be_unserved())
        .map(Kind::resource)
        .collect();
    kinds.push(ApiResource::erase::<Secret>(&()));
    let mut counted = Vec::new();
    for kind in kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(ground.client.clone(), NAMESPACE, &kind);
        let listed = api.list_metadata(&ListParams::default()).await?;
        let names = listed.items.iter().map(ResourceExt::name_any);
        let count = names.filter(|name| named_after(name).is_some()).count();
        counted.extend((count > 0).then_some(Children {
            kind: kind.kind,
            plural: kind.plural,
            count,
        }));
    }
    Ok(counted)
}

/// Leaves the operator alone for a while.
pub(crate) async fn idle(ground: &Ground<'_>, running: &Running<'_>, time: Duration) -> Result<Idle> {
    let step = progress::step(format!("{} s with nothing to do", time.as_secs()));
    let (mark, before) = (ground.audit().mark()?, running.processor_time()?);
    sleep(time).await;
    step.done();
    Ok(Idle {
        time,
        processor_time: since(running, before)?,
        requests: running.requests(mark)?,
    })
}

/// Ends the operator and starts it again.
pub(crate) async fn restart<'a>(
    ground: &'a Ground<'_>,
    running: Running<'a>,
    count: u32,
    limit: Duration,
) -> Result<(Restart, Running<'a>)> {
    let step = progress::step("restart");
    running.stop().await?;
    let mark = ground.audit().mark()?;
    let mut running = ground.start().await?;
    let settled = running.settled(count, limit).await?;
    running.quiet(limit).await?;
    step.done();
    let requests = running.requests(mark)?;
    let restart = Restart {
        settled,
        processor_time: running.processor_time()?,
        requests,
        memory: running.memory()?,
    };
    Ok((restart, running))
}
