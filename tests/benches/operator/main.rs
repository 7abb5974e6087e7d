//! `make bench-operator`: the operator with hundreds and thousands of OllamaServices, beside ollama-operator with as
//! many Models, each on a control plane of its own: a real etcd, kube-apiserver, kube-controller-manager and kube-scheduler.

mod floor;
mod goals;
mod ground;
mod journal;
mod kept;
#[path = "../../tests/operator/mounted.rs"]
mod mounted;
mod reactions;
mod replicas;
mod report;
mod running;
mod scale;
mod shared;
mod spent;
mod subject;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use corral_tests::progress;
use serde::{Deserialize, Serialize};

use crate::ground::Ground;
use crate::reactions::{Alone, Repair};
use crate::scale::Scale;
use crate::shared::Shared;
use crate::subject::Subject;

/// Where the figures go.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks-operator.md");

/// Room for Pods that come and go while things are measured.
const SPARE_PODS: u32 = 300;

/// Measures corral-operator beside ollama-operator and writes the figures as Markdown.
#[derive(Parser)]
struct Arguments {
    /// Where the figures go; pictures go into a folder of that name beside it.
    #[arg(long, value_name = "FILE", default_value = REPORT)]
    output: PathBuf,
    /// How many custom resources, one measurement each. The figures of earlier calls are kept as long as the program is the
    /// same.
    #[arg(long, value_name = "N", value_delimiter = ' ', num_args = 1.., default_value = "100 1000 5000", value_parser = clap::value_parser!(u32).range(100..=10_000))]
    counts: Vec<u32>,
    /// Measure this program in place of the operator as its image has it, which is made if need be.
    #[arg(long, value_name = "PROGRAM")]
    program: Option<PathBuf>,
    /// With so many custom resources, as many more share a Secret.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    sharing: u32,
    /// A program of ollama-operator (github.com/nekomeowww/ollama-operator) to measure beside it.
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "OLLAMA_OPERATOR",
        requires = "rival_definition"
    )]
    rival: Option<PathBuf>,
    /// The definition of Model that comes with it.
    #[arg(long, value_name = "FILE", env = "OLLAMA_OPERATOR_DEFINITION")]
    rival_definition: Option<PathBuf>,
    /// The most custom resources of ollama-operator, which takes minutes for a thousand.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    rival_up_to: u32,
    /// How long the operator is left with nothing to do, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    idle: u64,
    /// Measure only what many at once take.
    #[arg(long)]
    without_reactions: bool,
    /// Given by `cargo bench`; without it, as under `cargo test --benches`, there is nothing to do.
    #[arg(long, hide = true)]
    bench: bool,
}

/// All that was measured.
struct Figures {
    corral: Vec<Measured>,
    rival: Rival,
}

/// What came of the other operator.
enum Rival {
    Measured(Vec<Measured>),
    /// Why not.
    LeftOut(String),
}

/// An operator with one number of custom resources.
#[derive(Serialize, Deserialize)]
struct Measured {
    subject: String,
    /// What the machine said of itself before the start.
    machine: String,
    scale: Scale,
    /// Until a bare client has made the same objects; of Corral's operator only.
    floor: Option<Duration>,
    alone: Option<Alone>,
    reactions: Option<Reactions>,
}

