//! Everything at once, for as long as there is time: traffic of all means over TLS, of HTTP/1.1 and HTTP/2, from clients
//! and from a proxy that introduces them, clients and an upstream that leave, and credentials, configuration and
//! certificate that change every second. No answer may be wrong in either direction, and at the end nothing may be left:
//! no memory, no connection, no open file, no request.
//!
//! `make test` runs it for some seconds, `make soak MINUTES=30` for longer. Chance follows from a seed, which is printed;
//! `CORRAL_SOAK_SEED` sets it.

#![expect(clippy::expect_used, reason = "a test that can't go on fails")]

#[path = "../support/announced.rs"]
mod announced;
mod backend;
mod certificate;
mod connection;
mod credentials;
mod process;
mod rotation;
mod seeded;
mod tally;
mod traffic;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use backend::Counts;
use connection::Trust;
use credentials::{Ledger, Means, ROTATED};
use process::Process;
use rotation::Rotation;
use seeded::Seeded;
use tally::Tally;
use traffic::{AT_ONCE, Worker};

const SECONDS: u64 = 12;
const WORKERS: u64 = 16;
/// How much longer it may take until everything has happened once.
const MORE_TIME: Duration = Duration::from_secs(60);
/// How long what is left may take to go.
const QUIET_WITHIN: Duration = Duration::from_secs(30);
/// How much more memory the last third may take than the second (medians): a tenth, and these KiB. In a run of half an hour the
/// first third fills what the proxy remembers, which it does for ten minutes.
const MORE_MEMORY: u64 = 1024;
/// Open files beyond those of connections: a question to the admin port may just be ending.
const MORE_FILES: usize = 4;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn no_verdict_is_wrong_and_nothing_is_left() {
    let seconds = number("CORRAL_SOAK_SECONDS").unwrap_or(SECONDS);
    let seed = number("CORRAL_SOAK_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    });
    println!("{seconds} s, CORRAL_SOAK_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let tally = Tally::default();
    let soaked = runtime.block_on(soak(Duration::from_secs(seconds), &Seeded::new(seed), &tally));
    let wrong = tally.report();
    soaked.unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for event in expected() {
        assert!(tally.of(event) > 0, "none: {event}");
    }
}

/// What has to happen for the rest to mean something.
fn expected() -> impl Iterator<Item = &'static str> {
    let let_in = ROTATED.into_iter().chain([Means::Nothing]).map(Means::let_in);
    let_in.chain([
        "refused",
        "shut out by address",
        "handshakes refused",
        "credentials changed",
        "connections of HTTP/2",
        "connections that a proxy introduced in version 1",
        "connections that a proxy introduced in version 2",
        "answers that came to their end",
    ])
}

async fn soak(time: Duration, seeded: &Seeded, tally: &Tally) -> io::Result<()> {
    let ledger = Ledger::default();
    let pairs = [rotation::pair(), rotation::pair()];
    let trust = Trust::new(&pairs);
    let rotation = Rotation::begin(&ledger, pairs)?;
    let (upstream, counts) = backend::start(seeded.branch(1)).await?;
    let process = Arc::new(Process::start(upstream, rotation.files())?);
    let idle = Left::now(&process, &counts)?;
    let (beginning, over) = (Instant::now(), CancellationToken::new());
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let worker = Worker {
                address: process.address,
                trust: trust.clone(),
                ledger: ledger.clone(),
                seeded: seeded.branch(2 + worker),
                tally: tally.clone(),
                beginning,
                over: over.clone(),
            };
            tokio::spawn(worker.run())
        })
        .collect();
    let rotating = tokio::spawn(rotation.run(Arc::clone(&process), tally.clone(), over.clone()));
    let memory = sample_memory(&process, beginning + time, tally).await?;
    over.cancel();
    // Its files stay until the end.
    let _rotation = rotating.await.map_err(io::Error::other)??;
    for worker in workers {
        worker.await.map_err(io::Error::other)?;
    }
    check_quiet(&process, &counts, &idle, tally).await?;
    check_memory(&memory, tally);
    println!(
        "{:>9}  requests at the upstream",
        counts.requests.load(Ordering::Relaxed)
    );
    let runs = Arc::into_inner(process).is_some_and(|mut process| process.runs());
    if !runs {
        tally.wrong("the proxy ended".to_owned());
    }
    Ok(())
}

/// Memory in KiB, until `end`, and on a machine that is very busy until all has happened that is expected.
async fn sample_memory(process: &Process, end: Instant, tally: &Tally) -> io::Result<Vec<u64>> {
    let is_over = || {
        let now = Instant::now();
        now >= end && (expected().all(|event| tally.of(event) > 0) || now >= end + MORE_TIME)
    };
    let mut samples = Vec::new();
    while !is_over() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        samples.push(process.memory()?);
    }
    Ok(samples)
}

fn check_memory(samples: &[u64], tally: &Tally) {
    let tenths: Vec<_> = samples.chunks(samples.len().div_ceil(10)).map(median).collect();
    println!("{tenths:?}  KiB of memory in each tenth of the time");
    let third = samples.len() / 3;
    let (middle, last) = (median(&samples[third..2 * third]), median(&samples[2 * third..]));
    println!("{middle:>9}  KiB in the second third, {last} in the last");
    if last > middle + middle / 10 + MORE_MEMORY {
        tally.wrong(format!("memory grew from {middle} to {last} KiB"));
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// What is open.
#[derive(Debug)]
struct Left {
    files: usize,
    connections: usize,
    exchanges: usize,
}

impl Left {
    fn now(process: &Process, counts: &Counts) -> io::Result<Self> {
        Ok(Self {
            files: process.open_files()?,
            connections: counts.connections.load(Ordering::Relaxed),
            exchanges: counts.exchanges.load(Ordering::Relaxed),
        })
    }

    /// Kept connections to the upstream are no leak, as long as there are no more than there were requests at a time;
    /// each is an open file.
    fn is_quiet_after(&self, idle: &Self) -> bool {
        let kept = self.connections.saturating_sub(idle.connections);
        let most_kept = usize::try_from(WORKERS * AT_ONCE).unwrap_or(usize::MAX) + 2;
        self.exchanges == 0 && kept <= most_kept && self.files <= idle.files + kept + MORE_FILES
    }
}

async fn check_quiet(process: &Process, counts: &Counts, idle: &Left, tally: &Tally) -> io::Result<()> {
    let start = Instant::now();
    loop {
        let (left, in_flight) = (Left::now(process, counts)?, process.in_flight().await?);
        if left.is_quiet_after(idle) && in_flight == "0" {
            println!(
                "{:>9}  open files, {} when it began; {left:?}",
                left.files, idle.files
            );
            return Ok(());
        }
        if start.elapsed() > QUIET_WITHIN {
            tally.wrong(format!(
                "left over: {left:?}, {in_flight} in flight; idle is {idle:?}"
            ));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
