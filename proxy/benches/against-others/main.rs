//! `make bench-proxy`: the release proxy with everything on, against what people put before Ollama today, before the same
//! fake Ollama.
//!
//! Each front has one worker thread, alone on one processor; the fake Ollama and the clients share the others.

mod backend;
mod clock;
mod figures;
mod flood;
mod footprint;
mod fronts;
mod goals;
mod idle;
mod instructions;
mod load;
mod machine;
mod reload;
mod report;
mod rounds;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use http::StatusCode;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::figures::Figures;
use crate::fronts::{Corral, Front, Place, Start, forwarder, haproxy, nginx};
use crate::instructions::Instructions;
use crate::load::{requests, streams};
use crate::rounds::{REQUEST_SECONDS, Rounds};

/// Where the figures go.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");

/// Measures corral-proxy against others and writes the figures as Markdown.
#[derive(Parser)]
struct Arguments {
    /// Where the figures go; pictures go into a folder of that name beside it.
    #[arg(long, value_name = "FILE", default_value = REPORT)]
    output: PathBuf,
    /// Turns of each front, of which streams have twice as many: whatever takes a processor from them for some
    /// milliseconds once in a while decides their 99th percentile.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=8))]
    rounds: u8,
    /// Measure this part alone, and say what came out instead of writing it.
    #[arg(long, value_enum, value_name = "PART")]
    only: Option<Part>,
    /// Be the bare forwarder: LISTEN,UPSTREAM.
    #[arg(long, hide = true, value_delimiter = ',')]
    forward: Vec<SocketAddr>,
    /// Given by `cargo bench`; without it, as under `cargo test --benches`, there is nothing to do.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured alone: what a change of the proxy is judged by, whatever else the machine does.
#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Instructions for a request.
    Instructions,
    /// Small requests.
    Requests,
    /// What is added to a token.
    Streams,
    /// Memory of an idle stream.
    Idle,
    /// What a flood of wrong passwords does.
    Flood,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("not measured: `cargo bench` does that");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let [listen, upstream] = arguments.forward[..] {
        return runtime.block_on(forwarder::forward(listen, upstream));
    }
    if let Some(part) = arguments.only {
        println!("{}", measure_one(&runtime, part, usize::from(arguments.rounds))?);
        return Ok(());
    }
    let figures = measure(&runtime, usize::from(arguments.rounds))?;
    let text = report::write(&arguments.output, &figures)
        .with_context(|| format!("write {}", arguments.output.display()))?;
    println!("{text}\nwritten to {}", arguments.output.display());
    Ok(())
}

fn measure(runtime: &Runtime, rounds: usize) -> Result<Figures> {
    let machine = corral_measure::machine::describe()?;
    let ground = Ground::prepare()?;
    let place = ground.one_processor();
    let streams = streams_of(runtime, &ground, 2 * rounds)?;
    Ok(Figures {
        machine,
        requests: requests_of(runtime, &place, rounds)?,
        streams,
        idle: idle_streams(runtime, &place)?,
        instructions: instructions_of(runtime, &place)?,
        footprints: FOOTPRINTS
            .into_iter()
            .map(|start| footprint::measure(&place, start))
            .collect::<Result<_>>()?,
        program_size: footprint::program_size()?,
        flood: flood::measure(runtime, &ground.every_processor())?,
        reload: reload::measure(runtime, &place)?,
    })
}

fn measure_one(runtime: &Runtime, part: Part, rounds: usize) -> Result<String> {
    let ground = Ground::prepare()?;
    let place = ground.one_processor();
    Ok(match part {
        Part::Requests => report::request_rows(&requests_of(runtime, &place, rounds)?),
        Part::Streams => report::token_rows(&streams_of(runtime, &ground, rounds)?),
        Part::Instructions => report::instruction_rows(&instructions_of(runtime, &place)?),
        Part::Idle => report::idle_rows(&idle_streams(runtime, &place)?),
        Part::Flood => report::flood_sentence(&flood::measure(runtime, &ground.every_processor())?),
    })
}

/// What all measurements share.
struct Ground {
    processors: machine::Processors,
    backend: SocketAddr,
    folder: TempDir,
}

impl Ground {
    fn prepare() -> Result<Self> {
        Ok(Self {
            processors: machine::Processors::split()?,
            backend: backend::start()?,
            folder: tempfile::tempdir()?,
        })
    }

    fn one_processor(&self) -> Place<'_> {
        Place::pinned(
            self.folder.path(),
            self.backend,
            &self.processors.front.to_string(),
        )
    }

    fn every_processor(&self) -> Place<'_> {
        Place::pinned(self.folder.path(), self.backend, &self.processors.all)
    }
}

/// The bare forwarder first: the others are compared with it.
const INSTRUCTIONS: [Start; 6] = [
    forwarder::start,
    nginx::open,
    haproxy::open,
    Corral::api_key,
    Corral::password,
    Corral::token,
];
const FOOTPRINTS: [Start; 4] = [forwarder::start, nginx::open, haproxy::open, Corral::api_key];

fn instructions_of(runtime: &Runtime, place: &Place<'_>) -> Result<Vec<Instructions>> {
    INSTRUCTIONS
        .into_iter()
        .map(|start| instructions::measure(runtime, place, start))
        .collect()
}

fn start_all(place: &Place<'_>, fronts: &[Start]) -> Result<Vec<Front>> {
    fronts.iter().map(|start| start(place)).collect()
}

fn requests_of(runtime: &Runtime, place: &Place<'_>, count: usize) -> Result<Rounds<rounds::Requested>> {
    let fronts = start_all(place, &fronts::ALL)?;
    for front in &fronts {
        runtime.block_on(knows_its_clients(front))?;
    }
    Rounds::measure("requests", &fronts, count, |front| {
        requests::measure(front, place.folder, REQUEST_SECONDS)
    })
}

/// A benchmark of a front that lets everybody in, and says that it doesn't, would be worth nothing.
async fn knows_its_clients(front: &Front) -> Result<()> {
    let stranger = if front.asks_for_credentials {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::OK
    };
    let cases = [
        (Some(front.authorization.as_str()), StatusCode::OK),
        (Some("Bearer x"), stranger),
        (None, stranger),
    ];
    for (authorization, expected) in cases {
        let mut connection = streams::connect(front.address).await?;
        let status = streams::status(&mut connection, front.address, authorization).await?;
        ensure!(
            status == expected,
            "{} answers {status} to {authorization:?} instead of {expected}",
            front.name
        );
    }
    Ok(())
}

fn streams_of(runtime: &Runtime, ground: &Ground, count: usize) -> Result<Rounds<rounds::Streamed>> {
    let place = Place {
        backend: backend::start_beside_clients(runtime)?,
        ..ground.one_processor()
    };
    let fronts = start_all(&place, &fronts::OPEN_AND_CORRAL)?;
    Rounds::of_streams(runtime, &fronts, count)
}

fn idle_streams(runtime: &Runtime, place: &Place<'_>) -> Result<Vec<(String, f64)>> {
    let mut measured = Vec::new();
    for start in fronts::OPEN_AND_CORRAL {
        let front = start(place)?;
        eprintln!("idle streams: {}", front.name);
        if let Some(bytes) = runtime
            .block_on(idle::measure(&front))
            .with_context(|| front.name.clone())?
        {
            measured.push((front.name.clone(), bytes));
        }
    }
    Ok(measured)
}
