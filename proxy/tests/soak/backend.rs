//! A stand-in for Ollama that counts who is connected, and leaves now and then.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::seeded::Seeded;

/// Says to the client that this answer will break off: it isn't the proxy's fault.
pub(crate) const BREAKS: &str = "x-soak-breaks";

/// What is open.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) connections: AtomicUsize,
    pub(crate) exchanges: AtomicUsize,
    pub(crate) requests: AtomicU64,
}

/// One more for as long as it lives.
struct Open(Arc<Counts>, fn(&Counts) -> &AtomicUsize);

impl Open {
    fn new(counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicUsize) -> Self {
        which(counts).fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts), which)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

type Body = BoxBody<Bytes, io::Error>;

/// Serves for as long as the runtime lives.
pub(crate) async fn start(seeded: Seeded) -> io::Result<(SocketAddr, Arc<Counts>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let counts = Arc::<Counts>::default();
    let (shared, seeded) = (Arc::clone(&counts), Arc::new(Mutex::new(seeded)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (counts, seeded) = (Arc::clone(&shared), Arc::clone(&seeded));
            tokio::spawn(async move {
                let _open = Open::new(&counts, |counts| &counts.connections);
                let service = service_fn(|request| answer(request, Arc::clone(&counts), Arc::clone(&seeded)));
                // It ends with an error where the one side or the other has left: both do.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok((address, counts))
}

async fn answer(
    request: Request<Incoming>,
    counts: Arc<Counts>,
    seeded: Arc<Mutex<Seeded>>,
) -> io::Result<Response<Body>> {
    let open = Open::new(&counts, |counts| &counts.exchanges);
    counts.requests.fetch_add(1, Ordering::Relaxed);
    let is_ours = request.headers().contains_key("x-forwarded-for");
    let streams = request.uri().path() == "/api/generate";
    request.into_body().collect().await.map_err(io::Error::other)?;
    let plan = Plan::by_chance(&mut seeded.lock().expect("no thread panics"));
    if is_ours && plan.leaves {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    if !streams {
        drop(open);
        let body = http_body_util::Full::from("{\"version\":\"0.17.4\",\"models\":[]}");
        return Ok(Response::new(
            body.map_err(|never: Infallible| match never {}).boxed(),
        ));
    }
    let mut response = Response::builder().header("content-type", "application/x-ndjson");
    if plan.breaks {
        response = response.header(BREAKS, "1");
    }
    response.body(generation(plan, open)).map_err(io::Error::other)
}

/// What becomes of a request.
#[derive(Clone, Copy)]
struct Plan {
    leaves: bool,
    breaks: bool,
    chunks: u64,
    pause: Duration,
}

impl Plan {
    fn by_chance(seeded: &mut Seeded) -> Self {
        Self {
            leaves: seeded.percent(2),
            breaks: seeded.percent(5),
            chunks: 1 + seeded.below(60),
            pause: Duration::from_millis(1 + seeded.below(30)),
        }
    }
}

fn generation(plan: Plan, open: Open) -> Body {
    let Plan {
        breaks,
        chunks,
        pause,
        ..
    } = plan;
    let chunks = stream::iter(0..chunks).then(move |_| async move {
        tokio::time::sleep(pause).await;
        Ok(Frame::data(Bytes::from_static(
            b"{\"model\":\"m\",\"response\":\"word \",\"done\":false}\n",
        )))
    });
    let end = stream::once(async move {
        drop(open);
        if breaks {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(Frame::data(Bytes::from_static(
            b"{\"model\":\"m\",\"response\":\"\",\"done\":true,\"prompt_eval_count\":3,\"eval_count\":5}\n",
        )))
    });
    BodyExt::boxed(StreamBody::new(
        Box::pin(chunks.chain(end)) as std::pin::Pin<Box<dyn futures::Stream<Item = _> + Send + Sync>>
    ))
}
