//! The operator under faults, against a real API server with real controllers, and the oracles that judge it
//! (docs/campaign.md). `make test` runs a bounded part of it, drawn by a seed that is printed; `make campaign` all of it, and
//! `make campaign-bugs` says whether it would find what is wrong with an operator.

mod bugs;
mod crash;
mod errors;
mod evidence;
mod ground;
mod journal;
mod kinds;
mod masks;
#[path = "../operator/mounted.rs"]
mod mounted;
mod mutation;
mod operator;
mod oracles;
mod references;
mod replicas;
mod report;
mod rights;
mod seeded;
mod trial;
mod views;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use corral_tests::progress;
use futures::{FutureExt, StreamExt, future::LocalBoxFuture, stream};

use crash::{Crash, Run};
use evidence::Evidence;
use ground::Ground;
use references::References;
use report::Report;
use rights::{Rights, WithoutSecrets};
use seeded::Seeded;
use views::View;
use workloads::Workload;

/// The operator under faults.
#[derive(Clone, Parser)]
struct Options {
    /// Run everything, not only a part that is drawn by the seed.
    #[arg(long)]
    whole: bool,
    /// Run one part only.
    #[arg(long, value_enum)]
    part: Option<Part>,
    /// Run only cases whose names have this in them, all of these.
    #[arg(long)]
    case: Option<String>,
    /// Plant bugs in the operator and see that each is found; only those whose names have this in them.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["whole", "part", "case", "operator"])]
    bugs: Option<String>,
    /// From what chance follows; printed by each run.
    #[arg(long, env = "CORRAL_CAMPAIGN_SEED")]
    seed: Option<u64>,
    /// How many trials run side by side.
    #[arg(long, default_value_t = 8)]
    at_once: usize,
    /// Another operator than the one of this workspace.
    #[arg(long)]
    operator: Option<PathBuf>,
}

impl Options {
    /// The rights of which nothing may be left unused.
    const fn used_up(&self) -> &'static [Rights] {
        match self {
            Self { whole: false, .. } | Self { case: Some(_), .. } => &[],
            Self { part: None, .. } => &Rights::ALL,
            Self {
                part: Some(Part::Rights),
                ..
            } => &[Rights::NoSecrets],
            Self { part: Some(_), .. } => &[],
        }
    }
}

/// A part of the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every workload without a fault.
    Reference,
    /// The operator is killed at every write.
    Crash,
    /// The API server refuses, fails or is away.
    Errors,
    /// The operator sees the cluster late, as it was, or twice.
    Views,
    /// Everything is made and taken away by an operator that may do nothing with Secrets.
    Rights,
    /// Every field takes every kind of value.
    Mutation,
}

