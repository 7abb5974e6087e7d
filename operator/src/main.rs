//! The binary `corral-operator`.

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use corral_operator::cli::{Cli, Command, LogFormat, RenderOptions, RunOptions};
use corral_operator::{crd, render, run};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run(*options),
        Command::Crds => print_definition(),
        Command::Render(options) => print_rendered(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corral-operator: {error}");
            ExitCode::from(2)
        }
    }
}

/// On one thread: it mostly waits, and each thread's share of the heap has gaps of its own.
#[tokio::main(flavor = "current_thread")]
async fn run(options: RunOptions) -> Outcome {
    log(options.log_level.clone(), options.log_format);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
    run::run(options)
        .await
        .inspect_err(|error| tracing::error!(%error, "ending"))?;
    tracing::info!("ended");
    Ok(())
}

fn log(levels: Targets, format: LogFormat) {
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => log.finish().with(levels).init(),
        LogFormat::Json => log.json().flatten_event(true).finish().with(levels).init(),
    }
}

fn print_definition() -> Outcome {
    print(&serde_yaml::to_string(&crd::definition())?)
}

fn print_rendered(options: &RenderOptions) -> Outcome {
    let text = read(&options.file).map_err(|error| format!("{}: {error}", options.file.display()))?;
    let rendered = render::render(&text, &options.plan)
        .map_err(|error| format!("{}: {error}", options.file.display()))?;
    print(&rendered)
}

fn read(file: &Path) -> io::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file)
}

/// Whoever reads the output may stop early, as `head` does.
fn print(text: &str) -> Outcome {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
