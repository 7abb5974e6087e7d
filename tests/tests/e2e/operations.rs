//! How the operator behaves over time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use corral_tests::cluster::Mark;
use corral_tests::command;
use corral_tests::lab::SYSTEM;
use serde_json::json;

use crate::fixture::{Fixture, SERVICE, service};
use crate::stream::Traffic;

const IDLE: Duration = Duration::from_secs(60);
const SERVICES: usize = 20;

/// By the API server's own record, over a minute; the Lease by which replicas of the operator agree is renewed.
pub(crate) async fn nothing_is_written_while_nothing_changes(fixture: &Fixture) -> Result<()> {
    let user = format!("system:serviceaccount:{SYSTEM}:");
    let audit = fixture.node()?.audit();
    let mark = audit.mark()?;
    tokio::time::sleep(IDLE).await;
    let writes = audit.writes_since(mark)?;
    let (leases, others): (Vec<_>, Vec<_>) = writes
        .into_iter()
        .filter(|write| write.user.starts_with(&user))
        .partition(|write| write.resource == "leases");
    println!(
        "  {} s without a change: {} writes of the operator's Lease, {} others",
        IDLE.as_secs(),
        leases.len(),
        others.len()
    );
    ensure!(others.is_empty(), "{others:#?}");
    Ok(())
}

/// By the API server's own record of all that the cases before had it do, with the ClusterRole of the chart's defaults.
pub(crate) async fn the_operator_asks_for_nothing_that_it_may_not(fixture: &Fixture) -> Result<()> {
    let user = format!("system:serviceaccount:{SYSTEM}:corral");
    let requests = fixture.node()?.audit().requests_since(Mark::START, &user)?;
    let asked: BTreeSet<_> = requests
        .iter()
        .map(|request| format!("{} {}", request.verb, request.resource))
        .collect();
    println!("  {} requests: {asked:?}", requests.len());
    ensure!(!asked.is_empty(), "{user} has asked for nothing");
    let refused: Vec<_> = requests.iter().filter(|request| request.denied).collect();
    ensure!(refused.is_empty(), "{refused:#?}");
    Ok(())
}

/// SIGKILL while it is making the children of twenty OllamaServices: all converge, and nothing is there twice.
pub(crate) async fn twenty_services_converge_though_the_operator_is_killed_meanwhile(
    fixture: &Fixture,
) -> Result<()> {
    let names: Vec<String> = (0..SERVICES).map(|number| format!("many-{number:02}")).collect();
    let manifests: Vec<String> = names
        .iter()
        .map(|name| service(name, &json!({"replicas": 0})))
        .collect();
    fixture.kubectl().apply(&manifests.join("\n---\n"))?;
    wait_for_deployments(fixture, 3)?;
    let ((), traffic) = Traffic::during(fixture, &fixture.url(SERVICE)?, || {
        // Its own process namespace has no other process of that name.
        command::output(
            fixture
                .node()?
                .command("pkill")
                .args(["-KILL", "-x", "corral-operator"]),
        )?;
        let made = wait_for_deployments(fixture, 1)?;
        println!("  killed with {made} of {SERVICES} Deployments made");
        for name in &names {
            fixture.wait(name, "jsonpath={.status.observedGeneration}=1", "90s")?;
        }
        Ok(())
    })?;
    println!("  until all have converged: {traffic}");
    ensure!(
        traffic.is_unharmed(),
        "a request failed without an operator: {traffic}"
    );
    for kind in [
        "deployments",
        "services",
        "serviceaccounts",
        "configmaps",
        "networkpolicies",
        "secrets",
    ] {
        let owners = owners(fixture, kind)?;
        let distinct: BTreeSet<&String> = owners.iter().collect();
        ensure!(
            kind == "secrets" || distinct.len() == owners.len(),
            "{kind} doubled: {owners:?}"
        );
        ensure!(
            distinct.len() == SERVICES,
            "{kind} of {} OllamaServices: {owners:?}",
            distinct.len()
        );
    }
    for name in &names {
        fixture.run(&["delete", "ollamaservice", name, "--wait=false"])?;
    }
    Ok(())
}

fn wait_for_deployments(fixture: &Fixture, wanted: usize) -> Result<usize> {
    let start = Instant::now();
    loop {
        let made = owners(fixture, "deployments")?.len();
        if made >= wanted {
            return Ok(made);
        }
        ensure!(
            start.elapsed() < Duration::from_secs(60),
            "{made} Deployments, not {wanted}"
        );
    }
}

/// For each object of that kind the OllamaService `many-…` that owns it.
fn owners(fixture: &Fixture, kind: &str) -> Result<Vec<String>> {
    let path = "--output=jsonpath={range .items[*]}{.metadata.ownerReferences[0].name}{\"\\n\"}{end}";
    let names = fixture.run(&["get", kind, path])?;
    Ok(names
        .lines()
        .filter(|name| name.starts_with("many-"))
        .map(str::to_owned)
        .collect())
}