impl Part {
    /// How many of its cases a run that is not whole has; none where it has all.
    const fn few(self) -> Option<usize> {
        match self {
            Self::Reference => None,
            Self::Crash => Some(8),
            Self::Errors => Some(3),
            Self::Views => Some(3),
            Self::Rights => Some(1),
            // What the API server must refuse is tried all the same.
            Self::Mutation => Some(0),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match campaign(Options::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress::say(&format!("Error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs it; says whether nothing was found, or every planted bug.
async fn campaign(options: Options) -> Result<bool> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => getrandom::u64()?,
    };
    println!("CORRAL_CAMPAIGN_SEED={seed}");
    let ground = Ground::prepare(options.operator.clone()).await?;
    if let Some(words) = &options.bugs {
        return bugs::all_found(ground, words, &options, seed).await;
    }
    let campaign = Campaign::new(ground, options, seed);
    campaign.run().await;
    let granted = |rights: &Rights| (*rights, oracles::granted(campaign.ground.granted(*rights)));
    let granted = campaign.options.used_up().iter().map(granted).collect();
    Ok(campaign.report.end(seed, &granted))
}

/// A campaign under way.
struct Campaign {
    ground: Ground,
    report: Report,
    references: References,
    seeded: Seeded,
    quiet: Duration,
    options: Options,
}

impl Campaign {
    fn new(ground: Ground, options: Options, seed: u64) -> Self {
        Self {
            ground,
            report: Report::new(),
            references: References::new(),
            seeded: Seeded::new(seed),
            quiet: Duration::from_secs(if options.whole { 5 } else { 2 }),
            options,
        }
    }

    /// Runs the parts that are asked for, so many cases at a time.
    async fn run(&self) {
        for part in Part::value_variants() {
            if self.is_wanted(*part) {
                let cases = self.cases(*part).await;
                let mut cases = stream::iter(cases).buffer_unordered(self.options.at_once);
                while cases.next().await.is_some() {}
            }
        }
    }

    /// Whether a part is asked for, or may have the cases that are: their names begin with that of their part.
    fn is_wanted(&self, part: Part) -> bool {
        let case = self.options.case.as_deref().unwrap_or_default();
        let (of, _) = case.split_once('/').unwrap_or_default();
        let of = Part::from_str(of, false).ok();
        [self.options.part, of]
            .into_iter()
            .flatten()
            .all(|only| only == part)
    }

    /// The cases that are asked for: all with that name, or in a run that is not whole a few that are drawn.
    fn chosen<C>(&self, part: Part, mut cases: Vec<C>, name: impl Fn(&C) -> String) -> Vec<C> {
        match (&self.options.case, part.few()) {
            (Some(wanted), _) => cases.retain(|case| name(case).contains(wanted)),
            (None, Some(few)) if !self.options.whole => cases = self.seeded.draw(cases, few),
            (None, _) => {}
        }
        cases
    }

    async fn reference(&self, name: &str) -> Result<(&Workload, Arc<Evidence>)> {
        self.references
            .get(name, &self.ground, self.quiet, &self.report)
            .await
    }

    async fn cases(&self, part: Part) -> Vec<LocalBoxFuture<'_, ()>> {
        match part {
            Part::Reference => {
                let names = self.references.names().collect();
                let names = self.chosen(part, names, |name| format!("reference/{name}"));
                let run = |name| async move { drop(self.reference(name).await) }.boxed_local();
                names.into_iter().map(run).collect()
            }
            Part::Crash => self.crashes().await,
            Part::Errors => {
                let cases = self.chosen(part, errors::all(self.options.whole), errors::Case::name);
                let cases = cases.into_iter().map(|case| {
                    self.case("errors", case.name(), async move {
                        let (workload, reference) = self.reference(case.workload).await?;
                        case.judged(&self.ground, self.quiet, workload, reference).await
                    })
                });
                cases.collect()
            }
            Part::Views => {
                let views = self.chosen(part, views::all(), View::name);
                let cases = views.into_iter().map(|view| {
                    self.case("views", view.name(), async move {
                        let reference = match view.workload() {
                            Some(name) => Some(self.reference(name).await?),
                            None => None,
                        };
                        view.judged(&self.ground, self.quiet, reference).await
                    })
                });
                cases.collect()
            }
            Part::Rights => {
                let scenes = mutation::SCENES.map(|scene| WithoutSecrets { scene });
                let scenes = self.chosen(part, scenes.to_vec(), WithoutSecrets::name);
                let cases = scenes.into_iter().map(|scene| {
                    self.case("rights", scene.name(), async move {
                        scene.judged(&self.ground, self.quiet).await
                    })
                });
                cases.collect()
            }
            Part::Mutation => self.chains().await,
        }
    }

    /// Crashes at each write of the workloads. Which those are, their runs without a fault say.
    async fn crashes(&self) -> Vec<LocalBoxFuture<'_, ()>> {
        let name = |workload: &str, crash: &Crash| format!("crash/{workload}/{crash}");
        let asked = self.options.case.as_deref().unwrap_or_default();
        let is_asked = |workload: &&str| {
            let prefix = format!("crash/{workload}/");
            !asked.starts_with("crash/") || asked.starts_with(&prefix) || prefix.starts_with(asked)
        };
        let references = stream::iter(self.references.names().filter(is_asked))
            .map(|workload| self.reference(workload))
            .buffered(self.options.at_once);
        let crashes = references.flat_map(|reference| {
            let crashes = reference.map_or_else(
                // Its own case has said why.
                |_| Vec::new(),
                |(workload, reference)| {
                    let crashes = Crash::all(&reference).into_iter();
                    crashes.map(|crash| (workload.name, crash)).collect()
                },
            );
            stream::iter(crashes)
        });
        let crashes = crashes.collect().await;
        let crashes = self.chosen(Part::Crash, crashes, |(workload, crash)| name(workload, crash));
        let cases = crashes.into_iter().map(|(workload, crash)| {
            self.case("crashes", name(workload, &crash), async move {
                let (workload, reference) = self.reference(workload).await?;
                crash::judged(&self.ground, self.quiet, workload, &crash, reference).await
            })
        });
        cases.collect()
    }

    async fn chains(&self) -> Vec<LocalBoxFuture<'_, ()>> {
        let words = self.options.case.as_deref();
        let sorted = mutation::sort(&self.ground, &self.seeded, words).await;
        let (mut chains, run) = match sorted {
            Ok(sorted) => {
                self.report.count("illegal steps refused", sorted.refused);
                (sorted.chains, Ok(sorted.run))
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        drop(self.report.case("schemas", "mutation/every illegal step", run));
        chains = match words {
            Some(words) => chains
                .into_iter()
                .filter_map(|chain| chain.about(words))
                .collect(),
            None => self.chosen(Part::Mutation, chains, |chain| chain.name.clone()),
        };
        self.report
            .count("legal steps", chains.iter().map(|chain| chain.steps.len()).sum());
        let cases = chains.into_iter().map(|chain| {
            self.case("chains", chain.name.clone(), async move {
                chain.judged(&self.ground, self.quiet).await
            })
        });
        cases.collect()
    }

    /// A case that is told of when it has been run.
    fn case<'a>(
        &'a self,
        kind: &'static str,
        name: String,
        run: impl Future<Output = Result<Run>> + 'a,
    ) -> LocalBoxFuture<'a, ()> {
        async move {
            drop(self.report.case(kind, &name, run.await));
        }
        .boxed_local()
    }
}
