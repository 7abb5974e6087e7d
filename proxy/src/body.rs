//! Bodies on their way through: each frame is passed on as it comes.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use thiserror::Error;

use crate::account::{Outcome, Record};
use crate::admit::{Admission, InFlight};
use crate::in_force::NoLonger;
use crate::inspect::{Payload, Place};
use crate::upstream::Lease;

/// The body of a request to the upstream.
#[derive(Debug)]
pub enum RequestBody {
    /// What a client sends, as it comes.
    Client(Limited<Incoming>, Arc<InFlight>),
    /// What a client has sent, every byte as it came, and its place in memory.
    Held(Full<Bytes>, Place),
    /// The proxy's own.
    Own(Full<Bytes>),
}

impl RequestBody {
    /// The body that a client sends.
    pub fn client(payload: Payload, in_flight: Arc<InFlight>) -> Self {
        match payload {
            Payload::Streamed(incoming, limit) => {
                if incoming.is_end_stream() {
                    in_flight.note_upload_complete();
                }
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Self::Client(Limited::new(incoming, limit), in_flight)
            }
            Payload::Held(bytes, place) => {
                in_flight.note_received(bytes.len());
                in_flight.note_upload_complete();
                Self::Held(Full::new(bytes), place)
            }
        }
    }

    /// A body of the proxy's own.
    pub fn own(bytes: impl Into<Bytes>) -> Self {
        Self::Own(Full::new(bytes.into()))
    }
}

/// What ends an upload early.
type UploadError = Box<dyn Error + Send + Sync>;

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Client(incoming, in_flight) => poll_client(incoming, in_flight, context),
            Self::Held(full, _) | Self::Own(full) => Pin::new(full)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client(incoming, _) => incoming.is_end_stream(),
            Self::Held(full, _) | Self::Own(full) => full.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client(incoming, _) => incoming.size_hint(),
            Self::Held(full, _) | Self::Own(full) => full.size_hint(),
        }
    }
}

/// Trailers end here: no route of Ollama's reads any, and they could carry what headers may not.
fn poll_client(
    incoming: &mut Limited<Incoming>,
    in_flight: &InFlight,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
    let frame = loop {
        match ready!(Pin::new(&mut *incoming).poll_frame(context)) {
            Some(Ok(frame)) if frame.is_trailers() => {}
            frame => break frame,
        }
    };
    match &frame {
        Some(Ok(frame)) => in_flight.note_received(frame.data_ref().map_or(0, Bytes::len)),
        Some(Err(error)) if error.is::<LengthLimitError>() => in_flight.note_upload_too_large(),
        Some(Err(_)) => in_flight.note_upload_broken(),
        None => {}
    }
    if frame.is_none() || incoming.is_end_stream() {
        in_flight.note_upload_complete();
    }
    Poll::Ready(frame)
}

/// Why a response stops in its middle. The client's connection is then closed without the end of the body, so that
/// it can't take the part for the whole.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The client may no longer have it.
    #[error(transparent)]
    Cut(NoLonger),
    /// The upstream left.
    #[error("the upstream ended the response early: {0}")]
    Upstream(hyper::Error),
}

/// A response that comes from the upstream. It holds the admission, and the connection that it comes on.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    admission: Admission,
    lease: Option<Lease>,
}

impl UpstreamBody {
    /// The body of the upstream's response.
    pub const fn new(incoming: Incoming, admission: Admission, lease: Lease) -> Self {
        Self {
            incoming,
            admission,
            lease: Some(lease),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(reason) = self.admission.poll_cut(context) {
            self.lease = None;
            return Poll::Ready(Some(Err(BodyError::Cut(reason))));
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.finish();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Upstream)))
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish(self.admission.upload_is_complete());
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // hyper doesn't poll a body that is empty from the start.
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }
}

/// The body of a response to a client. When it is dropped, the request is over and accounted for.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    record: Record,
}

#[derive(Debug)]
enum Source {
    Own(Option<Bytes>),
    Upstream(Box<UpstreamBody>),
}

impl ResponseBody {
    /// An answer of the proxy's own.
    pub fn own(bytes: Bytes, record: Record) -> Self {
        Self {
            source: Source::Own(Some(bytes).filter(|bytes| !bytes.is_empty())),
            record,
        }
    }

    /// The upstream's answer.
    pub fn upstream(body: UpstreamBody, record: Record) -> Self {
        Self {
            source: Source::Upstream(Box::new(body)),
            record,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { source, record } = self.get_mut();
        let frame = match source {
            Source::Own(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Source::Upstream(body) => ready!(body.poll(context)),
        };
        match &frame {
            Some(Ok(frame)) => record.note_sent(frame.data_ref().map_or(&[], Bytes::as_ref)),
            Some(Err(BodyError::Cut(_))) => record.end(Outcome::Cut),
            Some(Err(BodyError::Upstream(_))) => record.end(Outcome::UpstreamLeft),
            None => record.end(Outcome::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Upstream(body) => body.incoming.size_hint(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // hyper drops the body of an answer to HEAD unread, and a body of known length after its last frame.
        if matches!(self.source, Source::Own(_)) || self.is_end_stream() {
            self.record.end(Outcome::Complete);
        }
        if let Source::Upstream(body) = &self.source {
            self.record.note_received(body.admission.received());
        }
    }
}
