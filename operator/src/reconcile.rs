//! One OllamaService, from what it should be to what its status says.

mod said;
mod written;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kube::core::error_boundary::InvalidObject;
use kube::{Client, Resource, ResourceExt};

use crate::apply::{ApplyError, Writer, words};
use crate::backoff::Pause;
use crate::changes::{Change, changes};
use crate::cli::{PlanOptions, SecretsMode};
use crate::crd::{OllamaService, OllamaServiceSpec, OllamaServiceStatus};
use crate::memory::{Key, Lag, Memory, key_of};
use crate::metrics::{Metrics, Outcome};
use crate::observe::{Observed, Place, Readings, config_maps, is_there, observe};
use crate::plan::{Kind, Plan, PlanError, plan};
use crate::replicas::{Asker, Replica};
use crate::report::Reporter;
use crate::rotation::{Progress, again, all_have_ended, lagging_untold, nudge_value, to_nudge};
use crate::status::{Blocked, Known, upgrade_policy};
use crate::watch::{Guarded, Stores};

use written::{Refused, deployment_status, listed};

/// How often a settled OllamaService is looked at: its Pods may say something that no watch shows.
const SETTLED: Duration = Duration::from_secs(600);
/// The same where Secrets are not watched.
const UNWATCHED: Duration = Duration::from_secs(60);
/// The same where proxies ask others, or load models again and again, which no watch shows.
const ASKING: Duration = Duration::from_secs(60);
/// The same where they have no good answer.
const UNANSWERED: Duration = Duration::from_secs(5);
/// How often names are looked at that something else has taken.
const TAKEN: Duration = Duration::from_secs(15);

/// All that a reconcile needs.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What the watches know.
    pub stores: Arc<Stores>,
    /// What goes into plans.
    pub options: PlanOptions,
    /// Speaks to people.
    pub reporter: Reporter,
    /// Asks proxies.
    pub asker: Asker,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What is remembered of each OllamaService.
    pub memory: Arc<Memory>,
    /// What Secrets held.
    pub readings: Readings,
}

/// Why a reconcile failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Something could not be read.
    #[error("reading: {}", words(.0))]
    Observe(#[source] kube::Error),
    /// Something could not be written.
    #[error("applying {}", listed(.failures))]
    Apply {
        /// What, and why not.
        failures: Vec<ApplyError>,
        /// After what time to look again at all that is known beside it.
        look_after: Duration,
    },
    /// The status could not be written.
    #[error("writing the status: {}", words(.0))]
    Status(#[source] kube::Error),
    /// An object has no JSON or YAML form.
    #[error(transparent)]
    Plan(PlanError),
}

/// Makes one OllamaService what it should be, counts how that went and says after what time to look again, if nothing
/// concerns it before.
pub async fn reconcile(service: &Guarded, context: &Context) -> Option<Duration> {
    let started = Instant::now();
    let outcome = match &service.0 {
        _ if service.meta().deletion_timestamp.is_some() || leaves(service, context) => {
            Ok((Outcome::Done, None))
        }
        Ok(service) => One::new(service, context).reconcile().await,
        Err(invalid) => unreadable(invalid, context).await,
    };
    let counted = outcome.as_ref().map_or(Outcome::Failed, |(outcome, _)| *outcome);
    context.metrics.reconciled(counted, started.elapsed());
    match outcome {
        Ok((_, look_after)) => {
            context.memory.succeeded(&key_of(service));
            look_after
        }
        Err(error) => Some(pause(service, &error, context)),
    }
}

/// After a failure: when to try again, or to look again at what may come to its end before.
fn pause(service: &Guarded, error: &ReconcileError, context: &Context) -> Duration {
    let pause = context.memory.failed(&key_of(service));
    if let Pause::Next(pause) = pause {
        tracing::warn!(service = %service.name_any(), namespace = service.namespace(), %error, ?pause, "tried again after a pause");
    }
    match error {
        ReconcileError::Apply { look_after, .. } => pause.length().min(*look_after),
        _ => pause.length(),
    }
}

/// Whether it is known to go with its namespace: what is deleted before it can't be made again.
fn leaves(service: &Guarded, context: &Context) -> bool {
    let uid = service.meta().uid.as_deref().unwrap_or_default();
    context.memory.leaves(&key_of(service), uid)
}

/// One OllamaService while it is reconciled.
struct One<'a> {
    service: &'a OllamaService,
    context: &'a Context,
    key: Key,
    uid: String,
    /// The status last written, as far as it is known.
    before: OllamaServiceStatus,
}

/// How it went, and after what time to look again.
type Done = Result<(Outcome, Option<Duration>), ReconcileError>;

impl<'a> One<'a> {
    fn new(service: &'a OllamaService, context: &'a Context) -> Self {
        let key = key_of(service);
        let uid = service.uid().unwrap_or_default();
        let remembered = context.memory.status(&key, &uid);
        let before = remembered.or_else(|| service.status.clone()).unwrap_or_default();
        Self {
            service,
            context,
            key,
            uid,
            before,
        }
    }

