//! The README's commands and programs, in the order in which they stand there.

use std::env::{join_paths, split_paths, var_os};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
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
    let interpreter = tokio::task::spawn_blocking(python::interpreter).await??;
    let port = Port::reserve()?;
    let folder = tempfile::tempdir()?;
    prepare(fixture, folder.path())?;
    let kubectl = Tool::Kubectl.path()?;
    let programs = [&interpreter, &kubectl].map(|program| program.parent().unwrap_or(program).to_owned());
    let path = join_paths(
        programs
            .into_iter()
            .chain(split_paths(&var_os("PATH").unwrap_or_default())),
    )?;
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script(port.number())?])
        .current_dir(folder.path())
        .env("PATH", path)
        .env("KUBECONFIG", folder.path().join("kubeconfig"));
    let outcome = command::output(&mut bash);
    fixture
        .kubectl()
        .run(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    outcome.map(drop)
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

/// The sections' code as one script, which ends with a check that the key from before the rotation is refused.
fn script(port: u16) -> Result<String> {
    let (_, text) = README
        .split_once(SECTIONS[0])
        .context("the README has no first service")?;
    let (text, _) = text
        .split_once(SECTIONS[1])
        .context("the README's last section is another")?;
    let mut script = String::from("trap 'kill $(jobs -p)' EXIT\n");
    for block in text.split("```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').context("an empty block")?;
        script += &match language {
            "sh" => code.to_owned(),
            "python" => format!("python - <<'PROGRAM'\n{code}PROGRAM\n"),
            other => anyhow::bail!("a block in the language {other:?}"),
        };
    }
    for (from, to) in adaptations(port) {
        ensure!(script.contains(from), "the README says {from:?} no more");
        script = script.replace(from, &to);
    }
    Ok(script + &refused(port))
}

/// What is different here: the model is in a registry of the cluster, answers are short, the port is a free one.
fn adaptations(port: u16) -> [(&'static str, String); 5] {
    let model = registry::MODEL;
    let listens =
        format!("until curl --silent --output /dev/null http://127.0.0.1:{port}; do sleep 0.1; done");
    [
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
        (" 8880:11434 &\n", format!(" {port}:11434 &\n{listens}\n")),
        ("127.0.0.1:8880", format!("127.0.0.1:{port}")),
    ]
}

fn refused(port: u16) -> String {
    let ask =
        "curl --silent --output /dev/null --write-out '%{http_code}' --header \"Authorization: Bearer $KEY\"";
    format!("test \"$({ask} http://127.0.0.1:{port}/api/tags)\" = 401\n")
}
