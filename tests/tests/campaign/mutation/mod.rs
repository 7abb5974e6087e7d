//! Every field of the definition's own schema is unset, emptied, put to its edges and beyond, and given values that mean
//! something. What the schema refuses must be refused; what is accepted must show where it belongs, must not matter on which
//! way it was come to, and must go when it is taken back.

mod chain;
mod schema;
mod shows;
mod steps;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::api::PostParams;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crash::Run;
use crate::ground::Ground;
use crate::oracles::{self, Finding, ILLEGAL_UNTOUCHED};
use crate::seeded::Seeded;
use crate::trial::Trial;

pub(crate) use chain::Chain;
use schema::{get, leaves, set};
use steps::{Step, Steps};

/// Steps of one chain.
const LINKS: usize = 8;

/// Specs that together have most fields: the cases by which the plan is tested.
pub(crate) const SCENES: [&str; 13] = [
    "everything",
    "pod-template",
    "runtime",
    "exposed",
    "autoscaled",
    "tokens",
    "keda",
    "claims",
    "combined",
    "policy",
    "models",
    "issued",
    "own-volumes",
];

pub(crate) fn scene(name: &str) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../operator/tests/cases/{name}.yaml"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for document in serde_yaml::Deserializer::from_str(&text) {
        let object = Value::deserialize(document)?;
        if object["kind"] == "OllamaService" {
            return Ok(object["spec"].clone());
        }
    }
    bail!("{} has no OllamaService", path.display())
}

/// What the API server says to each step, without any operator.
pub(crate) struct Sorted {
    /// Chains of steps that it allows, one for each field.
    pub(crate) chains: Vec<Chain>,
    /// How many steps it refused as it should.
    pub(crate) refused: usize,
    /// Steps that it should have refused.
    pub(crate) run: Run,
}

/// Tries every step on the API server, in the scene that has most of the way to the field. Of the legal ones with a field
/// one is drawn, or all are taken that have to do with those words; and all to values that mean something.
pub(crate) async fn sort(ground: &Ground, seeded: &Seeded, words: Option<&str>) -> Result<Sorted> {
    let mut trial = Trial::new(ground, Duration::ZERO).await?;
    let schema = schema::spec()?;
    let scenes = SCENES
        .into_iter()
        .map(|name| Ok((name, scene(name)?)))
        .collect::<Result<Vec<_>>>()?;
    let mut links: Vec<(usize, Step)> = Vec::new();
    let mut refused = 0;
    let mut findings = Vec::new();
    for leaf in leaves(&schema) {
        let depth = |(_, spec): &&(&str, Value)| schema::depth(spec, &leaf.path);
        let most = scenes.iter().map(|scene| depth(&scene)).max();
        let at = scenes
            .iter()
            .position(|scene| Some(depth(&scene)) == most)
            .unwrap_or(0);
        let spec = &scenes[at].1;
        let Steps {
            allowed,
            meaningful,
            refused: against,
            beyond_the_schema,
        } = Steps::of(&leaf, get(spec, &leaf.path));
        for step in against {
            if allows(&trial, &step.applied(spec, &schema)).await? {
                findings.push(Finding {
                    oracle: ILLEGAL_UNTOUCHED,
                    what: format!("{} is accepted", step.name),
                });
            } else {
                refused += 1;
            }
        }
        let [mut legal, mut meant] = [Vec::new(), Vec::new()];
        for (steps, legal) in [(allowed, &mut legal), (meaningful, &mut meant)] {
            for step in steps {
                if allows(&trial, &step.applied(spec, &schema)).await? {
                    legal.push(step);
                } else {
                    refused += 1;
                }
            }
        }
        links.extend(beyond_the_schema.into_iter().map(|step| (at, step)));
        let asked: Vec<_> = legal
            .iter()
            .filter(|step| words.is_some_and(|words| step.is_about(words)))
            .cloned()
            .collect();
        let drawn = seeded.draw(legal, 1);
        let chosen = if asked.is_empty() { drawn } else { asked };
        links.extend(chosen.into_iter().chain(meant).map(|step| (at, step)));
    }
    links.extend(taken_away(&trial, &schema, &scenes).await?);
    let mut chains = Vec::new();
    for (at, (name, spec)) in scenes.into_iter().enumerate() {
        let of_scene: Vec<_> = links
            .iter()
            .filter(|(of, _)| *of == at)
            .map(|(_, step)| step.clone())
            .collect();
        for (number, steps) in of_scene.chunks(LINKS).enumerate() {
            chains.push(Chain {
                name: format!("mutation/{name}-{number}"),
                scene: spec.clone(),
                schema: schema.clone(),
                back: steps.iter().map(|_| seeded.below(3) == 0).collect(),
                steps: steps.to_vec(),
            });
        }
    }
    let evidence = trial.evidence(0).await?;
    findings.extend(oracles::judge(&evidence, &[]));
    trial.end().await?;
    Ok(Sorted {
        chains,
        refused,
        run: Run {
            evidence,
            reached: true,
            findings,
        },
    })
}

/// Each field of each scene is taken away at last: some scenes have children that no other has.
async fn taken_away(
    trial: &Trial<'_>,
    schema: &Value,
    scenes: &[(&str, Value)],
) -> Result<Vec<(usize, Step)>> {
    let mut steps = Vec::new();
    for leaf in leaves(schema).iter().filter(|leaf| leaf.path.len() == 1) {
        for (at, (_, spec)) in scenes.iter().enumerate() {
            let step = Step::unset(leaf);
            if get(spec, &leaf.path).is_some() && allows(trial, &step.applied(spec, schema)).await? {
                steps.push((at, step));
            }
        }
    }
    Ok(steps)
}

impl Step {
    /// Whether it has to do with words that are those of a case, or of a field.
    fn is_about(&self, words: &str) -> bool {
        format!("mutation/{}", self.name).contains(words)
    }

    /// A spec with the step taken.
    fn applied(&self, spec: &Value, schema: &Value) -> Value {
        let mut spec = spec.clone();
        set(&mut spec, schema, &self.leaf.path, self.value.clone());
        spec
    }
}

/// Whether the API server would take an OllamaService of that spec.
async fn allows(trial: &Trial<'_>, spec: &Value) -> Result<bool> {
    let service = json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService",
        "metadata": {"name": "tried"}, "spec": spec});
    let parameters = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match trial
        .untyped_services()
        .create(&parameters, &serde_json::from_value(service)?)
        .await
    {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => Ok(false),
        Err(error) => Err(error).with_context(|| spec.to_string()),
    }
}
