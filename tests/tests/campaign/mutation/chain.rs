//! Steps one after the other, on one OllamaService with an operator.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use super::schema::get;
use super::shows;
use super::steps::Step;
use crate::crash::Run;
use crate::ground::Ground;
use crate::masks::{Counters, differences, masked};
use crate::oracles::{
    self, FIELD_SHOWS, Finding, GOES_BACK, ILLEGAL_UNTOUCHED, OBSERVED_AND_QUIET, PATH_INDEPENDENT, findings,
};
use crate::trial::{Outcome, SERVICE, Trial};

/// A default that no scene names, so that it shows when it applies.
const OPTIONS: &[&str] = &["--default-version=0.17.3"];

/// Steps from a scene.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) name: String,
    pub(crate) scene: Value,
    pub(crate) schema: Value,
    pub(crate) steps: Vec<Step>,
    /// After which steps to go back.
    pub(crate) back: Vec<bool>,
}

/// Objects by kind and name, masked.
type Objects = BTreeMap<String, Value>;

/// A chain under way.
struct Walk<'a, 'b> {
    trial: &'a Trial<'b>,
    spec: Value,
    objects: Objects,
    findings: Vec<Finding>,
}

impl Chain {
    /// The chain as far as it has to do with those words; none where it has nothing.
    pub(crate) fn about(mut self, words: &str) -> Option<Self> {
        if !self.name.contains(words) {
            self.steps.retain(|step| step.is_about(words));
        }
        (!self.steps.is_empty()).then_some(self)
    }

    /// Takes the steps, and then goes the straight way to where they have led.
    pub(crate) async fn judged(&self, ground: &Ground, quiet: Duration) -> Result<Run> {
        let mut trial = Trial::new(ground, quiet).await?;
        trial.start(OPTIONS)?;
        trial.create(&self.scene).await?;
        let mut walk = Walk {
            trial: &trial,
            spec: self.scene.clone(),
            objects: Objects::new(),
            findings: Vec::new(),
        };
        walk.settle("the scene").await?;
        walk.objects = walk.look().await?;
        for (step, back) in self.steps.iter().zip(&self.back) {
            walk.step(step, &self.schema, *back).await?;
        }
        let Walk {
            spec,
            objects,
            mut findings,
            ..
        } = walk;
        findings.extend(straight(ground, quiet, &spec, &objects).await?);
        let evidence = trial.evidence(0).await?;
        findings.extend(oracles::judge_undisturbed(&evidence, &[422]));
        trial.end().await?;
        Ok(Run {
            evidence,
            reached: true,
            findings,
        })
    }
}

impl Walk<'_, '_> {
    async fn settle(&mut self, what: &str) -> Result<()> {
        if let Err(error) = self.trial.settle(Outcome::Observed).await {
            self.found(OBSERVED_AND_QUIET, vec![format!("{what}: {error:#}")]);
        }
        Ok(())
    }

    fn found(&mut self, oracle: &'static str, wrong: Vec<String>) {
        self.findings.extend(findings(oracle, wrong));
    }

    async fn look(&self) -> Result<Objects> {
        let objects = self.trial.objects().await?;
        Ok(masked(&objects, &self.trial.namespace, Counters::Masked))
    }

    async fn step(&mut self, step: &Step, schema: &Value, back: bool) -> Result<()> {
        let next = step.applied(&self.spec, schema);
        let before = self.stored().await?;
        // What was there forbids some steps; the API server says so.
        if !self.trial.replace(&next).await? {
            return Ok(());
        }
        self.settle(&step.name).await?;
        let objects = self.look().await?;
        let after = self.stored().await?;
        let said = |spec| shows::said(&step.leaf.name(), get(spec, &step.leaf.path)).cloned();
        // Where there is an autoscaler, it says how many replicas there are.
        let is_void = step.leaf.name() == "replicas" && after["autoscaling"].is_object();
        let changed = !is_void && said(&before) != said(&after);
        let differ = changed_children(&self.objects, &objects);
        let is_illegal = reason(&objects) == Some("Invalid");
        // What only the API server knows to be wrong with a child: it stays, and the status says why.
        let is_refused = reason(&objects) == Some("ApplyRefused");
        if is_illegal && !differ.is_empty() {
            let wrong = format!("{}: {differ:?} changed though it is invalid", step.name);
            self.found(ILLEGAL_UNTOUCHED, vec![wrong]);
        }
        if step.is_illegal && !(is_illegal || is_refused) {
            let wrong = format!("{} is taken without a condition", step.name);
            self.found(ILLEGAL_UNTOUCHED, vec![wrong]);
        }
        if !(is_illegal || is_refused) {
            let wrong = shows(step, changed, &differ);
            self.found(FIELD_SHOWS, wrong);
        }
        // What a volume holds outlives the wish for it, and an autoscaler's number is its own.
        let stays = ["storage", "autoscaling"]
            .iter()
            .any(|field| step.leaf.name().starts_with(field));
        if !(back || is_illegal || is_refused || stays) {
            (self.spec, self.objects) = (next, objects);
            return Ok(());
        }
        if self.trial.replace(&self.spec.clone()).await? {
            self.settle(&format!("{}, and back", step.name)).await?;
            let now = self.look().await?;
            let wrong = different(&self.objects, &now);
            let wrong = wrong
                .into_iter()
                .map(|one| format!("{}, and back: {one}", step.name));
            self.found(GOES_BACK, wrong.collect());
            self.objects = now;
        } else {
            (self.spec, self.objects) = (next, objects);
        }
        Ok(())
    }

