//! The whole of it: Corral installed by helm on a node with real Pods, a real Ollama and a real model.
//!
//! The cases share a cluster and run one after the other. `cargo test --test e2e -- WORD` runs those with WORD in
//! their names. Where no node can run, it says why and succeeds.

mod accounts;
mod clients;
mod documentation;
mod faults;
mod fixture;
mod mistakes;
mod models;
mod operations;
mod rotation;
mod scenarios;
mod stream;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use corral_tests::cluster::node;
use futures::future::LocalBoxFuture;

use fixture::Fixture;

struct Case {
    name: &'static str,
    run: for<'a> fn(&'a Fixture) -> LocalBoxFuture<'a, Result<()>>,
}

macro_rules! cases {
    ($($module:ident::$name:ident),* $(,)?) => {
        &[$(Case { name: stringify!($name), run: |fixture| Box::pin($module::$name(fixture)) }),*]
    };
}

const CASES: &[Case] = cases![
    scenarios::s1_users_of_an_htpasswd_file_get_in_and_nobody_else,
    scenarios::s3_api_keys_are_added_and_removed_without_a_restart,
    scenarios::s8_the_connection_test_of_a_desktop_client_tells_right_from_wrong,
    scenarios::s10_a_model_is_there_before_traffic_and_streams,
    scenarios::ollama_itself_is_out_of_reach,
    scenarios::changing_models_is_not_for_everyone,
    clients::python_libraries_work_with_their_usual_setting,
    accounts::pods_call_with_the_tokens_of_their_accounts,
    models::a_model_follows_its_modelfile_without_a_restart,
    accounts::keys_come_by_name_from_an_issuer_with_an_authority_of_its_own,
    rotation::twenty_edits_are_in_force_on_every_replica,
    operations::nothing_is_written_while_nothing_changes,
    documentation::the_readme_is_true,
    documentation::the_notes_are_true,
    mistakes::each_mistake_has_a_message_that_says_what_to_do,
    mistakes::a_deleted_secret_lets_nobody_in_until_it_is_back,
    mistakes::an_invalid_spec_is_refused_with_a_reason,
    operations::twenty_services_converge_though_the_operator_is_killed_meanwhile,
    faults::a_killed_proxy_cuts_its_own_streams_only,
    faults::a_killed_ollama_comes_back_behind_its_proxy,
    faults::a_full_disk_is_named_and_stops_no_stream,
    faults::a_node_without_its_kubelet_serves_on_and_proves_nothing,
    faults::an_api_server_that_is_away_for_a_minute_delays_a_rotation_and_nothing_else,
    operations::the_operator_asks_for_nothing_that_it_may_not,
];

#[tokio::main]
async fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let chosen = |case: &&Case| filters.is_empty() || filters.iter().any(|filter| case.name.contains(filter));
    let cases: Vec<&Case> = CASES.iter().filter(chosen).collect();
    if let Some(reason) = node::unsupported() {
        println!("e2e: {} cases left out. {reason}", cases.len());
        return ExitCode::SUCCESS;
    }
    match Fixture::start().await {
        Ok(fixture) => run(&fixture, &cases).await,
        Err(error) => {
            println!("e2e: the cluster with Corral could not be set up: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(fixture: &Fixture, cases: &[&Case]) -> ExitCode {
    println!(
        "\nrunning {} cases in the cluster {}",
        cases.len(),
        fixture.kubeconfig()
    );
    let mut failed = Vec::new();
    for case in cases {
        let start = Instant::now();
        let outcome = (case.run)(fixture).await;
        let seconds = start.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => println!("case {} ... ok ({seconds:.1} s)", case.name),
            Err(error) => {
                println!("case {} ... FAILED ({seconds:.1} s)\n{error:?}", case.name);
                failed.push(case.name);
            }
        }
    }
    if failed.is_empty() {
        println!("\ne2e: all {} cases passed", cases.len());
        return ExitCode::SUCCESS;
    }
    println!(
        "\ne2e: {} of {} cases failed: {}",
        failed.len(),
        cases.len(),
        failed.join(", ")
    );
    println!("{}", fixture.state());
    ExitCode::FAILURE
}