/// What only Corral is asked: others don't react to these changes at all.
#[derive(Serialize, Deserialize)]
struct Reactions {
    not_ready: Vec<Duration>,
    repairs: Vec<Repair>,
    changes: Vec<Duration>,
    shared: Option<Shared>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("not measured: `cargo bench` does that");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let figures = runtime.block_on(measure(&arguments))?;
    let text = report::write(&arguments.output, &figures)
        .with_context(|| format!("write {}", arguments.output.display()))?;
    println!("{text}\nwritten to {}", arguments.output.display());
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Figures> {
    let program = arguments.program.clone();
    let corral = tokio::task::spawn_blocking(move || Subject::corral(program)).await??;
    for count in &arguments.counts {
        let mut measured = measure_corral(&corral, arguments, *count).await?;
        measured.floor = Some(floor::measure(&corral, *count).await?);
        kept::keep(&corral.program, measured)?;
    }
    Ok(Figures {
        corral: kept::all(&corral.program)?,
        rival: rival(arguments).await,
    })
}

async fn rival(arguments: &Arguments) -> Rival {
    let (Some(program), Some(definition)) = (&arguments.rival, &arguments.rival_definition) else {
        let why = "its module is not to be had from the Go module proxy; OLLAMA_OPERATOR and OLLAMA_OPERATOR_DEFINITION name a \
                   program of it and the definition of Model";
        progress::say(&format!("ollama-operator is not measured: {why}"));
        return Rival::LeftOut(why.to_owned());
    };
    match measure_rival(program.clone(), definition, arguments).await {
        Ok(measured) => Rival::Measured(measured),
        Err(error) => {
            progress::say(&format!("ollama-operator is not measured: {error:#}"));
            Rival::LeftOut(format!("{error:#}"))
        }
    }
}

async fn measure_rival(program: PathBuf, definition: &Path, arguments: &Arguments) -> Result<Vec<Measured>> {
    let subject = Subject::ollama_operator(program, definition)?;
    for count in arguments
        .counts
        .iter()
        .filter(|count| **count <= arguments.rival_up_to)
    {
        kept::keep(
            &subject.program,
            measure_scale(&subject, arguments, *count).await?,
        )?;
    }
    kept::all(&subject.program)
}

/// How long so many may take before the measurement is given up.
fn limit(count: u32) -> Duration {
    Duration::from_secs(120) + Duration::from_millis(500) * count
}

async fn measure_scale(subject: &Subject, arguments: &Arguments, count: u32) -> Result<Measured> {
    let ground = Ground::prepare(subject, count + SPARE_PODS).await?;
    let (measured, _) = all_of_scale(&ground, arguments, count)
        .await
        .with_context(|| ground.log())?;
    Ok(measured)
}

async fn measure_corral(subject: &Subject, arguments: &Arguments, count: u32) -> Result<Measured> {
    let sharing = if count == arguments.sharing { count } else { 0 };
    let ground = Ground::prepare(subject, count + sharing + SPARE_PODS).await?;
    let (mut measured, running) = all_of_scale(&ground, arguments, count)
        .await
        .with_context(|| ground.log())?;
    if arguments.without_reactions {
        return Ok(measured);
    }
    measured.reactions = Some(Reactions {
        not_ready: reactions::not_ready(&ground).await?,
        repairs: reactions::repairs(&ground).await?,
        changes: reactions::changes(&ground, count, 200).await?,
        shared: match sharing {
            0 => None,
            sharing => Some(shared::measure(&ground, &running, sharing, limit(sharing)).await?),
        },
    });
    Ok(measured)
}

async fn all_of_scale<'a>(
    ground: &'a Ground<'_>,
    arguments: &Arguments,
    count: u32,
) -> Result<(Measured, running::Running<'a>)> {
    let limit = limit(count);
    let mut running = ground.start().await?;
    running.ready().await?;
    running.quiet(limit).await?;
    let memory_before = running.memory()?;
    let alone = reactions::alone(ground).await?;
    let made = scale::make(ground, &mut running, count, limit).await?;
    let memory = running.memory()?;
    let children = scale::children(ground).await?;
    let idle = scale::idle(ground, &running, Duration::from_secs(arguments.idle)).await?;
    let (restart, running) = scale::restart(ground, running, count, limit).await?;
    let measured = Measured {
        subject: ground.subject.name.clone(),
        machine: ground.machine.clone(),
        scale: Scale {
            count,
            memory_before,
            made,
            memory,
            children,
            idle,
            restart,
        },
        floor: None,
        alone: Some(alone),
        reactions: None,
    };
    Ok((measured, running))
}
