//! What the operator is to reach, and whether it does.

use std::time::Duration;

use corral_measure::goal::Goal;
use corral_measure::statistics::percentile_of_times;
use corral_measure::table::megabytes;

use crate::reactions::Repair;
use crate::scale::Scale;
use crate::{Measured, Reactions};

/// The goals for what was measured.
pub(crate) fn goals(corral: &[Measured]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for measured in corral {
        let scale = &measured.scale;
        goals.extend(of_scale(scale));
        goals.extend(restart(scale));
        let Some(Reactions {
            not_ready,
            repairs,
            shared,
            ..
        }) = &measured.reactions
        else {
            continue;
        };
        if let Some(alone) = &measured.alone {
            let children = format!("one alone, before {}: children there", scale.count);
            goals.push(longest(children, 0.2, &alone.children));
            let ready = format!("one alone, before {}: Ready after its Pod", scale.count);
            goals.push(longest(ready, 0.3, &alone.ready));
        }
        let what = |text: &str| format!("{text} ({} in place)", scale.count);
        goals.push(longest(
            what("a Pod that stops being ready shows"),
            1.0,
            not_ready,
        ));
        let repaired: Vec<_> = repairs
            .iter()
            .flat_map(|Repair { took, .. }| took)
            .copied()
            .collect();
        goals.push(longest(
            what("a child deleted or edited by hand is back"),
            1.0,
            &repaired,
        ));
        if let Some(shared) = shared {
            let told = format!("a Secret of {} edited: all nudged", shared.count);
            goals.push(longest(told, 10.0, &[shared.told.time]));
            let others = "changes of others meanwhile".to_owned();
            goals.push(longest(others, 1.0, &shared.others));
        }
    }
    goals.extend(corral.last().and_then(changes));
    goals
}

fn of_scale(scale: &Scale) -> Vec<Goal> {
    let count = scale.count;
    let mut goals = Vec::new();
    let bounds = match scale.count {
        1000 => Some((Some(30.0), Some(8.0), 40.0)),
        5000 => Some((None, None, 120.0)),
        _ => None,
    };
    if let Some((children, processor, memory)) = bounds {
        if let Some(bound) = children {
            goals.push(longest(
                format!("children of {count}"),
                bound,
                &[scale.made.children.time],
            ));
        }
        if let Some(bound) = processor {
            let what = format!("processor time for {count}");
            goals.push(longest(what, bound, &[scale.made.processor_time]));
        }
        let resident = megabytes(scale.memory.now);
        goals.push(Goal::at_most(
            format!("RSS at {count}"),
            memory,
            resident,
            "MB",
            1,
        ));
    }
    let creates = scale
        .children
        .iter()
        .map(|children| scale.writes_of_each(children));
    let what = format!("writes of each child, at {count}");
    goals.push(Goal::at_most(what, 1.0, creates.fold(0.0, f64::max), "", 2));
    let status = scale.each(scale.made.requests.writes_of("ollamaservices/status"));
    goals.push(Goal::at_most(
        format!("writes of each status, at {count}"),
        2.0,
        status,
        "",
        2,
    ));
    let idle = scale.idle.requests.writes() + scale.idle.requests.reads();
    goals.push(Goal::at_most(
        format!("requests with nothing to do, at {count}"),
        0.0,
        idle as f64,
        "",
        0,
    ));
    goals
}

fn restart(scale: &Scale) -> Vec<Goal> {
    let count = scale.count;
    let writes = scale.restart.requests.writes() as f64;
    let mut goals = vec![Goal::at_most(
        format!("writes after a restart at {count}"),
        0.0,
        writes,
        "",
        0,
    )];
    let bound = match count {
        1000 => Some(2.0),
        5000 => Some(10.0),
        _ => None,
    };
    goals.extend(bound.map(|bound| {
        longest(
            format!("restart at {count}: settled"),
            bound,
            &[scale.restart.settled],
        )
    }));
    goals
}

fn changes(measured: &Measured) -> Option<Goal> {
    let changes = &measured.reactions.as_ref()?.changes;
    let what = format!(
        "one change among {}: its child changed, 99th percentile of {}",
        measured.scale.count,
        changes.len()
    );
    Some(longest(what, 0.25, &[percentile_of_times(changes, 0.99)]))
}

fn longest(what: String, bound: f64, times: &[Duration]) -> Goal {
    let longest = times.iter().max().copied().unwrap_or_default();
    Goal::at_most(what, bound, longest.as_secs_f64(), "s", 2)
}