    async fn reconcile(&self) -> Done {
        let config_maps = config_maps(self.place(), self.service)
            .await
            .map_err(ReconcileError::Observe)?;
        let mut plan = match plan(self.service, &self.context.options, &config_maps) {
            Ok(plan) => plan,
            Err(PlanError::Invalid(problems)) => return self.blocked(&Blocked::Invalid(problems)).await,
            Err(error) => return Err(ReconcileError::Plan(error)),
        };
        plan.upgrade_policy = upgrade_policy(plan.upgrade_policy, &self.before);
        let observed = observe(self.place(), &plan)
            .await
            .map_err(ReconcileError::Observe)?;
        let changes = match changes(&plan, &observed, &self.uid) {
            Ok(changes) => changes,
            Err(collisions) => return self.blocked(&Blocked::Taken(collisions)).await,
        };
        if self.has_gone(&changes).await? {
            return Ok((Outcome::Done, None));
        }
        let applied = self.writer().apply(&changes).await;
        if applied.failures.iter().any(ApplyError::namespace_goes) {
            self.context.memory.left(&self.key, &self.uid);
            return Ok((Outcome::Done, None));
        }
        let nudge = nudge_value(&plan, &observed);
        let nudged = self.nudge(&to_nudge(&plan, &observed, &nudge), &nudge).await;
        let replicas = self.context.asker.ask(&observed.pods).await;
        let progress = self.progress(&plan, &observed, &replicas);
        let late = self.nudge(&lagging_untold(&progress, &observed), &nudge).await;
        let deployment = deployment_status(&observed, &changes, applied.generation);
        // Kubelets that can't be told refresh what is mounted by themselves, a minute or two later: that is no child's lack.
        let refused = Refused::of(&applied.failures);
        let more_after = self
            .report(&Known {
                plan: &plan,
                secrets: &observed.secrets,
                digest_key_problem: observed.digest_key_problem.as_deref(),
                certificate: observed.certificate.as_ref(),
                registry_key: observed.registry_key.as_ref(),
                deployment: deployment.as_ref(),
                pods: &observed.pods,
                children: &observed.children,
                unserved: &observed.unserved,
                replicas: &replicas,
                progress: &progress,
                refused: refused.children.as_deref(),
                claim_refused: refused.claim.as_deref(),
            })
            .await?;
        let settled = self.settled(&replicas);
        let (look_after, again) = self.next_look(&progress, &nudge, settled).await;
        let look_after = more_after.map_or(look_after, |more| look_after.min(more));
        let mut failures = applied.failures;
        failures.extend([nudged, late, again].into_iter().flatten());
        if failures.is_empty() {
            return Ok((Outcome::Done, Some(look_after)));
        }
        Err(ReconcileError::Apply { failures, look_after })
    }

    /// Whether it was deleted and only its watch doesn't know yet: those of its children may have seen already how they were
    /// collected, and none is made again for what is no longer there.
    async fn has_gone(&self, changes: &[Change<'_>]) -> Result<bool, ReconcileError> {
        let were_there = self.before.observed_generation.is_some();
        if !were_there || !changes.iter().any(Change::makes_anew) {
            return Ok(false);
        }
        let is_there = is_there(self.place()).await.map_err(ReconcileError::Observe)?;
        Ok(!is_there)
    }

    fn place(&self) -> Place<'_> {
        Place {
            client: &self.context.client,
            stores: &self.context.stores,
            readings: &self.context.readings,
            namespace: &self.key.0,
            name: &self.key.1,
            uid: &self.uid,
        }
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            client: &self.context.client,
            metrics: &self.context.metrics,
            namespace: &self.key.0,
            readings: &self.context.readings,
        }
    }

    /// Has the kubelets refresh what is mounted, all at once. One that can't be told keeps no other from being told; the first of
    /// them stands for all.
    async fn nudge(&self, pods: &[&str], value: &str) -> Option<ApplyError> {
        if !pods.is_empty() {
            self.context.memory.tells(&self.key);
        }
        let writer = self.writer();
        let told = join_all(pods.iter().map(|pod| writer.nudge(pod, value))).await;
        told.into_iter().find_map(Result::err)
    }

    fn progress(&self, plan: &Plan, observed: &Observed, replicas: &[Replica]) -> Progress {
        let deployment = observed.children.get(&Kind::Deployment);
        let none_wanted =
            plan.replicas.wanted(deployment.map(|live| &**live)) == 0 && all_have_ended(&observed.pods);
        Progress::of(plan, &observed.secrets, replicas, none_wanted)
    }

    /// When to look again where nothing is on its way.
    fn settled(&self, replicas: &[Replica]) -> Duration {
        if replicas.iter().any(Replica::lacks_an_answer) {
            return UNANSWERED;
        }
        match self.context.options.secrets {
            SecretsMode::Read if replicas.iter().any(Replica::changes_unseen) => ASKING,
            SecretsMode::Read => SETTLED,
            SecretsMode::None => UNWATCHED,
        }
    }

    /// When to look again, and why a kubelet could not be told once more: one that was told before it had itself heard of the
    /// change.
    async fn next_look(
        &self,
        progress: &Progress,
        nudge: &str,
        settled: Duration,
    ) -> (Duration, Option<ApplyError>) {
        let lag = self
            .context
            .memory
            .lagging(&self.key, !progress.lagging.is_empty());
        match lag {
            Lag::None => (settled, None),
            Lag::Over(took) => {
                self.context.metrics.rotated(took);
                (settled, None)
            }
            Lag::Still { look_after, nudges } => {
                let look_after = look_after.min(settled);
                let Some(nudges) = nudges else {
                    return (look_after, None);
                };
                let pods: Vec<_> = progress.lagging.iter().map(|(pod, _)| pod.as_str()).collect();
                (look_after, self.nudge(&pods, &again(nudge, nudges)).await)
            }
        }
    }
}

/// An OllamaService that can't even be read, which the definition forbids: an older one must be installed.
async fn unreadable(invalid: &InvalidObject, context: &Context) -> Done {
    let service = OllamaService {
        metadata: invalid.metadata.clone(),
        spec: OllamaServiceSpec::default(),
        status: None,
    };
    let blocked = Blocked::Invalid(vec![format!("it can't be read: {}", invalid.error)]);
    One::new(&service, context).blocked(&blocked).await
}
