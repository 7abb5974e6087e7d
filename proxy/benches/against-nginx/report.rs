//! The figures as Markdown.

use crate::front::Front;
use crate::load::{CONNECTIONS, Measurement, Percentiles, SECONDS, SINGLE_STREAMS, STREAMS, TOKENS};
use crate::machine::wrk_version;
use crate::statistics::Spread;

/// Places in a round.
const NONE: usize = 0;
const NGINX: usize = 1;
const CORRAL: usize = 2;

type Rounds = [[Measurement; 3]];

/// The whole of docs/benchmarks.md.
pub(crate) fn render(machine: &str, fronts: &[Front; 3], rounds: &Rounds) -> String {
    let rows = |row: fn(&Rounds, usize) -> String| -> String {
        fronts
            .iter()
            .enumerate()
            .map(|(index, front)| format!("| {} | {} |\n", front.name, row(rounds, index)))
            .collect()
    };
    format!(
        "# Benchmarks
Written by `make bench`; run it again rather than compare with these figures from another machine.

**Question.** What does a request cost that `corral-proxy` has checked, beside nginx as people put it before Ollama
today, which checks nothing?

**Machine.** {machine}.

**Setup.** One worker thread for each front, alone on one processor; the clients ({wrk}, and a client of
our own for streams) and a fake Ollama that answers at once share the others; all over loopback HTTP/1.1 with
connections kept open. Both fronts write an access log to `/dev/null`. Rounds: {count}, in each of which every front has
its turn. Figures are medians of the rounds; comparisons are made within a round and given with their least and
greatest value.

## Small requests
`GET /api/version`, {CONNECTIONS} connections, {SECONDS} s a turn, as fast as they go.

| front | requests/s | p50 | p99 | processor time of the front |
|---|---|---|---|---|
{gets}
corral-proxy / nginx: {rate} of the requests per second, {cost} of the processor time for each.
On a machine that does other work too (see the load average), the processor time is the truer of the two.

## Time to first byte
`POST /api/generate`, streamed, {SINGLE_STREAMS} a turn, one at a time; from the request to the first byte of the body.

| front | p50 | p99 | added to p50 |
|---|---|---|---|
{first_byte}
## Tokens in a stream
{STREAMS} streams at once, each of {TOKENS} tokens at 50 tokens/s; from the fake Ollama to the client, for each token.

| front | p50 | p99 | added to p50 |
|---|---|---|---|
{token}",
        wrk = wrk_version().unwrap_or_else(|_| "wrk".into()),
        count = rounds.len(),
        gets = rows(gets_row),
        first_byte = rows(|rounds, index| stream_row(rounds, index, |turn| turn.first_byte)),
        token = rows(|rounds, index| stream_row(rounds, index, |turn| turn.token)),
        rate = ratio(rounds, |turn| Some(turn.gets.per_second)),
        cost = ratio(rounds, |turn| turn.gets.processor_time),
    )
}

fn gets_row(rounds: &Rounds, index: usize) -> String {
    let of =
        |value: fn(&Measurement) -> f64| Spread::of(rounds.iter().map(|round| value(&round[index]))).median;
    let processor_time = if index == NONE {
        "–".into()
    } else {
        time(of(|turn| turn.gets.processor_time.unwrap_or(f64::NAN)))
    };
    format!(
        "{:.0} | {} | {} | {processor_time}",
        of(|turn| turn.gets.per_second),
        time(of(|turn| turn.gets.latency.p50)),
        time(of(|turn| turn.gets.latency.p99)),
    )
}

fn stream_row(rounds: &Rounds, index: usize, value: fn(&Measurement) -> Percentiles) -> String {
    let p50 = |round: &[Measurement; 3], index: usize| value(&round[index]).p50;
    let median = Spread::of(rounds.iter().map(|round| p50(round, index))).median;
    let p99 = Spread::of(rounds.iter().map(|round| value(&round[index]).p99)).median;
    let added = Spread::of(rounds.iter().map(|round| p50(round, index) - p50(round, NONE)));
    let added = if index == NONE {
        "–".into()
    } else {
        format!(
            "{} ({} to {})",
            time(added.median),
            time(added.least),
            time(added.greatest)
        )
    };
    format!("{} | {} | {added}", time(median), time(p99))
}

fn ratio(rounds: &Rounds, value: fn(&Measurement) -> Option<f64>) -> String {
    let share = |round: &[Measurement; 3]| Some(value(&round[CORRAL])? / value(&round[NGINX])?);
    let spread = Spread::of(rounds.iter().filter_map(share));
    format!(
        "{:.2} ({:.2} to {:.2})",
        spread.median, spread.least, spread.greatest
    )
}

/// Microseconds for people.
fn time(microseconds: f64) -> String {
    if microseconds.abs() < 1000.0 {
        format!("{microseconds:.0} µs")
    } else {
        format!("{:.2} ms", microseconds / 1000.0)
    }
}
