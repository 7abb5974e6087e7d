//! A connection of HTTP/2 (RFC 9113): many requests at once, with a bound on all that a client can pile up.

mod origin_form;
mod streams;

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::close::close;
use super::transport::Transport;
use super::{Acceptor, Limits};
use crate::body::ResponseBody;
use crate::peer::Peer;
use crate::pipeline;
use crate::proxy::Proxy;
use streams::Streams;

/// Streams that may be open at once on a connection; RFC 9113, section 6.5.2, advises against fewer. Further ones are
/// refused.
const MOST_STREAMS: u32 = 100;
/// Streams that a client may reset before they are looked at, or make the proxy reset by breaking the rules. Then the
/// connection is closed (CVE-2023-44487, CVE-2025-8671).
const MOST_RESETS: usize = 100;
/// Bytes of a request's body that may wait to be read.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same for all requests of a connection together.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// How often a quiet client is asked whether it is still there: one that is gone would else keep its generation running.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client without requests may take to agree to the end of its connection.
const FAREWELL: Duration = Duration::from_secs(2);

impl Acceptor {
    /// Serves the connection to its end.
    pub(super) async fn serve_http2(&self, mut transport: Transport, peer: Arc<Peer>) {
        let streams = Streams::new(self.connections.clone());
        let service = service_fn(|request| respond(&self.proxy, &peer, &streams, request));
        let served = {
            let io = TokioIo::new(&mut transport);
            let mut connection = pin!(builder(&self.limits, streams.clone()).serve_connection(io, service));
            tokio::select! {
                served = connection.as_mut() => served,
                () = streams.flooded() => Ok(()),
                () = self.is_to_end(&streams) => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        served = connection => served,
                        () = streams.flooded() => Ok(()),
                        () = streams.unused(FAREWELL) => Ok(()),
                    }
                }
            }
        };
        close(transport, served, &peer).await;
    }

    /// Ready once the proxy drains, or the client has had no request for a while.
    async fn is_to_end(&self, streams: &Streams) {
        tokio::select! {
            () = self.draining.cancelled() => {}
            () = streams.unused(self.limits.head_timeout) => {}
        }
    }
}

fn builder(limits: &Limits, streams: Streams) -> Builder<Streams> {
    let Limits {
        handshake_timeout: _,
        head_timeout: _,
        head_size,
        buffer_size,
    } = *limits;
    let mut builder = Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(head_size).unwrap_or(u32::MAX))
        .max_send_buf_size(buffer_size)
        .max_concurrent_streams(MOST_STREAMS)
        .max_pending_accept_reset_streams(MOST_RESETS)
        .max_local_error_reset_streams(MOST_RESETS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn respond(
    proxy: &Arc<Proxy>,
    peer: &Arc<Peer>,
    streams: &Streams,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + Send + use<> {
    let (proxy, peer, unanswered) = (Arc::clone(proxy), Arc::clone(peer), streams.unanswered());
    let answering = pipeline::answer(proxy, peer, origin_form::in_origin_form(request));
    async move {
        let response = answering.await;
        unanswered.answered();
        Ok(response)
    }
}
