//! What is done to an OllamaService in the crash campaign and in others.

use anyhow::Result;
use serde_json::{Value, json};

use crate::ground::NAMESPACE;
use crate::trial::{Outcome, Trial};

/// Something that a user or an administrator does.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Makes an OllamaService.
    Create(Value),
    /// Merges into the spec.
    Edit(Value),
    /// Deletes it.
    Delete,
    /// Deletes it, and makes another of the same name at once.
    Recreate(Value),
    /// Starts an operator of another version.
    Upgrade,
}

/// A workload: what there is before, what is done, and what it comes to.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// The spec of the OllamaService that is settled before.
    before: Option<Value>,
    act: Act,
    outcome: Outcome,
}

/// The options of the operator before and after its upgrade.
const OLD: &[&str] = &["--proxy-image=registry.example/proxy:1"];
const NEW: &[&str] = &["--proxy-image=registry.example/proxy:2"];

pub(crate) fn all() -> Vec<Workload> {
    let spec = |more: Value| {
        let mut spec = json!({
            "replicas": 1,
            "models": [{"name": "gemma3:270m"}],
            "storage": {"size": "1Gi", "storageClassName": NAMESPACE},
        });
        if let (Value::Object(spec), Value::Object(more)) = (&mut spec, more) {
            spec.extend(more);
        }
        spec
    };
    let keys = |name: &str| json!({"apiKeys": {"secretRef": {"name": name}}});
    let workload = |name, before, act, outcome| Workload {
        name,
        before,
        act,
        outcome,
    };
    let ingress = json!({"ingress": {"hosts": ["ollama.example"]}});
    vec![
        workload(
            "create",
            None,
            Act::Create(spec(json!({"replicas": 2, "network": ingress}))),
            Outcome::Ready,
        ),
        workload(
            "scale",
            Some(spec(
                json!({"access": [{"clients": ["*"], "allow": ["Inference"], "limits": {"concurrent": 8}}]}),
            )),
            Act::Edit(json!({"replicas": 3})),
            Outcome::Ready,
        ),
        workload(
            "scale down and close",
            Some(spec(json!({"replicas": 2, "network": ingress}))),
            Act::Edit(json!({"replicas": 1, "network": null})),
            Outcome::Ready,
        ),
        workload(
            "autoscale",
            Some(spec(json!({"replicas": 2}))),
            Act::Edit(
                json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 3, "target": {"requestsInFlight": 8}}}),
            ),
            Outcome::Ready,
        ),
        workload(
            "image",
            Some(spec(json!({}))),
            Act::Edit(json!({"version": "0.17.5"})),
            Outcome::Ready,
        ),
        workload(
            "Secret renamed",
            Some(spec(json!({"auth": keys("keys")}))),
            Act::Edit(json!({"auth": keys("other-keys")})),
            Outcome::Ready,
        ),
        workload(
            "auth changed",
            Some(spec(json!({}))),
            Act::Edit(json!({"auth": {"basic": {"secretRef": {"name": "users"}}}})),
            Outcome::Ready,
        ),
        workload("delete", Some(spec(json!({}))), Act::Delete, Outcome::Gone),
        workload(
            "delete and recreate",
            Some(spec(json!({}))),
            Act::Recreate(spec(json!({"replicas": 2}))),
            Outcome::Ready,
        ),
        workload(
            "operator upgrade",
            Some(spec(json!({"upgradePolicy": "Immediate"}))),
            Act::Upgrade,
            Outcome::Ready,
        ),
    ]
}

impl Workload {
    /// Comes to the state before the act; answers with the number of exchanges that it took.
    pub(crate) async fn prepare(&self, trial: &mut Trial<'_>) -> Result<usize> {
        if let Some(before) = &self.before {
            trial.start(OLD)?;
            trial.create(before).await?;
            trial.settle(Outcome::Ready).await?;
        }
        match self.act {
            Act::Upgrade => trial.kill().await,
            _ if self.before.is_none() => trial.start(self.options())?,
            _ => {}
        }
        Ok(trial.faults.count())
    }

    pub(crate) async fn act(&self, trial: &mut Trial<'_>) -> Result<()> {
        match &self.act {
            Act::Create(spec) => trial.create(spec).await,
            Act::Edit(spec) => trial.edit(spec).await,
            Act::Delete => trial.delete().await,
            Act::Recreate(spec) => {
                trial.delete().await?;
                trial.create(spec).await
            }
            Act::Upgrade => self.restart(trial),
        }
    }

    /// Starts the operator again as it was.
    pub(crate) fn restart(&self, trial: &mut Trial<'_>) -> Result<()> {
        trial.start(self.options())
    }

    /// The operator's options from the act on.
    pub(crate) const fn options(&self) -> &'static [&'static str] {
        match self.act {
            Act::Upgrade => NEW,
            _ => OLD,
        }
    }

    /// Waits for what it comes to.
    pub(crate) async fn settle(&self, trial: &mut Trial<'_>) -> Result<()> {
        if self.outcome != Outcome::Gone {
            trial.has_looked().await?;
        }
        trial.settle(self.outcome).await
    }
}
