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

/// Measures corral-proxy against nginx and writes the figures as Markdown.
#[derive(Parser)]
struct Arguments {
    /// The proxy's binary; the one beside this binary without it.
    #[arg(long, value_name = "FILE")]
    proxy: Option<PathBuf>,
    /// Where the figures go.
    #[arg(long, value_name = "FILE", default_value = "docs/benchmarks.md")]
    output: PathBuf,
    /// Turns of each front; a turn takes about 6 seconds.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u8).range(1..=20))]
    rounds: u8,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
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
        front::corral(&proxy(arguments.proxy)?, folder.path(), backend, processors.front)?,
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

fn proxy(argument: Option<PathBuf>) -> Result<PathBuf> {
    let path = match argument {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name("corral-proxy"),
    };
    anyhow::ensure!(
        path.is_file(),
        "{} is not there: build it with `cargo build --release --bin corral-proxy`",
        path.display()
    );
    Ok(path)
}
