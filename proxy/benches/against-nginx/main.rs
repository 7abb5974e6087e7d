//! `make bench`: the release proxy with API keys against nginx without authentication, before the same fake Ollama.
//!
//! Each front has one worker thread, alone on one processor; the fake Ollama and the clients share the others. The
//! fronts take turns in short rounds, so that whatever else the machine does meets all of them alike, and what is
//! compared is compared within a round.

mod backend;
mod clock;
mod front;
mod load;
mod machine;
mod report;
mod statistics;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

use crate::front::Front;
use crate::load::Measurement;

/// Where the figures go.
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");

/// Measures corral-proxy against nginx and writes the figures as Markdown.
#[derive(Parser)]
struct Arguments {
    /// Where the figures go.
    #[arg(long, value_name = "FILE", default_value = REPORT)]
    output: PathBuf,
    /// Turns of each front; a turn takes about 7 seconds.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=8))]
    rounds: u8,
    /// Given by `cargo bench`; without it, as under `cargo test --benches`, there is nothing to do.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !arguments.bench {
        println!("not measured: `cargo bench` does that");
        return Ok(());
    }
    let processors = machine::Processors::split()?;
    let machine = machine::describe()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let backend = backend::start()?;
    let folder = tempfile::tempdir()?;
    let fronts = [
        Front::none(backend),
        front::nginx(folder.path(), backend, processors.front)?,
        front::corral(folder.path(), backend, processors.front)?,
    ];
    runtime.block_on(fronts[2].refuses_strangers())?;
    let rounds: Vec<_> = (0..arguments.rounds)
        .map(|number| round(&runtime, &fronts, usize::from(number), folder.path()))
        .collect::<Result<_>>()?;
    let text = report::render(&machine, &fronts, &rounds);
    std::fs::write(&arguments.output, &text)
        .with_context(|| format!("write {}", arguments.output.display()))?;
    println!("{text}\nwritten to {}", arguments.output.display());
    Ok(())
}

/// One turn of each front; who begins changes from round to round.
fn round(
    runtime: &tokio::runtime::Runtime,
    fronts: &[Front; 3],
    number: usize,
    folder: &std::path::Path,
) -> Result<[Measurement; 3]> {
    let mut measured = [None, None, None];
    for turn in 0..fronts.len() {
        let index = (turn + number) % fronts.len();
        let front = &fronts[index];
        let measurement = load::measure(runtime, front, folder).with_context(|| front.name.clone())?;
        eprintln!(
            "round {}: {:<40} {:>7.0} requests/s",
            number + 1,
            front.name,
            measurement.gets.per_second
        );
        measured[index] = Some(measurement);
    }
    let [Some(none), Some(nginx), Some(corral)] = measured else {
        anyhow::bail!("a front missed its turn")
    };
    Ok([none, nginx, corral])
}
