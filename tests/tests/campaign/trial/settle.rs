//! When a trial has come to its end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::Api;
use serde_json::Value;

use super::{LIMIT, SERVICE, Trial};

/// What a trial comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The OllamaService is Ready, with its credentials in force.
    Ready,
    /// It has a status of its newest generation.
    Observed,
    /// It is gone, with all that it had.
    Gone,
}

impl Trial<'_> {
    /// Waits until the outcome is there and nothing has happened for a while.
    ///
    /// # Errors
    /// When that takes too long.
    pub(crate) async fn settle(&self, outcome: Outcome) -> Result<()> {
        let started = Instant::now();
        let mut last = (self.activity(), Instant::now());
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let activity = self.activity();
            if activity != last.0 {
                last = (activity, Instant::now());
            }
            let is_quiet = last.1.elapsed() >= self.quiet;
            let is_over = started.elapsed() > LIMIT;
            if !is_quiet && !is_over {
                continue;
            }
            match self.reached(outcome).await {
                Ok(()) if is_quiet => return Ok(()),
                Err(reason) if is_over => {
                    bail!("not {outcome:?} within {} s: {reason:#}", LIMIT.as_secs())
                }
                Ok(()) => bail!("never quiet: {}", self.latest().join(", ")),
                // What is reached only now is still to be answered.
                Err(_) => last.1 = Instant::now(),
            }
        }
    }

    /// Changes when anything happens in the namespace, or when the operator writes or tries to; leases aside.
    fn activity(&self) -> (usize, usize) {
        let exchanges = self.faults.exchanges();
        let writes = exchanges
            .iter()
            .filter(|exchange| exchange.target.is_write() && exchange.target.resource != "leases");
        (self.ground.journal.count(&self.namespace), writes.count())
    }

    fn latest(&self) -> Vec<String> {
        let exchanges = self.faults.exchanges();
        let writes = exchanges
            .iter()
            .rev()
            .filter(|exchange| exchange.target.is_write() && exchange.target.resource != "leases");
        let latest = writes.take(5).map(|exchange| format!("{:?}", exchange.target));
        latest.collect()
    }

    async fn reached(&self, outcome: Outcome) -> Result<()> {
        let service = self.services().get_opt(SERVICE).await?;
        if outcome == Outcome::Gone {
            ensure!(service.is_none(), "the OllamaService is there");
            let left = self.children().await?;
            ensure!(left.is_empty(), "{left:?} are left");
            return Ok(());
        }
        self.scaled().await?;
        let service = service.context("no OllamaService")?;
        let status = service.status.unwrap_or_default();
        ensure!(
            status.observed_generation == service.metadata.generation && !status.conditions.is_empty(),
            "the status is of generation {:?}",
            status.observed_generation
        );
        let lacking = ["Ready", "CredentialsSynced"].map(|type_| {
            let found = status.conditions.iter().find(|one| one.type_ == type_);
            found.filter(|condition| condition.status != "True")
        });
        let lacking: Vec<_> = lacking.into_iter().flatten().collect();
        ensure!(outcome != Outcome::Ready || lacking.is_empty(), "{lacking:?}");
        Ok(())
    }

    /// Fails while an autoscaler has yet to look at what it is told, to bring the replicas within its bounds and to say
    /// whether it sees how much they have to do. It looks every 15 s.
    async fn scaled(&self) -> Result<()> {
        let scalers = Api::<HorizontalPodAutoscaler>::namespaced(self.client.clone(), &self.namespace);
        let Some(scaler) = scalers.get_opt(SERVICE).await? else {
            return Ok(());
        };
        let spec = scaler.spec.unwrap_or_default();
        let status = scaler.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let says = conditions.iter().any(|one| one.type_ == "ScalingActive");
        ensure!(
            says && status.observed_generation == scaler.metadata.generation,
            "the autoscaler has yet to look"
        );
        let deployments = Api::<Deployment>::namespaced(self.client.clone(), &self.namespace);
        let deployment = deployments.get_opt(SERVICE).await?.and_then(|one| one.spec);
        let replicas = deployment.and_then(|deployment| deployment.replicas).unwrap_or(0);
        let bounds = spec.min_replicas.unwrap_or(1)..=spec.max_replicas;
        ensure!(
            replicas == 0 || bounds.contains(&replicas),
            "the autoscaler has yet to see that there are {replicas} replicas"
        );
        Ok(())
    }

    /// Names of what the operator has made and is still there; without claims that are kept.
    async fn children(&self) -> Result<Vec<String>> {
        let ours = |object: &&Value| {
            let is_kept =
                object["kind"] == "PersistentVolumeClaim" && object["metadata"]["ownerReferences"].is_null();
            object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "corral-operator" && !is_kept
        };
        let objects = self.objects().await?;
        let names = objects.iter().filter(ours).map(|object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            format!("{} {name}", object["kind"].as_str().unwrap_or_default())
        });
        Ok(names.collect())
    }
}
