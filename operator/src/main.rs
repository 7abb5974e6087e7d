//! The binary `corral-operator`.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use corral_operator::cli::{Cli, Command, RenderOptions};
use corral_operator::{crd, render};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(_) => return ExitCode::FAILURE,
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
