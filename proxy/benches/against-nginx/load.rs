//! The load on a front: small requests as fast as they go (by wrk), then streams.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::backend::{Generate, Options, TOKEN_INTERVAL, Token};
use crate::clock;
use crate::front::{Front, KEY};
use crate::statistics::percentile;

/// Connections of wrk.
pub(crate) const CONNECTIONS: u32 = 32;
/// How long wrk sends.
pub(crate) const SECONDS: u32 = 3;
/// Streams one after another, for the time to the first byte.
pub(crate) const SINGLE_STREAMS: u32 = 300;
/// Streams at once, for what a front adds to a token.
pub(crate) const STREAMS: u32 = 100;
/// Tokens of each of them.
pub(crate) const TOKENS: u32 = 50;

/// What wrk says at the end, for this program to read.
const WRK_SCRIPT: &str = r#"
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;

/// A front's turn. Times are in microseconds.
pub(crate) struct Measurement {
    pub(crate) gets: Gets,
    /// From a request to the first byte of its streamed body.
    pub(crate) first_byte: Percentiles,
    /// From the fake Ollama to the client, for each token.
    pub(crate) token: Percentiles,
}

/// Small requests, as fast as they go.
pub(crate) struct Gets {
    pub(crate) per_second: f64,
    pub(crate) latency: Percentiles,
    /// Processor time of the front for a request.
    pub(crate) processor_time: Option<f64>,
}

/// The usual two.
#[derive(Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Percentiles {
    fn of(samples: &[f64]) -> Self {
        Self {
            p50: percentile(samples, 0.5),
            p99: percentile(samples, 0.99),
        }
    }
}

/// All the loads, one after another.
pub(crate) fn measure(runtime: &Runtime, front: &Front, folder: &Path) -> Result<Measurement> {
    Ok(Measurement {
        gets: gets(front, folder)?,
        first_byte: runtime.block_on(first_byte(front.address))?,
        token: runtime.block_on(token(front.address))?,
    })
}

#[derive(Deserialize)]
struct WrkSummary {
    requests: u32,
    microseconds: u32,
    p50: u32,
    p99: u32,
    errors: u32,
}

fn gets(front: &Front, folder: &Path) -> Result<Gets> {
    let before = front.processor_time()?;
    let summary = wrk(front, folder)?;
    let requests = f64::from(summary.requests);
    let used = front
        .processor_time()?
        .zip(before)
        .map(|(after, before)| after - before);
    Ok(Gets {
        per_second: requests * 1e6 / f64::from(summary.microseconds),
        latency: Percentiles {
            p50: summary.p50.into(),
            p99: summary.p99.into(),
        },
        processor_time: used.map(|used| used.as_secs_f64() * 1e6 / requests),
    })
}

fn wrk(front: &Front, folder: &Path) -> Result<WrkSummary> {
    let script = folder.join("wrk.lua");
    fs::write(&script, WRK_SCRIPT)?;
    let output = Command::new("wrk")
        .args([
            "--threads",
            "1",
            "--connections",
            &CONNECTIONS.to_string(),
            "--duration",
            &format!("{SECONDS}s"),
        ])
        .args(["--header", &format!("Authorization: Bearer {KEY}"), "--script"])
        .arg(script)
        .arg(format!("http://{}/api/version", front.address))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().context("wrk says nothing")?;
    let summary: WrkSummary = serde_json::from_str(last).with_context(|| format!("wrk says: {text}"))?;
    ensure!(
        summary.errors == 0,
        "{} of {} requests failed: {text}",
        summary.errors,
        summary.requests
    );
    Ok(summary)
}

async fn first_byte(address: SocketAddr) -> Result<Percentiles> {
    let mut connection = connect(address).await?;
    let mut samples = Vec::new();
    for _ in 0..SINGLE_STREAMS {
        let begin = clock::now();
        let mut answer = generate(&mut connection, 1).await?;
        answer.frame().await.context("an empty stream")??;
        samples.push(microseconds(clock::now() - begin));
        answer.collect().await?;
    }
    Ok(Percentiles::of(&samples))
}

async fn token(address: SocketAddr) -> Result<Percentiles> {
    let streams = (0..STREAMS).map(|number| async move {
        // Spread over an interval, as independent clients are.
        tokio::time::sleep(TOKEN_INTERVAL * number / STREAMS).await;
        delays(address).await
    });
    let delays = futures::future::try_join_all(streams).await?.concat();
    let expected = STREAMS * TOKENS;
    ensure!(
        u32::try_from(delays.len())? == expected,
        "{} of {expected} tokens arrived",
        delays.len()
    );
    Ok(Percentiles::of(&delays))
}

/// How long each token of a stream was under way.
async fn delays(address: SocketAddr) -> Result<Vec<f64>> {
    let mut connection = connect(address).await?;
    let mut answer = generate(&mut connection, TOKENS).await?;
    let (mut delays, mut buffer) = (Vec::new(), Vec::new());
    while let Some(frame) = answer.frame().await {
        let arrived = clock::now();
        buffer.extend_from_slice(frame?.data_ref().map_or(&[], |data| &data[..]));
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let token: Token = serde_json::from_slice(&buffer[..end])?;
            delays.push(microseconds(arrived - token.sent));
            buffer.drain(..=end);
        }
    }
    Ok(delays)
}

/// What a front answers to a small request with this key.
pub(crate) async fn status(address: SocketAddr, key: Option<&str>) -> Result<StatusCode> {
    let mut request = Request::get("/api/version").header(HOST, address.to_string());
    if let Some(key) = key {
        request = request.header(AUTHORIZATION, format!("Bearer {key}"));
    }
    let answer = connect(address)
        .await?
        .send_request(request.body(Full::default())?)
        .await?;
    Ok(answer.status())
}

async fn generate(connection: &mut SendRequest<Full<Bytes>>, tokens: u32) -> Result<Incoming> {
    let body = Generate {
        model: "fake".into(),
        prompt: "Why?".into(),
        options: Options { num_predict: tokens },
    };
    let request = Request::post("/api/generate")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, format!("Bearer {KEY}"))
        .body(Full::from(serde_json::to_vec(&body)?))?;
    connection.ready().await?;
    let answer: Response<Incoming> = connection.send_request(request).await?;
    ensure!(
        answer.status() == StatusCode::OK,
        "the answer to a stream is {}",
        answer.status()
    );
    Ok(answer.into_body())
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