    /// The spec as the API server has it.
    async fn stored(&self) -> Result<Value> {
        Ok(self.trial.untyped_services().get(SERVICE).await?.data["spec"].clone())
    }
}

/// What a fresh OllamaService of that spec comes to, against what the steps have come to.
async fn straight(ground: &Ground, quiet: Duration, spec: &Value, walked: &Objects) -> Result<Vec<Finding>> {
    let mut trial = Trial::new(ground, quiet).await?;
    trial.start(OPTIONS)?;
    trial.create(spec).await?;
    let settled = trial.settle(Outcome::Observed).await;
    let mut wrong = findings(
        OBSERVED_AND_QUIET,
        settled
            .err()
            .map(|error| format!("the straight way: {error:#}"))
            .into_iter()
            .collect(),
    );
    let objects = masked(&trial.objects().await?, &trial.namespace, Counters::Masked);
    wrong.extend(findings(PATH_INDEPENDENT, different(&objects, walked)));
    trial.kill().await;
    trial.end().await?;
    Ok(wrong)
}

/// Where two ways have led to something else. Pods that find no node let those before them live on, and then the status tells
/// of them; but of no other models than the spec's.
fn different(expected: &Objects, found: &Objects) -> Vec<String> {
    let [mut expected, mut found] = [expected, found].map(without_kept);
    if has_unready(&expected) || has_unready(&found) {
        for objects in [&mut expected, &mut found] {
            objects.values_mut().for_each(only_models_of_status);
        }
    }
    differences(&expected, &found)
}

/// Leaves of a status the names of models.
fn only_models_of_status(object: &mut Value) {
    let models = object.pointer("/status/models").and_then(Value::as_array);
    let names: Vec<_> = models
        .into_iter()
        .flatten()
        .map(|model| model["name"].clone())
        .collect();
    if let Some(status) = object.get_mut("status") {
        *status = Value::Array(names);
    }
}

/// Whether not all of the Pods are ready that there should be.
fn has_unready(objects: &Objects) -> bool {
    let number = |object: String, path| objects.get(&object)?.pointer(path)?.as_u64();
    let wanted = number(format!("Deployment {SERVICE}"), "/spec/replicas");
    let ready = number(format!("OllamaService {SERVICE}"), "/status/readyReplicas");
    wanted.is_some_and(|wanted| ready.unwrap_or(0) != wanted)
}

/// Without what is kept on purpose when nothing asks for it any more: Secrets and volumes. How many replicas an autoscaler has
/// chosen is its own, with all that is told of their number.
fn without_kept(objects: &Objects) -> Objects {
    let mut objects = objects.clone();
    objects.retain(|name, _| !name.starts_with("Secret ") && !name.starts_with("PersistentVolumeClaim "));
    let is_autoscaled = objects
        .keys()
        .any(|name| name.starts_with("HorizontalPodAutoscaler ") || name.starts_with("ScaledObject "));
    if is_autoscaled {
        for object in objects.values_mut() {
            forget(
                object,
                &["replicas", "readyReplicas", "syncedReplicas", "message"],
            );
        }
    }
    objects
}

/// Takes away all fields of those names.
fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|field, _| !names.contains(&field.as_str()));
            fields.values_mut().for_each(|value| forget(value, names));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| forget(value, names)),
        _ => {}
    }
}

/// The reason of the condition Ready.
fn reason(objects: &Objects) -> Option<&str> {
    let service = objects.get(&format!("OllamaService {SERVICE}"))?;
    let conditions = service["status"]["conditions"].as_array()?;
    let ready = conditions.iter().find(|one| one["type"] == "Ready")?;
    ready["reason"].as_str()
}

/// Kinds of the children that differ.
fn changed_children(before: &Objects, after: &Objects) -> Vec<String> {
    let mut kinds: Vec<_> = before
        .keys()
        .chain(after.keys())
        .filter(|name| !name.starts_with("OllamaService ") && before.get(*name) != after.get(*name))
        .filter(|name| {
            ![before, after]
                .iter()
                .any(|objects| is_of_pod(objects.get(*name)))
        })
        .filter_map(|name| name.split(' ').next().map(str::to_owned))
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds
}

/// Whether a Pod has made it for itself, as it does with its own claims.
fn is_of_pod(object: Option<&Value>) -> bool {
    object.is_some_and(|object| object["metadata"]["ownerReferences"][0]["kind"] == "Pod")
}

/// Whether a changed field shows where it should, and nowhere else.
fn shows(step: &Step, changed: bool, differ: &[String]) -> Vec<String> {
    let expected = shows::kinds(&step.leaf.name());
    let mut wrong: Vec<_> = differ
        .iter()
        .filter(|kind| !expected.contains(&kind.as_str()))
        .map(|kind| format!("{}: {kind} changed", step.name))
        .collect();
    if changed && differ.is_empty() && !expected.is_empty() {
        wrong.push(format!("{}: none of {expected:?} changed", step.name));
    }
    wrong
}
