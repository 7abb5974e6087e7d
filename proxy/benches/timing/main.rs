//! `make bench-timing`: whether the time of checking an API key tells anything of the keys in force.
//!
//! The method is dudect's (Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?", 2017): inputs of two
//! classes in an order by chance, the time of each single check, and Welch's t-test on the two. The keys of one class
//! begin like one in force, all but their last characters, the others are random: a comparison that stops at the first
//! difference takes longer for the first. That the measurement would see it is shown by such a comparison, measured in
//! the same way.
//!
//! dudect's own first class is one input again and again. Here it would show what caches and branch predictors do with a
//! look-up that is repeated, whatever key that is of.

mod welch;

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use corral_proxy::config::flags::Flags;
use corral_proxy::identify::Verifier;
use corral_proxy::in_force::InForce;
use futures::FutureExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;

use crate::welch::{Class, greatest_t};

/// Keys in force.
const KEYS: usize = 100;
/// Hexadecimal digits of a key.
const LENGTH: usize = 64;
/// How many of them a near miss has in common with a key in force.
const SHARED: usize = LENGTH - 8;
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Checks before the first that counts.
const WARM_UP: usize = 20_000;
/// Above this |t| the classes differ (dudect's bound): by chance that happens once in 100,000 times.
const SUSPICIOUS: f64 = 4.5;

/// Measures whether the time of checking an API key tells anything of the keys in force.
#[derive(Parser)]
struct Arguments {
    /// Checks that are measured.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    samples: usize,
    /// Given by `cargo bench`; without it, as under `cargo test --benches`, there is nothing to do.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Arguments { samples, bench } = Arguments::parse();
    if !bench {
        println!("not measured: `cargo bench` does that");
        return Ok(());
    }
    let keys: Vec<_> = (0..KEYS).map(|_| random_key()).collect::<Result<_>>()?;
    let stored = keys[0].as_bytes();
    let proxy = measure(samples, stored, identification(&keys)?)?;
    let naive = measure(samples, stored, naive_comparison(&keys))?;
    println!("{samples} checks each, {KEYS} keys in force: greatest |t| over all crops");
    println!("  the proxy's check of a key             {proxy:8.2}");
    println!("  a comparison that stops at a difference {naive:7.2}");
    ensure!(
        naive > SUSPICIOUS,
        "this machine is too noisy: it hides even a naive comparison"
    );
    ensure!(
        proxy < SUSPICIOUS,
        "the time of a check depends on the key: |t| is {proxy:.2}"
    );
    println!("the proxy's is below {SUSPICIOUS}: nothing can be told from its time");
    Ok(())
}

/// What `openssl rand -hex 32` prints.
fn random_key() -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("no random numbers")?;
    Ok(hex::encode(bytes))
}

/// The proxy's own step, with these keys in force.
fn identification(keys: &[String]) -> Result<impl Fn(&Parts) -> bool> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), keys.join("\n"))?;
    let in_force = in_force(file.path())?;
    let verifier = Verifier::new(Counter::default())?;
    let address = in_force
        .addresses
        .client([192, 0, 2, 1].into(), &http::HeaderMap::new())?;
    Ok(move |head: &Parts| {
        let identified = verifier.identify(&in_force.credentials, head, None, address);
        identified.now_or_never().is_some_and(|identity| identity.is_ok())
    })
}

fn in_force(keys: &Path) -> Result<InForce> {
    let flags = Flags {
        api_keys: Some(keys.to_owned()),
        ..Flags::default()
    };
    Ok(InForce::first(flags.load()?))
}

/// What the proxy doesn't do.
fn naive_comparison(keys: &[String]) -> impl Fn(&Parts) -> bool {
    let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.clone().into_bytes()).collect();
    move |head: &Parts| {
        let shown = head.headers[X_API_KEY].as_bytes();
        keys.iter().any(|key| {
            let mut pairs = key.iter().zip(shown);
            key.len() == shown.len() && pairs.all(|(stored, shown)| black_box(stored) == black_box(shown))
        })
    }
}

/// The greatest |t| of so many checks. Each key is made for its check, in the same way in both classes: of keys that come
/// again, each has a time of its own, by its place in the table.
fn measure(samples: usize, stored: &[u8], check: impl Fn(&Parts) -> bool) -> Result<f64> {
    let (mut head, ()) = http::Request::get("/api/tags").body(())?.into_parts();
    let mut times = Vec::with_capacity(samples + WARM_UP);
    for _ in 0..samples + WARM_UP {
        let mut chance = [0; 2 * LENGTH];
        getrandom::fill(&mut chance).context("no random numbers")?;
        let is_near = chance[0] & 1 == 1;
        let digits = chance.map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]);
        let (random, other) = digits.split_at(LENGTH);
        let mut key = random.to_vec();
        let (class, beginning) = if is_near {
            (Class::Near, stored)
        } else {
            (Class::Random, other)
        };
        key[..SHARED].copy_from_slice(&beginning[..SHARED]);
        head.headers.insert(X_API_KEY, HeaderValue::from_bytes(&key)?);
        let start = Instant::now();
        let known = black_box(check(black_box(&head)));
        times.push((class, start.elapsed().as_nanos() as f64));
        ensure!(!known, "a key that isn't in force was let in");
    }
    Ok(greatest_t(&times[WARM_UP..]))
}
