//! Streamed answers, and single small requests for what is not about speed.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

use super::Percentiles;
use crate::backend::{Generate, Options, Token};
use crate::clock;
use crate::fronts::Front;

/// Streams one after another, for the time to the first byte.
pub(crate) const SINGLE: u32 = 300;
/// Streams at once, for what a front adds to a token.
pub(crate) const AT_ONCE: u32 = 1000;
/// Tokens of each of them.
pub(crate) const TOKENS: u32 = 80;
/// Between two tokens of a stream: 20 tokens a second.
pub(crate) const INTERVAL: Duration = Duration::from_millis(50);
/// Within which they begin: longer than any front needs to open them, or most of what is slowest would be first tokens
/// that wait for other streams' beginning.
const BEGINNING: Duration = Duration::from_secs(1);

/// A connection to a front.
pub(crate) type Connection = SendRequest<Full<Bytes>>;

/// What many streams at once came to.
pub(crate) struct Tokens {
    /// From the fake Ollama to the client, for each token.
    pub(crate) delay: Percentiles,
    /// Processor time of the front for a token, in microseconds.
    pub(crate) processor_time: Option<f64>,
}

/// From a request to the first byte of its streamed body.
pub(crate) async fn first_byte(front: &Front) -> Result<Percentiles> {
    let mut connection = connect(front.address).await?;
    let mut samples = Vec::new();
    for _ in 0..SINGLE {
        let begin = clock::now();
        let mut answer = generate(&mut connection, front, 1, INTERVAL).await?;
        answer.frame().await.context("an empty stream")??;
        samples.push(microseconds(clock::now() - begin));
        answer.collect().await?;
    }
    Ok(Percentiles::of(&samples))
}

/// Many at once.
pub(crate) async fn tokens(front: &Front) -> Result<Tokens> {
    let before = front.processor_time()?;
    let streams = (0..AT_ONCE).map(|number| async move {
        // Evenly, and so over an interval too, as independent clients are.
        tokio::time::sleep(BEGINNING * number / AT_ONCE).await;
        delays(front).await
    });
    let delays = futures::future::try_join_all(streams).await?.concat();
    let expected = AT_ONCE * TOKENS;
    ensure!(
        u32::try_from(delays.len())? == expected,
        "{} of {expected} tokens arrived",
        delays.len()
    );
    let used = front
        .processor_time()?
        .zip(before)
        .map(|(after, before)| after - before);
    Ok(Tokens {
        delay: Percentiles::of(&delays),
        processor_time: used.map(|used| microseconds(used) / f64::from(expected)),
    })
}

/// How long each token of a stream was under way.
async fn delays(front: &Front) -> Result<Vec<f64>> {
    let mut connection = connect(front.address).await?;
    let mut answer = generate(&mut connection, front, TOKENS, INTERVAL).await?;
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

/// What a front answers to a small request with this `Authorization`.
pub(crate) async fn status(
    connection: &mut Connection,
    address: SocketAddr,
    authorization: Option<&str>,
) -> Result<StatusCode> {
    let mut request = Request::get("/api/version").header(HOST, address.to_string());
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    connection.ready().await?;
    let answer = connection.send_request(request.body(Full::default())?).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}

/// A stream of so many tokens, `interval` apart.
pub(crate) async fn generate(
    connection: &mut Connection,
    front: &Front,
    tokens: u32,
    interval: Duration,
) -> Result<Incoming> {
    let body = Generate {
        model: "fake".into(),
        prompt: "Why?".into(),
        options: Options {
            num_predict: tokens,
            interval,
        },
    };
    let request = Request::post("/api/generate")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "application/json")
        .header(AUTHORIZATION, &front.authorization)
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

/// A new connection.
pub(crate) async fn connect(address: SocketAddr) -> Result<Connection> {
    handshaken(TcpStream::connect(address).await?).await
}

/// A new connection from another address of the loopback network.
pub(crate) async fn connect_from(own: Ipv4Addr, address: SocketAddr) -> Result<Connection> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((own, 0).into())?;
    handshaken(socket.connect(address).await?).await
}

async fn handshaken(stream: TcpStream) -> Result<Connection> {
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
