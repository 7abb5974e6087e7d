//! A fake Ollama that answers at once, so that a front's own cost shows: `GET` gives a small JSON object, `POST`
//! streams `options.num_predict` tokens, each with the time at which it was sent.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use futures::Stream;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tokio::time::{Instant, Interval, interval_at};

use crate::clock;

/// The part of `/api/generate`'s body that counts here.
#[derive(Serialize, Deserialize)]
pub(crate) struct Generate {
    pub(crate) model: String,
    pub(crate) prompt: String,
    pub(crate) options: Options,
}

/// Ollama's generation options.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Options {
    pub(crate) num_predict: u32,
    /// Between two tokens. Ollama has no such option.
    pub(crate) interval: Duration,
}

/// A line of the streamed answer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) response: String,
    pub(crate) done: bool,
    /// When it was sent, by [`clock::now`].
    pub(crate) sent: Duration,
}

/// Serves on a free port of 127.0.0.1, on a thread of its own, until the process ends.
pub(crate) fn start() -> Result<SocketAddr> {
    let (listener, address) = listen()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("fake-ollama".into())
        .spawn(move || runtime.block_on(serve(listener)))?;
    Ok(address)
}

/// Serves on a free port of 127.0.0.1 on the thread of its clients, for as long as that drives `runtime`: neither waits
/// then until the system takes the processor from the other, which is milliseconds.
pub(crate) fn start_beside_clients(runtime: &Runtime) -> Result<SocketAddr> {
    let (listener, address) = listen()?;
    runtime.spawn(serve(listener));
    Ok(address)
}

fn listen() -> Result<(std::net::TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn serve(listener: std::net::TcpListener) -> Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    loop {
        let (connection, _) = listener.accept().await?;
        connection.set_nodelay(true)?;
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service_fn(answer)),
        );
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Full<Bytes>, StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>>>>>> {
    let (content_type, body) = if request.method() == Method::POST {
        let body = request.into_body().collect().await?.to_bytes();
        let generate: Generate = serde_json::from_slice(&body)?;
        (
            "application/x-ndjson",
            Either::Right(StreamBody::new(tokens(generate.options))),
        )
    } else {
        (
            "application/json",
            Either::Left(Full::from(r#"{"version":"0.17.4"}"#)),
        )
    };
    Ok(Response::builder()
        .header(http::header::CONTENT_TYPE, content_type)
        .body(body)?)
}

/// The first token comes at once, each other an interval after the one before it.
fn tokens(options: Options) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    let Options {
        num_predict,
        interval,
    } = options;
    futures::stream::unfold((None, num_predict), move |(timer, left)| async move {
        let left = left.checked_sub(1)?;
        let timer = wait(timer, interval).await;
        Some((Ok(Frame::data(line(left == 0))), (Some(timer), left)))
    })
}

/// Before the first token there is no waiting: a timer would add up to its millisecond.
async fn wait(timer: Option<Interval>, interval: Duration) -> Interval {
    match timer {
        None => interval_at(Instant::now() + interval, interval),
        Some(mut timer) => {
            timer.tick().await;
            timer
        }
    }
}

fn line(done: bool) -> Bytes {
    let token = Token {
        response: "word ".into(),
        done,
        sent: clock::now(),
    };
    let mut line = serde_json::to_vec(&token).unwrap_or_default();
    line.push(b'\n');
    line.into()
}
