//! The commands and programs of the README, and those that helm shows after the installation, in the order in which they
//! stand there.

use std::env::{join_paths, split_paths, var_os};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use corral_tests::lab::SYSTEM;
use corral_tests::port::Port;
use corral_tests::tools::Tool;
use corral_tests::{command, python, registry};

use crate::fixture::Fixture;

const README: &str = include_str!("../../../README.md");
const QUICKSTART: &str = include_str!("../../../docs/examples/quickstart.yaml");
/// The sections that need a cluster with Corral, and the one after them.
const SECTIONS: [&str; 2] = ["## A first service", "## Before an Ollama without Kubernetes"];
const NAMESPACE: &str = "readme";

pub(crate) async fn the_readme_is_true(fixture: &Fixture) -> Result<()> {
    let port = Port::reserve()?;
    let folder = tempfile::tempdir()?;
    prepare(fixture, folder.path())?;
    let script = adapted(&blocks()?, readme_adaptations(), port.number())?;
    let outcome = run(folder.path(), &script).await;
    fixture
        .kubectl()
        .run(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    outcome
}

pub(crate) async fn the_notes_are_true(fixture: &Fixture) -> Result<()> {
    let port = Port::reserve()?;
    let folder = tempfile::tempdir()?;
    fs::copy(fixture.kubeconfig(), folder.path().join("kubeconfig"))?;
    let mut helm = Command::new(Tool::Helm.path()?);
    helm.args(["get", "notes", "corral", "--namespace", SYSTEM])
        .env("KUBECONFIG", fixture.kubeconfig());
    let notes = command::output(&mut helm)?;
    // The notes call it `key`, the check at the end `KEY`.
    let script = commands(&notes)? + "KEY=$key\n";
    let outcome = run(
        folder.path(),
        &adapted(&script, notes_adaptations(), port.number())?,
    )
    .await;
    fixture
        .kubectl()
        .run(&["delete", "ollamaservice/first", "--namespace=default"])?;
    outcome
}

async fn run(folder: &Path, script: &str) -> Result<()> {
    let interpreter = tokio::task::spawn_blocking(python::interpreter).await??;
    let kubectl = Tool::Kubectl.path()?;
    let programs = [&interpreter, &kubectl].map(|program| program.parent().unwrap_or(program).to_owned());
    let path = join_paths(
        programs
            .into_iter()
            .chain(split_paths(&var_os("PATH").unwrap_or_default())),
    )?;
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("PATH", path)
        .env("KUBECONFIG", folder.join("kubeconfig"));
    command::output(&mut bash).map(drop)
}

/// A folder that looks like the repository's root, and a kubeconfig with a namespace of its own as the current one.
fn prepare(fixture: &Fixture, folder: &Path) -> Result<()> {
    fixture.kubectl().run(&["create", "namespace", NAMESPACE])?;
    let kubeconfig = folder.join("kubeconfig");
    fs::copy(fixture.kubeconfig(), &kubeconfig)?;
    let mut kubectl = Command::new(Tool::Kubectl.path()?);
    let current = format!("--namespace={NAMESPACE}");
    command::output(
        kubectl
            .args(["config", "set-context", "--current", &current])
            .env("KUBECONFIG", &kubeconfig),
    )?;
    let examples = folder.join("docs/examples");
    fs::create_dir_all(&examples)?;
    let model = format!("{}\n      insecure: true", registry::MODEL);
    fs::write(
        examples.join("quickstart.yaml"),
        QUICKSTART.replace("gemma3:270m", &model),
    )?;
    Ok(())
}

/// The code of the README's sections.
fn blocks() -> Result<String> {
    let (_, text) = README
        .split_once(SECTIONS[0])
        .context("the README has no first service")?;
    let (text, _) = text
        .split_once(SECTIONS[1])
        .context("the README's last section is another")?;
    let mut script = String::new();
    for block in text.split("```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').context("an empty block")?;
        script += &match language {
            "sh" => code.to_owned(),
            "python" => format!("python - <<'PROGRAM'\n{code}PROGRAM\n"),
            other => anyhow::bail!("a block in the language {other:?}"),
        };
    }
    Ok(script)
}

/// The steps of the notes without the sentence that begins each, and without what stands before and behind them.
fn commands(notes: &str) -> Result<String> {
    let (_, steps) = notes
        .split_once("\n1. ")
        .context("the notes have no first step")?;
    let (steps, _) = steps
        .rsplit_once("\n\n")
        .context("the notes have no last paragraph")?;
    let is_command = |line: &&str| !line.starts_with(|first: char| first.is_ascii_digit());
    let lines: Vec<&str> = steps.lines().skip(1).filter(is_command).collect();
    Ok(lines.join("\n") + "\n")
}

/// The script as it runs here: the port is a free one, and at the end the key from before the rotation must be refused.
fn adapted(script: &str, adaptations: Vec<(&str, String)>, port: u16) -> Result<String> {
    let listens =
        format!("until curl --silent --output /dev/null http://127.0.0.1:{port}; do sleep 0.1; done");
    let ports = [
        (" 8880:11434 &\n", format!(" {port}:11434 &\n{listens}\n")),
        ("127.0.0.1:8880", format!("127.0.0.1:{port}")),
    ];
    let mut script = format!("trap 'kill $(jobs -p)' EXIT\n{script}");
    for (from, to) in adaptations.into_iter().chain(ports) {
        ensure!(script.contains(from), "the text says {from:?} no more");
        script = script.replace(from, &to);
    }
    Ok(script + &refused(port))
}

/// The model is in a registry of the cluster, and the answer is short.
fn notes_adaptations() -> Vec<(&'static str, String)> {
    let model = registry::MODEL;
    vec![
        (
            "{name: \"gemma3:270m\"}",
            format!("{{name: \"{model}\", insecure: true}}"),
        ),
        (
            "\"model\": \"gemma3:270m\"",
            format!("\"options\": {{\"num_predict\": 8}}, \"model\": \"{model}\""),
        ),
    ]
}

/// As in the notes; the quickstart's manifest has been changed already.
fn readme_adaptations() -> Vec<(&'static str, String)> {
    let model = registry::MODEL;
    vec![
        (
            "\"model\": \"gemma3:270m\"",
            format!("\"options\": {{\"num_predict\": 8}}, \"model\": \"{model}\""),
        ),
        (
            "generate(model=\"gemma3:270m\"",
            format!("generate(options={{\"num_predict\": 8}}, model=\"{model}\""),
        ),
        (
            "create(model=\"gemma3:270m\"",
            format!("create(max_tokens=8, model=\"{model}\""),
        ),
    ]
}

fn refused(port: u16) -> String {
    let ask =
        "curl --silent --output /dev/null --write-out '%{http_code}' --header \"Authorization: Bearer $KEY\"";
    format!("test \"$({ask} http://127.0.0.1:{port}/api/tags)\" = 401\n")
}
