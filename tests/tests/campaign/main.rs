//! The operator under faults, against a real API server with real controllers, and the oracles that judge it
//! (docs/campaign.md). `make test` runs a bounded part of it, drawn by a seed that is printed; `make campaign` all of it.

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
mod replicas;
mod report;
mod seeded;
mod trial;
mod views;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
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
use report::Report;
use seeded::Seeded;
use views::View;
use workloads::Workload;

/// What the workloads come to without a fault, by name.
type References = BTreeMap<&'static str, Arc<Evidence>>;

/// The operator under faults.
#[derive(Parser)]
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
    /// From what chance follows; printed by each run.
    #[arg(long, env = "CORRAL_CAMPAIGN_SEED")]
    seed: Option<u64>,
    /// How many trials run side by side.
    #[arg(long, default_value_t = 4)]
    at_once: usize,
    /// Another operator than the one of this workspace.
    #[arg(long)]
    operator: Option<PathBuf>,
}

/// A part of the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The operator is killed at every write.
    Crash,
    /// The API server refuses, fails or is away.
    Errors,
    /// The operator sees the cluster late, as it was, or twice.
    Views,
    /// Every field takes every kind of value.
    Mutation,
}

impl Part {
    /// How many of its cases a run that is not whole has.
    const fn few(self) -> usize {
        match self {
            Self::Crash => 8,
            Self::Errors => 3,
            Self::Views => 3,
            // What the API server must refuse is tried all the same.
            Self::Mutation => 0,
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

/// Runs it; says whether nothing was found.
async fn campaign(options: Options) -> Result<bool> {
    let seed = match options.seed {
        Some(seed) => seed,
        None => getrandom::u64()?,
    };
    println!("CORRAL_CAMPAIGN_SEED={seed}");
    let campaign = Campaign {
        ground: Ground::prepare(options.operator.clone()).await?,
        report: Report::new(),
        seeded: Seeded::new(seed),
        quiet: Duration::from_secs(if options.whole { 5 } else { 2 }),
        options,
    };
    let references = campaign.references().await;
    for part in Part::value_variants() {
        if campaign.options.part.is_none_or(|only| only == *part) {
            campaign.run(*part, &references).await;
        }
    }
    let everything =
        campaign.options.whole && campaign.options.case.is_none() && campaign.options.part.is_none();
    let granted = if everything {
        oracles::granted(&campaign.ground.permissions)
    } else {
        BTreeSet::new()
    };
    Ok(campaign.report.end(seed, &granted))
}

/// A campaign under way.
struct Campaign {
    ground: Ground,
    report: Report,
    seeded: Seeded,
    quiet: Duration,
    options: Options,
}

impl Campaign {
    /// Runs so many at a time.
    async fn all<T>(&self, cases: Vec<LocalBoxFuture<'_, T>>) -> Vec<T> {
        stream::iter(cases)
            .buffer_unordered(self.options.at_once)
            .collect()
            .await
    }

    /// The cases that are asked for: all with that name, or in a run that is not whole a few that are drawn.
    fn chosen<C>(&self, part: Part, mut cases: Vec<C>, name: impl Fn(&C) -> String) -> Vec<C> {
        match &self.options.case {
            Some(wanted) => cases.retain(|case| name(case).contains(wanted)),
            None if !self.options.whole => cases = self.seeded.draw(cases, part.few()),
            None => {}
        }
        cases
    }

    async fn run(&self, part: Part, references: &References) {
        let workloads = workloads::all();
        let with_reference = |name: &str| {
            let workload = workloads.iter().find(|workload| workload.name == name)?;
            Some((workload.clone(), references.get(name)?.clone()))
        };
        let cases = match part {
            Part::Crash => self.crashes(&workloads, references),
            Part::Errors => {
                let cases = self.chosen(part, errors::all(self.options.whole), errors::Case::name);
                let cases = cases.into_iter().filter_map(|case| {
                    let (workload, reference) = with_reference(case.workload)?;
                    Some(self.case("errors", case.name(), async move {
                        case.judged(&self.ground, self.quiet, &workload, reference).await
                    }))
                });
                cases.collect()
            }
            Part::Views => {
                let views = self.chosen(part, views::all(), View::name);
                let cases = views.into_iter().map(|view| {
                    let reference = view.workload().and_then(with_reference);
                    self.case("views", view.name(), async move {
                        let reference = reference
                            .as_ref()
                            .map(|(workload, reference)| (workload, reference.clone()));
                        view.judged(&self.ground, self.quiet, reference).await
                    })
                });
                cases.collect()
            }
            Part::Mutation => self.chains().await,
        };
        self.all(cases).await;
    }

    fn crashes(&self, workloads: &[Workload], references: &References) -> Vec<LocalBoxFuture<'_, ()>> {
        let mut cases = Vec::new();
        for workload in workloads {
            if let Some(reference) = references.get(workload.name) {
                let crashes = Crash::all(reference).into_iter();
                cases.extend(crashes.map(|crash| (workload.clone(), crash, reference.clone())));
            }
        }
        let name = |(workload, crash, _): &(Workload, Crash, _)| format!("crash/{}/{crash}", workload.name);
        let cases = self.chosen(Part::Crash, cases, name);
        let cases = cases.into_iter().map(|case| {
            let name = name(&case);
            let (workload, crash, reference) = case;
            self.case("crashes", name, async move {
                crash::judged(&self.ground, self.quiet, &workload, &crash, reference).await
            })
        });
        cases.collect()
    }

    async fn chains(&self) -> Vec<LocalBoxFuture<'_, ()>> {
        let sorted = mutation::sort(&self.ground, &self.seeded).await;
        let (mut chains, run) = match sorted {
            Ok(sorted) => {
                self.report.count("illegal steps refused", sorted.refused);
                (sorted.chains, Ok(sorted.run))
            }
            Err(error) => (Vec::new(), Err(error)),
        };
        drop(self.report.case("schemas", "mutation/every illegal step", run));
        match &self.options.case {
            Some(words) => {
                chains = chains
                    .into_iter()
                    .filter_map(|chain| chain.about(words))
                    .collect();
            }
            None => chains = self.chosen(Part::Mutation, chains, |chain| chain.name.clone()),
        }
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

    /// Runs the workloads without a fault, as far as the cases that are asked for may be compared with them.
    async fn references(&self) -> References {
        let mut workloads = workloads::all();
        if let Some(case) = &self.options.case {
            let named: Vec<_> = workloads
                .iter()
                .filter(|one| case.contains(one.name))
                .cloned()
                .collect();
            if !named.is_empty() {
                workloads = named;
            }
        }
        let references = workloads.iter().map(|workload| {
            async move {
                let run = crash::run(&self.ground, self.quiet, workload, None).await;
                let name = format!("reference/{}", workload.name);
                let evidence = self.report.case("reference runs", &name, run)?;
                Some((workload.name, Arc::new(evidence)))
            }
            .boxed_local()
        });
        let references = self.all(references.collect()).await;
        references.into_iter().flatten().collect()
    }
}
