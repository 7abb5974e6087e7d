//! What the campaign is worth: bugs are planted in the operator, one at a time, and each must be found by the oracle that its
//! patch names.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use corral_tests::planted::{self, Bug, Garden};
use tokio::sync::mpsc;

use crate::ground::Ground;
use crate::{Campaign, Options};

/// What has come of a bug: the oracle that has found it, or none.
type Verdict = (Bug, Option<&'static str>);

/// Plants each bug with that in its name and runs the cases that are to find it; says whether all were found.
pub(crate) async fn all_found(mut ground: Ground, words: &str, options: &Options, seed: u64) -> Result<bool> {
    let started = Instant::now();
    let mut bugs = planted::bugs()?;
    bugs.retain(|bug| bug.name.contains(words));
    ensure!(!bugs.is_empty(), "no bug has {words:?} in its name");
    let mut operators = plant(bugs);
    let mut verdicts: Vec<Verdict> = Vec::new();
    while let Some((bug, operator)) = operators.recv().await {
        println!("\n{}: {}", bug.name, bug.what);
        ground.operator = operator?;
        let options = Options {
            case: Some(bug.case.clone()),
            ..options.clone()
        };
        let campaign = Campaign::new(ground, options, seed);
        campaign.run().await;
        let number = format!("{} ", bug.oracle);
        let mut found = campaign.report.found_by().into_iter();
        verdicts.push((bug, found.find(|oracle| oracle.starts_with(&number))));
        ground = campaign.ground;
        fs::remove_file(&ground.operator)?;
    }
    println!("\n{} s, CORRAL_CAMPAIGN_SEED={seed}", started.elapsed().as_secs());
    for (bug, found) in &verdicts {
        let found = found.map_or("MISSED".to_owned(), |oracle| format!("found by {oracle}"));
        println!("{:<28} {found}", bug.name);
    }
    let found = verdicts.iter().filter(|(_, found)| found.is_some()).count();
    println!("{found} found, {} missed", verdicts.len() - found);
    Ok(found == verdicts.len())
}

/// Operators with one bug each. The next is compiled while the cases of the one before run.
fn plant(bugs: Vec<Bug>) -> mpsc::Receiver<(Bug, Result<PathBuf>)> {
    let (planted, operators) = mpsc::channel(1);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("campaign-bugs");
    tokio::task::spawn_blocking(move || {
        let garden = Garden::lay_out(&folder);
        for bug in bugs {
            let operator = match &garden {
                Ok(garden) => garden.plant(&bug),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            // Whoever takes no more has met an error.
            if planted.blocking_send((bug, operator)).is_err() {
                return;
            }
        }
    });
    operators
}
