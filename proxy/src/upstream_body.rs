//! The upstream's response on its way, for as long as its request may have it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use crate::admit::{Admission, InFlight};
use crate::in_force::NoLonger;
use crate::upstream::{Content, ExchangeError};

/// Why a response stops in its middle. The client's connection is then closed without the end of the body, so that
/// it can't take the part for the whole.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The client may no longer have it.
    #[error(transparent)]
    Cut(NoLonger),
    /// The upstream left.
    #[error("the upstream ended the response early: {0}")]
    Upstream(ExchangeError),
}

/// What comes next of a response; none at its end.
pub type NextFrame = Option<Result<Frame<Bytes>, BodyError>>;

/// A response that comes from the upstream. It holds the admission.
#[derive(Debug)]
pub struct UpstreamBody {
    content: Content,
    admission: Admission,
}

impl UpstreamBody {
    /// The body of the upstream's response.
    pub const fn new(content: Content, admission: Admission) -> Self {
        Self { content, admission }
    }

    /// What comes next.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<NextFrame> {
        if let Poll::Ready(reason) = self.admission.poll_cut(context) {
            self.content.close();
            return Poll::Ready(Some(Err(BodyError::Cut(reason))));
        }
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Upstream)))
    }

    /// Whether nothing comes any more.
    pub fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    /// How much is still to come.
    pub fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }

    /// The part that the request's body reports to.
    pub fn in_flight(&self) -> Arc<InFlight> {
        self.admission.in_flight()
    }

    /// Bytes of the request's body so far.
    pub fn received(&self) -> u64 {
        self.admission.received()
    }
}
