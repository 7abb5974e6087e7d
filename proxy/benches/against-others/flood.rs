//! Wrong passwords at a steady rate: what they cost those who are in, and those who come for the first time.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use corral_measure::statistics::Spread;
use http::StatusCode;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::fronts::{Corral, Front, PASSWORD, Place, USER};
use crate::load::requests;
use crate::load::streams::{connect, connect_from, status};

/// Wrong passwords a second: half of them of a user that there is.
pub(crate) const PER_SECOND: u32 = 100;
/// Where they come from: not from where the others do.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// How long requests with a key are counted, from the beginning of the flood: it takes more in the first seconds.
pub(crate) const SECONDS: u32 = 20;
/// How often it is measured.
pub(crate) const ROUNDS: usize = 3;

/// What a flood does.
pub(crate) struct Flood {
    /// Requests a second of a client that is in, as a share of those without a flood.
    pub(crate) share: Spread,
    /// How long a user's first request with the right password takes meanwhile, in milliseconds.
    pub(crate) first_login: Spread,
}

/// On a front of its own, which may use every processor.
pub(crate) fn measure(runtime: &tokio::runtime::Runtime, place: &Place<'_>) -> Result<Flood> {
    let (mut shares, mut logins) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Anew each time, so that no password has been checked before.
        let front = Corral::api_key(place)?;
        let calm = requests::measure(&front, place.folder, SECONDS)?.per_second;
        let (flooded, login) = runtime.block_on(flooded(&front, place.folder))?;
        shares.push(flooded / calm);
        logins.push(login.as_secs_f64() * 1e3);
    }
    Ok(Flood {
        share: Spread::of(shares.into_iter()),
        first_login: Spread::of(logins.into_iter()),
    })
}

async fn flooded(front: &Front, folder: &Path) -> Result<(f64, Duration)> {
    let address = front.address;
    let (stop, mut stopped) = oneshot::channel::<()>();
    let flood = tokio::spawn(async move {
        let mut attempts = JoinSet::new();
        let mut pace = interval(Duration::from_secs(1) / PER_SECOND);
        for number in 0_u32.. {
            tokio::select! {
                _ = &mut stopped => break,
                _ = pace.tick() => {}
            }
            let user = if number % 2 == 0 { USER } else { "nobody" };
            let wrong = basic(user, &format!("wrong-{number}"));
            attempts.spawn(async move {
                let mut connection = connect_from(ELSEWHERE, address).await?;
                status(&mut connection, address, Some(&wrong)).await
            });
            while attempts.try_join_next().is_some() {}
        }
        // The front would wait for connections that nobody closes.
        attempts.shutdown().await;
    });
    let running = requests::begin(front, folder, SECONDS)?;
    sleep(Duration::from_secs(2)).await;
    let login = first_login(front).await?;
    let rate = tokio::task::spawn_blocking(move || running.finish()).await??;
    drop(stop);
    flood.await?;
    Ok((rate, login))
}

/// A client that is told to come again does so.
async fn first_login(front: &Front) -> Result<Duration> {
    let begin = Instant::now();
    let right = basic(USER, PASSWORD);
    let mut connection = connect(front.address).await?;
    loop {
        match status(&mut connection, front.address, Some(&right)).await? {
            StatusCode::OK => return Ok(begin.elapsed()),
            StatusCode::SERVICE_UNAVAILABLE => sleep(Duration::from_millis(100)).await,
            other => anyhow::bail!("the right password gets {other}"),
        }
        ensure!(
            begin.elapsed() < Duration::from_secs(60),
            "the right password isn't let in for a minute"
        );
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
