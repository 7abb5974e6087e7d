//! What the proxy is to reach, and whether it does.

use corral_measure::goal::Goal;
use corral_measure::statistics::Spread;
use corral_measure::table::megabytes;

use crate::figures::Figures;
use crate::instructions::Instructions;
use crate::rounds::{Requested, Rounds, Streamed};

/// What the names of fronts begin with.
pub(crate) const NGINX: &str = "nginx";
const HAPROXY: &str = "HAProxy";
const CORRAL: &str = "corral-proxy";

/// The goals for what was measured.
pub(crate) fn goals(figures: &Figures) -> Vec<Goal> {
    let mut goals = of_requests(&figures.requests);
    goals.extend(of_instructions(&figures.instructions));
    goals.extend(of_streams(&figures.streams));
    goals.extend(of_idle(&figures.idle));
    goals.extend(of_footprint(figures));
    let Figures { flood, reload, .. } = figures;
    goals.extend([
        Goal::at_least(
            "requests/s kept in a flood of wrong passwords",
            0.9,
            flood.share.median,
            "",
            2,
        ),
        Goal::at_most(
            "a first login meanwhile",
            1000.0,
            flood.first_login.median,
            "ms",
            0,
        ),
        Goal::at_most("a new key is let in", 100.0, reload.median, "ms", 0),
    ]);
    goals
}

fn of_requests(rounds: &Rounds<Requested>) -> Vec<Goal> {
    let corral = rounds.places_of(CORRAL);
    let Some(&with_key) = corral.first() else {
        return Vec::new();
    };
    let of = |other| {
        let other = rounds.place_of(other)?;
        Some(rounds.ratio(with_key, other, |one| one.per_second).median)
    };
    let rates = Spread::of(
        corral
            .iter()
            .filter_map(|place| rounds.spread(*place, |one| Some(one.per_second)))
            .map(|spread| spread.median),
    );
    let mut goals = vec![Goal::at_least(
        "requests/s of API key, password and token: the fewest of the most",
        0.9,
        rates.least / rates.greatest,
        "",
        2,
    )];
    let nginx = of(NGINX).map(|ratio| Goal::at_least("requests/s, of nginx's", 1.2, ratio, "", 2));
    let haproxy = of(HAPROXY).map(|ratio| Goal::at_least("requests/s, of HAProxy's", 1.0, ratio, "", 2));
    goals.extend(nginx.into_iter().chain(haproxy));
    goals
}

fn of_instructions(instructions: &[Instructions]) -> Option<Goal> {
    let (bare, others) = instructions.split_first()?;
    let corral = others.iter().filter(|one| one.front.starts_with(CORRAL));
    let most = corral.map(|one| one.request).fold(0.0, f64::max);
    let what = "instructions for a request, of the bare forwarder's";
    Some(Goal::at_most(what, 1.25, most / bare.request, "", 2))
}

fn of_streams(rounds: &Rounds<Streamed>) -> Vec<Goal> {
    let (Some(corral), Some(nginx)) = (rounds.place_of(CORRAL), rounds.place_of(NGINX)) else {
        return Vec::new();
    };
    let added = rounds.difference(corral, 0, |one| one.token.p99 / 1e3);
    let cost = rounds.ratio(corral, nginx, |one| one.processor_time.unwrap_or(f64::NAN));
    vec![
        Goal::at_most("added to a token, 99th percentile", 1.0, added.median, "ms", 2),
        Goal::at_most("processor time for a token, of nginx's", 1.0, cost.median, "", 2),
    ]
}

fn of_idle(idle: &[(String, f64)]) -> Option<Goal> {
    let of = |front: &str| {
        idle.iter()
            .find(|(name, _)| name.starts_with(front))
            .map(|(_, bytes)| *bytes)
    };
    let ratio = of(CORRAL)? / of(NGINX)?;
    Some(Goal::at_most(
        "memory of an idle stream, of nginx's",
        1.0,
        ratio,
        "",
        2,
    ))
}

fn of_footprint(figures: &Figures) -> Vec<Goal> {
    let corral = figures.footprints.iter().find(|one| one.name.starts_with(CORRAL));
    let size = megabytes(figures.program_size);
    let mut goals = vec![Goal::at_most("size of the program", 12.0, size, "MB", 1)];
    goals.extend(corral.into_iter().flat_map(|corral| {
        [
            Goal::at_most(
                "memory with nothing to do",
                12.0,
                megabytes(corral.memory),
                "MB",
                1,
            ),
            Goal::at_most(
                "start to first connection",
                50.0,
                corral.started_in.median,
                "ms",
                0,
            ),
        ]
    }));
    goals
}
