//! The operator sees the cluster late, as it was, or twice. Whatever it sees, it must come to what there should be, and not
//! touch what another has.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use corral_tests::fault_proxy::{Nudge, Target};
use serde_json::{Value, json};

use crate::crash::Run;
use crate::evidence::Evidence;
use crate::ground::{Ground, NAMESPACE};
use crate::masks::{Counters, differences, masked, uids};
use crate::oracles::{self, GOES_BACK, OBSERVED_AND_QUIET, PATH_INDEPENDENT, SAFE, findings};
use crate::trial::{Outcome, Trial};
use crate::workloads::Workload;

/// How long the operator may act on what it wrongly sees.
const WHILE: Duration = Duration::from_secs(2);

/// What is wrong with the view.
#[derive(Clone, Debug)]
pub(crate) enum View {
    /// Events of a resource wait while the spec is changed and changed back; then they come, or the watch begins anew.
    Held {
        resource: &'static str,
        edit: (&'static str, Value, Value),
        gone: bool,
    },
    /// The operator begins with the lists of an OllamaService that was deleted since, and perhaps made again.
    Old {
        resource: &'static str,
        made_again: bool,
    },
    /// Watches end, end with 410, or say everything twice during a workload.
    Broken {
        workload: &'static str,
        resource: &'static str,
        how: Breakage,
    },
    /// Watches bring bookmarks only, end, and go on from there.
    Bookmarks,
    /// The OllamaService is deleted, and its children with it, before its watch says so.
    Unseen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breakage {
    Closed,
    Gone,
    Doubled,
}

const RESOURCES: [&str; 6] = [
    "*",
    "ollamaservices",
    "deployments",
    "pods",
    "secrets",
    "configmaps",
];

/// Every view.
pub(crate) fn all() -> Vec<View> {
    let edits = [
        ("scaled", json!({"replicas": 2}), json!({"replicas": 1})),
        (
            "opened",
            json!({"network": {"ingress": {"hosts": ["ollama.example"]}}}),
            json!({"network": null}),
        ),
        (
            "other keys",
            json!({"auth": {"apiKeys": {"secretRef": {"name": "other-keys"}}}}),
            json!({"auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}),
        ),
    ];
    let mut views = vec![View::Bookmarks, View::Unseen];
    for resource in RESOURCES {
        for edit in &edits {
            views.extend([false, true].map(|gone| View::Held {
                resource,
                edit: edit.clone(),
                gone,
            }));
        }
        views.extend([false, true].map(|made_again| View::Old { resource, made_again }));
        for workload in ["create", "scale", "autoscale"] {
            views.extend(
                [Breakage::Closed, Breakage::Gone, Breakage::Doubled].map(|how| View::Broken {
                    workload,
                    resource,
                    how,
                }),
            );
        }
    }
    views
}

fn spec() -> Value {
    json!({
        "replicas": 1,
        "models": [{"name": "gemma3:270m"}],
        "storage": {"size": "1Gi", "storageClassName": NAMESPACE},
        "auth": {"apiKeys": {"secretRef": {"name": "keys"}}},
    })
}

impl View {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Held {
                resource,
                edit: (edit, ..),
                gone,
            } => {
                let then = if *gone { "410" } else { "released" };
                format!("views/held {resource}/{edit} and back, {then}")
            }
            Self::Old { resource, made_again } => {
                let since = if *made_again { "made again" } else { "deleted" };
                format!("views/old {resource}/{since}")
            }
            Self::Broken {
                workload,
                resource,
                how,
            } => format!("views/{how:?} {resource}/{workload}"),
            Self::Bookmarks => "views/bookmarks only".to_owned(),
            Self::Unseen => "views/deleted unseen".to_owned(),
        }
    }

    /// The workload whose reference run it is compared with.
    pub(crate) fn workload(&self) -> Option<&'static str> {
        match self {
            Self::Broken { workload, .. } => Some(workload),
            Self::Held { .. } | Self::Old { .. } | Self::Bookmarks | Self::Unseen => None,
        }
    }

    /// Runs it.
    pub(crate) async fn judged(
        &self,
        ground: &Ground,
        quiet: Duration,
        reference: Option<(&Workload, Arc<Evidence>)>,
    ) -> Result<Run> {
        let mut trial = Trial::new(ground, quiet).await?;
        let (mut wrong, from) = match (self, &reference) {
            (
                Self::Held {
                    resource,
                    edit: (_, there, back),
                    gone,
                },
                _,
            ) => (held(&mut trial, resource, there, back, *gone).await?, 0),
            (Self::Old { resource, made_again }, _) => (old(&mut trial, resource, *made_again).await?, 0),
            (Self::Broken { resource, how, .. }, Some((workload, _))) => {
                broken(&mut trial, resource, *how, workload).await?
            }
            (Self::Broken { .. }, None) => anyhow::bail!("there is no reference run"),
            (Self::Bookmarks, _) => (bookmarks(&mut trial).await?, 0),
            (Self::Unseen, _) => (unseen(&mut trial).await?, 0),
        };
        let evidence = trial.evidence(from).await?;
        wrong.extend(oracles::judge(&evidence, &self.expected()));
        if let Some((_, reference)) = reference {
            let counters = Counters::Compared;
            wrong.extend(oracles::same_end(
                PATH_INDEPENDENT,
                &reference,
                &evidence,
                counters,
            ));
            // Who sees nothing may write once more what is there already: it changes nothing.
        }
        trial.end().await?;
        Ok(Run {
            evidence,
            reached: true,
            findings: wrong,
        })
    }

    /// Answers that the view provokes: what is no longer there can't be written, and what was replaced or has changed
    /// meanwhile is not what it was taken for.
    const fn expected(&self) -> [u16; 2] {
        match self {
            Self::Old { .. } | Self::Held { .. } | Self::Unseen => [404, 409],
            Self::Broken { .. } | Self::Bookmarks => [409, 410],
        }
    }
}

type Findings = Vec<oracles::Finding>;

/// What is wrong when the end doesn't come.
fn unsettled(settled: Result<()>) -> Findings {
    let wrong = settled.err().map(|error| format!("{error:#}"));
    findings(OBSERVED_AND_QUIET, wrong.into_iter().collect())
}

async fn begin(trial: &mut Trial<'_>) -> Result<()> {
    trial.start(&[])?;
    trial.create(&spec()).await?;
    trial.settle(Outcome::Ready).await
}

async fn held(
    trial: &mut Trial<'_>,
    resource: &str,
    there: &Value,
    back: &Value,
    gone: bool,
) -> Result<Findings> {
    begin(trial).await?;
    let before = trial.objects().await?;
    trial.faults.hold(resource);
    trial.edit(there).await?;
    tokio::time::sleep(WHILE).await;
    trial.edit(back).await?;
    tokio::time::sleep(WHILE).await;
    if gone {
        trial.faults.nudge(resource, Nudge::Gone);
    }
    trial.faults.release();
    let mut wrong = unsettled(trial.settle(Outcome::Ready).await);
    wrong.extend(as_before(trial, &before, GOES_BACK).await?);
    Ok(wrong)
}

/// Whether all is as it was.
async fn as_before(trial: &Trial<'_>, before: &[Value], oracle: &'static str) -> Result<Findings> {
    let masked = |objects: &[Value]| masked(objects, &trial.namespace, Counters::Masked);
    let after = trial.objects().await?;
    Ok(findings(oracle, differences(&masked(before), &masked(&after))))
}

async fn old(trial: &mut Trial<'_>, resource: &str, made_again: bool) -> Result<Findings> {
    begin(trial).await?;
    // One that begins is shown lists; they are those that it will be shown again.
    trial.kill().await;
    trial.start(&[])?;
    trial.has_looked().await?;
    trial.settle(Outcome::Ready).await?;
    let lists = trial.faults.lists();
    trial.delete().await?;
    trial.settle(Outcome::Gone).await?;
    let outcome = if made_again {
        trial.create(&spec()).await?;
        Outcome::Ready
    } else {
        Outcome::Gone
    };
    trial.settle(outcome).await?;
    let before = trial.objects().await?;
    trial.kill().await;
    trial.faults.replay(resource, lists);
    trial.faults.hold("*");
    trial.start(&[])?;
    tokio::time::sleep(2 * WHILE).await;
    trial.faults.stop_replay();
    trial.faults.release();
    let mut wrong = unsettled(trial.settle(outcome).await);
    wrong.extend(as_before(trial, &before, PATH_INDEPENDENT).await?);
    let after = trial.objects().await?;
    wrong.extend(findings(SAFE, differences(&uids(&before), &uids(&after))));
    Ok(wrong)
}

async fn broken(
    trial: &mut Trial<'_>,
    resource: &str,
    how: Breakage,
    workload: &Workload,
) -> Result<(Findings, usize)> {
    if how == Breakage::Doubled {
        trial.faults.double(resource);
    }
    let from = workload.prepare(trial).await?;
    let nudge = match how {
        Breakage::Closed => Some(Nudge::Close),
        Breakage::Gone => Some(Nudge::Gone),
        Breakage::Doubled => None,
    };
    workload.act(trial).await?;
    for nudge in nudge.into_iter().cycle().take(4) {
        trial.faults.nudge(resource, nudge);
        tokio::time::sleep(WHILE / 8).await;
    }
    Ok((unsettled(workload.settle(trial).await), from))
}

/// What writes that took effect were about, but for the Lease.
fn writes(trial: &Trial<'_>) -> Vec<Target> {
    let exchanges = trial.faults.exchanges().into_iter();
    exchanges
        .filter(|exchange| exchange.took_effect() && exchange.target.resource != "leases")
        .map(|exchange| exchange.target)
        .collect()
}

/// Writes beyond so many.
fn wrote(trial: &Trial<'_>, before: usize, though: &str) -> Findings {
    let wrote = writes(trial).into_iter().skip(before);
    let wrote = wrote.map(|target| format!("{target:?}, though {though}"));
    findings(OBSERVED_AND_QUIET, wrote.collect())
}

async fn unseen(trial: &mut Trial<'_>) -> Result<Findings> {
    begin(trial).await?;
    let before = writes(trial).len();
    trial.faults.hold("ollamaservices");
    trial.delete().await?;
    tokio::time::sleep(2 * WHILE).await;
    trial.faults.release();
    let mut wrong = unsettled(trial.settle(Outcome::Gone).await);
    wrong.extend(wrote(trial, before, "what it is for was gone"));
    Ok(wrong)
}

async fn bookmarks(trial: &mut Trial<'_>) -> Result<Findings> {
    begin(trial).await?;
    let before = writes(trial).len();
    for _ in 0..3 {
        trial.faults.nudge("*", Nudge::Bookmark);
        tokio::time::sleep(WHILE / 4).await;
        trial.faults.nudge("*", Nudge::Close);
        tokio::time::sleep(WHILE / 4).await;
    }
    let mut wrong = unsettled(trial.settle(Outcome::Ready).await);
    wrong.extend(wrote(trial, before, "nothing had changed"));
    trial.edit(&json!({"replicas": 2})).await?;
    wrong.extend(unsettled(trial.settle(Outcome::Ready).await));
    Ok(wrong)
}
