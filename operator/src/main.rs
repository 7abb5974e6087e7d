//! The binary `corral-operator`.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use corral_operator::cli::{Cli, Command};
use corral_operator::crd;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Crds => print_definition(),
        Command::Run(_) | Command::Render(_) => ExitCode::FAILURE,
    }
}

fn print_definition() -> ExitCode {
    match serde_yaml::to_string(&crd::definition()).map(|yaml| std::io::stdout().write_all(yaml.as_bytes())) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
