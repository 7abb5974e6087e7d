//! The body of a response, as it comes.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};

use super::connection::Connection;
use super::head::{Framing, Head};
use super::{ExchangeError, Upstream};

/// What comes from an Ollama. It holds the connection that it comes on: read to its end, it keeps that for the next
/// request; dropped before, it closes it, and the upstream stops what it does.
#[derive(Debug)]
pub struct Content {
    framing: Framing,
    keeps_alive: bool,
    connection: Option<Box<Connection>>,
    upstream: Arc<Upstream>,
}

impl Content {
    /// The body that follows a head.
    pub(super) fn after(head: Head, connection: Box<Connection>, upstream: Arc<Upstream>) -> Response<Self> {
        let Head {
            response,
            framing,
            keeps_alive,
        } = head;
        let mut content = Self {
            framing,
            keeps_alive,
            connection: Some(connection),
            upstream,
        };
        content.finish_when_ended();
        response.map(|()| content)
    }

    /// Reads no more of it.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// A connection on which the request isn't through (the upstream answered early) isn't used again.
    fn finish_when_ended(&mut self) {
        if !self.framing.is_ended() {
            return;
        }
        if let Some(connection) = self.connection.take()
            && self.keeps_alive
            && connection.is_through()
        {
            self.upstream.keep(connection);
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = ExchangeError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        let Self {
            framing, connection, ..
        } = &mut *self;
        let Some(open) = connection else {
            return Poll::Ready(None);
        };
        let piece = ready!(open.poll_content(framing, context));
        match &piece {
            Ok(_) => self.finish_when_ended(),
            Err(_) => self.close(),
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.framing.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        self.framing
            .left()
            .map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
