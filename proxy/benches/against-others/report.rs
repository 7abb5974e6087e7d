//! The figures as Markdown, with pictures beside it.

use std::path::Path;

use anyhow::Result;
use corral_measure::statistics::Spread;
use corral_measure::table::{megabytes, or_dash, rows};
use corral_measure::{goal, plot};

use crate::figures::Figures;
use crate::flood::{self, Flood};
use crate::footprint::Footprint;
use crate::goals::{NGINX, goals};
use crate::instructions::Instructions;
use crate::load::Percentiles;
use crate::load::requests::CONNECTIONS;
use crate::load::streams::{AT_ONCE, SINGLE, TOKENS};
use crate::machine::wrk_version;
use crate::rounds::{REQUEST_SECONDS, Requested, Rounds, Streamed};
use crate::{idle, reload};

/// Writes the report, and its pictures into the folder `benchmarks` beside it.
pub(crate) fn write(output: &Path, figures: &Figures) -> Result<String> {
    let text = render(figures);
    corral_measure::report::write(output, &text, |folder| draw(folder, figures))?;
    Ok(text)
}

fn draw(folder: &Path, figures: &Figures) -> Result<()> {
    let Figures {
        requests,
        streams,
        idle,
        instructions,
        ..
    } = figures;
    let rate = requests.medians(|one| Some(one.per_second));
    let caption = "Small requests per second, one worker thread (logarithmic)";
    plot::bars(&folder.join("requests.svg"), caption, &rate, true)?;
    let tokens = streams.medians(|one| Some(one.token.p99));
    let caption = "Delay of a token, 99th percentile, µs";
    plot::bars(&folder.join("tokens.svg"), caption, &tokens, false)?;
    let kilobytes: Vec<_> = idle
        .iter()
        .map(|(name, bytes)| (name.clone(), bytes / 1e3))
        .collect();
    plot::bars(
        &folder.join("idle.svg"),
        "Memory of an idle stream, kB",
        &kilobytes,
        false,
    )?;
    let caption = "Instructions for a request, without the kernel's";
    let requests: Vec<_> = instructions
        .iter()
        .map(|one| (one.front.clone(), one.request))
        .collect();
    plot::bars(&folder.join("instructions.svg"), caption, &requests, false)
}

fn render(figures: &Figures) -> String {
    let Figures {
        machine,
        requests,
        streams,
        idle,
        instructions,
        footprints,
        program_size,
        flood,
        reload,
    } = figures;
    format!(
        "# Benchmarks
Written by `make bench-proxy`; run it again rather than compare with these figures from another machine.

**Question.** What does a request cost that `corral-proxy` has checked, beside what people put before Ollama today?

**Machine.** {machine}.

**Setup.** One worker thread for each front, alone on one processor; the clients ({wrk}, and a client of our own for
streams) and a fake Ollama that answers at once share the others; all over loopback HTTP/1.1 with connections kept open.
corral-proxy has access rules, address rules and metrics on and writes an access log to a file; the others write none.
Each front has its turn in each of {request_rounds} rounds ({stream_rounds} for streams). Figures are medians of the
rounds; ratios are made within a round and given with their least and greatest value.

## Goals
nginx and HAProxy are those without authentication.

{goals}
## Small requests
`GET /api/version`, {CONNECTIONS} connections, {REQUEST_SECONDS} s a turn, as fast as they go.

![Requests per second](benchmarks/requests.svg)

| front | requests/s | of nginx without authentication | p50 | p99 | processor time of the front | of it the system's |
|---|---|---|---|---|---|---|
{requests}
Where nothing is hashed, most of the time is the system's: a write goes through TCP to the receiver's end. Every
front writes twice for a request and reads twice; what a front does itself can only save the rest. The clients and the
fake Ollama have a processor of their own, and without a front there is no more to be had than the first row says.

## Instructions for a request and for a token
The same request, and a token of a stream that has a turn alone, counted by callgrind; the kernel's part is not in it.

| front | for a request | of the bare forwarder | for a token | of the bare forwarder |
|---|---|---|---|---|
{instructions}
The first request of a connection costs more: its credential is checked then, and known by the same bytes afterwards. Of
the system each request wants two reads and two writes, as of the bare forwarder.

## Time to first byte
`POST /api/generate`, streamed, {SINGLE} a turn, one at a time; from the request to the first byte of the body.

| front | p50 | p99 | added to p50 |
|---|---|---|---|
{first_byte}
## Tokens in a stream
{AT_ONCE} streams at once that begin within a second, each of {TOKENS} tokens at 20 tokens/s; from the fake Ollama to the
client, for each token. Here and for the time to the first byte the two are one thread, so that neither waits until the
other's turn is over. What is slowest comes in bursts of some ms, in which something else has a processor, on every way
and on the direct one; more turns than elsewhere make a median of that.

![Delay of a token](benchmarks/tokens.svg)

| front | p50 | p99 | added to p99 | processor time of the front for a token |
|---|---|---|---|---|
{tokens}
Of the system a token wants one wait, one read and one write, which is most of its processor time. The rest is mostly
tokio's and hyper's, as in the bare forwarder; reading how many tokens there are is a fifth of corral-proxy's instructions.

## Idle streams
{idle_streams} streams that have begun and wait; memory of the front for each, its connections to the client and to Ollama.

| front | memory of a stream |
|---|---|
{idle}
hyper has 8 KiB to read into for each connection, and tokio's channel from its server to its client room for 32 requests,
some 10 kB. corral-proxy has hyper only before it: what comes from Ollama is read into the stack and moves on.

## Alone
| front | start to first connection | memory then |
|---|---|---|
{footprints}
The program of corral-proxy, which is all that its image holds, has {size:.1} MB.

## A flood of wrong passwords
{flood}

## Reload under load
A file of {keys} keys is replaced {edits} times while a client sends as fast as it can: no request fails, and a new key is
let in after {reload} ms.
",
        wrk = wrk_version().unwrap_or_else(|_| "wrk".into()),
        request_rounds = requests.count(),
        stream_rounds = streams.count(),
        goals = goal::table(&goals(figures)),
        requests = request_rows(requests),
        instructions = instruction_rows(instructions),
        first_byte = first_byte_rows(streams),
        tokens = token_rows(streams),
        idle_streams = idle::STREAMS,
        idle = idle_rows(idle),
        footprints = rows(footprints.iter().map(footprint_row)),
        size = megabytes(*program_size),
        flood = flood_sentence(flood),
        keys = reload::KEYS,
        edits = reload::EDITS,
        reload = reload.shown(0),
    )
}

