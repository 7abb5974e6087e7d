//! Entry point of `corral-proxy`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use corral_proxy::config::LogFormat;
use corral_proxy::config::flags::Flags;
use corral_proxy::config::load::Loaded;
use corral_proxy::run::run;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

mod check;

/// The authenticating, streaming proxy in front of Ollama.
#[derive(Parser)]
#[command(name = "corral-proxy", version)]
struct Arguments {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Checks the configuration and the credential files, and says what they mean.
    Check,
}

/// A flag or a file is wrong.
const BAD_INPUT: u8 = 2;

#[expect(
    clippy::print_stderr,
    reason = "errors of the command line go to whoever typed it"
)]
fn main() -> ExitCode {
    let (arguments, loaded) = match arguments().and_then(load) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    match arguments.command {
        Some(Command::Check) => check::check(&loaded),
        None => serve(arguments.flags, loaded),
    }
    .unwrap_or_else(|message| {
        eprintln!("corral-proxy: {message}");
        ExitCode::from(BAD_INPUT)
    })
}

/// Reads the command line and the environment. Of what clap says of a mistake, the first line is enough.
#[expect(
    clippy::print_stderr,
    reason = "errors of the command line go to whoever typed it"
)]
fn arguments() -> Result<Arguments, ExitCode> {
    Arguments::try_parse().map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return if error.print().is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        let message = error.to_string();
        let line = message
            .lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("error: ");
        eprintln!("corral-proxy: {line} (see corral-proxy --help)");
        ExitCode::from(BAD_INPUT)
    })
}

#[expect(
    clippy::print_stderr,
    reason = "errors of the command line go to whoever typed it"
)]
fn load(arguments: Arguments) -> Result<(Arguments, Loaded), ExitCode> {
    match arguments.flags.load() {
        Ok(loaded) => Ok((arguments, loaded)),
        Err(error) => {
            eprintln!("corral-proxy: {error}");
            Err(ExitCode::from(BAD_INPUT))
        }
    }
}

fn serve(flags: Flags, loaded: Loaded) -> Result<ExitCode, String> {
    check::files_of_flags(&flags, &loaded)?;
    start_logging(loaded.config.log.format);
    match run(flags, loaded) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            tracing::error!(%error, "ended");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Everything but the access log goes to standard error; `CORRAL_LOG` chooses what, as in `corral_proxy=debug`.
fn start_logging(format: LogFormat) {
    let chosen = std::env::var("CORRAL_LOG").ok();
    let chosen = chosen.filter(|chosen| !chosen.is_empty());
    let chosen: Option<Targets> = chosen.and_then(|chosen| chosen.parse().ok());
    let filter = chosen.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).finish().with(filter).init(),
        LogFormat::Text => builder.finish().with(filter).init(),
    }
}
