//! A connection of HTTP/1: one request after the other.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::close::close;
use super::timer::ConnectionTimer;
use super::transport::Transport;
use super::{Acceptor, Limits};
use crate::body::ResponseBody;
use crate::peer::Peer;
use crate::pipeline;
use crate::proxy::Proxy;

impl Acceptor {
    /// Serves the connection to its end.
    pub(super) async fn serve_http1(&self, transport: Transport, peer: Arc<Peer>) {
        let service = service_fn(|request| respond(Arc::clone(&self.proxy), Arc::clone(&peer), request));
        let mut connection = builder(&self.limits).serve_connection(TokioIo::new(transport), service);
        let mut draining = pin!(self.draining.cancelled());
        let mut is_draining = false;
        let served = poll_fn(|context| {
            if !is_draining && draining.as_mut().poll(context).is_ready() {
                is_draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            connection.poll_without_shutdown(context)
        })
        .await;
        let transport = connection.into_parts().io.into_inner();
        if let Some(status) = served.as_ref().err().and_then(refused_by_hyper) {
            self.proxy.accounting().note_unreadable(peer.address, status);
        }
        close(transport, served, &peer).await;
    }
}

fn builder(limits: &Limits) -> Builder {
    let Limits {
        handshake_timeout: _,
        head_timeout,
        head_size,
        buffer_size,
    } = *limits;
    let mut builder = Builder::new();
    builder
        .timer(ConnectionTimer::new())
        .header_read_timeout(head_timeout)
        .max_header_size(head_size)
        .max_buf_size(buffer_size)
        // One `send` costs the system less than `writev`; what is copied for it is short.
        .writev(false);
    builder
}

type Responding = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

/// Boxed: hyper can only give the stream back of a service whose futures may move.
fn respond(proxy: Arc<Proxy>, peer: Arc<Peer>, request: Request<Incoming>) -> Responding {
    let answering = pipeline::answer(proxy, peer, request);
    Box::pin(async move { Ok(answering.await) })
}

/// What hyper has answered to a head that is no HTTP.
fn refused_by_hyper(error: &hyper::Error) -> Option<StatusCode> {
    if error.is_parse_too_large() {
        return Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    (error.is_parse() && !error.is_parse_version_h2()).then_some(StatusCode::BAD_REQUEST)
}