/// Each front's requests a second and what they cost it.
pub(crate) fn request_rows(rounds: &Rounds<Requested>) -> String {
    let nginx = rounds.place_of(NGINX);
    rows(rounds.names().iter().enumerate().map(|(place, name)| {
        let median =
            |value: fn(&Requested) -> Option<f64>| rounds.spread(place, value).map(|spread| spread.median);
        let ratio = nginx.map(|nginx| rounds.ratio(place, nginx, |one| one.per_second).shown(2));
        [
            name.clone(),
            or_dash(median(|one| Some(one.per_second)).map(|rate| format!("{rate:.0}"))),
            or_dash(ratio),
            or_dash(median(|one| Some(one.latency.p50)).map(time)),
            or_dash(median(|one| Some(one.latency.p99)).map(time)),
            or_dash(median(|one| one.processor_time).map(time)),
            or_dash(median(|one| one.system_time).map(time)),
        ]
    }))
}

/// Each front's instructions for a request and for a token, and their ratios to the first's.
pub(crate) fn instruction_rows(instructions: &[Instructions]) -> String {
    let bare = |value: fn(&Instructions) -> f64| instructions.first().map_or(f64::NAN, value);
    let (request, token) = (bare(|one| one.request), bare(|one| one.token));
    rows(instructions.iter().map(|one| {
        [
            one.front.clone(),
            format!("{:.0}", one.request),
            format!("{:.2}", one.request / request),
            format!("{:.0}", one.token),
            format!("{:.2}", one.token / token),
        ]
    }))
}

/// Each front's memory of a stream.
pub(crate) fn idle_rows(idle: &[(String, f64)]) -> String {
    rows(
        idle.iter()
            .map(|(name, bytes)| [name.clone(), format!("{:.1} kB", bytes / 1e3)]),
    )
}

/// What a flood does to others.
pub(crate) fn flood_sentence(flood: &Flood) -> String {
    format!(
        "{rate} wrong passwords a second for a known and an unknown user, all from one address, on every processor, beside a
client with a key that sends as fast as it can: that client keeps {share} of its requests per second. A user's first login
from another address with the right password (bcrypt cost 12) takes {login} ms meanwhile.",
        rate = flood::PER_SECOND,
        share = flood.share.shown(2),
        login = flood.first_login.shown(0),
    )
}

fn first_byte_rows(rounds: &Rounds<Streamed>) -> String {
    stream_rows(rounds, |one| one.first_byte, |percentiles| percentiles.p50)
        .map(|columns| format!("| {} |\n", columns.join(" | ")))
        .collect()
}

/// What each front adds to a token.
pub(crate) fn token_rows(rounds: &Rounds<Streamed>) -> String {
    stream_rows(rounds, |one| one.token, |percentiles| percentiles.p99)
        .enumerate()
        .map(|(place, columns)| {
            let cost = rounds.spread(place, |one| one.processor_time);
            let cost = or_dash(cost.map(|spread| format!("{} µs", spread.shown(1))));
            format!("| {} | {cost} |\n", columns.join(" | "))
        })
        .collect()
}

/// Name, both percentiles, and what is added to one of them; the first front is the direct way.
fn stream_rows(
    rounds: &Rounds<Streamed>,
    value: fn(&Streamed) -> Percentiles,
    compared: fn(Percentiles) -> f64,
) -> impl Iterator<Item = [String; 4]> {
    rounds.names().iter().enumerate().map(move |(place, name)| {
        let values = || rounds.of(place).map(value);
        let p50 = Spread::of(values().map(|one| one.p50)).median;
        let p99 = Spread::of(values().map(|one| one.p99)).median;
        let added = rounds.difference(place, 0, |one| compared(value(one)));
        let added = (place > 0).then(|| {
            format!(
                "{} ({} to {})",
                time(added.median),
                time(added.least),
                time(added.greatest)
            )
        });
        [name.clone(), time(p50), time(p99), or_dash(added)]
    })
}

fn footprint_row(footprint: &Footprint) -> [String; 3] {
    let Footprint {
        name,
        started_in,
        memory,
    } = footprint;
    [
        name.clone(),
        format!("{} ms", started_in.shown(0)),
        format!("{:.1} MB", megabytes(*memory)),
    ]
}

/// Microseconds for people.
fn time(microseconds: f64) -> String {
    if microseconds.abs() < 1000.0 {
        format!("{microseconds:.0} µs")
    } else {
        format!("{:.2} ms", microseconds / 1000.0)
    }
}
