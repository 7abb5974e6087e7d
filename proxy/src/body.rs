//! Bodies on their way through: each frame is passed on as it comes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::account::{Outcome, Record};
use crate::admit::InFlight;
use crate::patience::{PatienceError, Patient};
use crate::payload::{Payload, Place};
use crate::stream::events::EventStream;
use crate::stream::reading::Reading;
use crate::upstream::UploadError;
use crate::upstream_body::{BodyError, NextFrame, UpstreamBody};

/// The body of a request to the upstream.
#[derive(Debug)]
pub enum RequestBody {
    /// What a client sends, as it comes.
    Client(Limited<Patient<Incoming>>, Arc<InFlight>, Option<Box<Reading>>),
    /// What a client has sent, all of it, and its place in memory.
    Held(Full<Bytes>, Place),
}

impl RequestBody {
    /// The body that a client sends, and who looks at it as it passes.
    pub fn client(payload: Payload, in_flight: Arc<InFlight>, reading: Option<Box<Reading>>) -> Self {
        match payload {
            Payload::Streamed(incoming, limit) => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Self::Client(Limited::new(incoming, limit), in_flight, reading)
            }
            Payload::Held(bytes, place) => {
                in_flight.note_received(bytes.len());
                let bytes = match reading {
                    Some(mut reading) => reading.pass(bytes, &in_flight),
                    None => bytes,
                };
                Self::Held(Full::new(bytes), place)
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Client(incoming, in_flight, reading) => {
                let frame = ready!(poll_client(incoming, in_flight, context));
                Poll::Ready(
                    frame.map(|frame| frame.map(|frame| read(frame, reading.as_deref_mut(), in_flight))),
                )
            }
            Self::Held(full, _) => Pin::new(full)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client(incoming, ..) => incoming.is_end_stream(),
            Self::Held(full, _) => full.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client(_, _, Some(reading)) if reading.may_add() => SizeHint::new(),
            Self::Client(incoming, ..) => incoming.size_hint(),
            Self::Held(full, _) => full.size_hint(),
        }
    }
}

fn read(frame: Frame<Bytes>, reading: Option<&mut Reading>, in_flight: &InFlight) -> Frame<Bytes> {
    match reading {
        Some(reading) => frame.map_data(|piece| reading.pass(piece, in_flight)),
        None => frame,
    }
}

/// Trailers end here: no route of Ollama's reads any, and they could carry what headers may not.
fn poll_client(
    incoming: &mut Limited<Patient<Incoming>>,
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
        Some(Err(error)) => note_error(error, in_flight),
        None => {}
    }
    Poll::Ready(frame)
}

fn note_error(error: &UploadError, in_flight: &InFlight) {
    if error.is::<LengthLimitError>() {
        in_flight.note_upload_too_large();
    } else if let Some(PatienceError::Stalled(_)) = error.downcast_ref::<PatienceError<hyper::Error>>() {
        in_flight.note_upload_stalled();
    } else {
        in_flight.note_upload_broken();
    }
}

/// An answer of the upstream's.
#[derive(Debug)]
pub enum Answer {
    /// As it comes.
    Plain(Box<UpstreamBody>),
    /// A stream of events that something is done for.
    Events(Box<EventStream>),
}

/// The body of a response to a client. When it is dropped, the request is over and accounted for.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    /// Why it stops in its middle.
    broken: Option<BodyError>,
    record: Box<Record>,
}

#[derive(Debug)]
enum Source {
    Own(Option<Bytes>),
    Upstream(Answer),
}

impl ResponseBody {
    /// An answer of the proxy's own.
    pub fn own(bytes: Bytes, record: Box<Record>) -> Self {
        Self {
            source: Source::Own(Some(bytes).filter(|bytes| !bytes.is_empty())),
            broken: None,
            record,
        }
    }

    /// The upstream's answer.
    pub const fn upstream(answer: Answer, record: Box<Record>) -> Self {
        Self {
            source: Source::Upstream(answer),
            broken: None,
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
        let Self {
            source,
            broken,
            record,
        } = self.get_mut();
        if let Some(error) = broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match source {
            Source::Own(bytes) => noted(bytes.take().map(|bytes| Ok(Frame::data(bytes))), record),
            Source::Upstream(Answer::Plain(body)) => noted(ready!(body.poll(context)), record),
            Source::Upstream(Answer::Events(events)) => ready!(events.poll(context, record)),
        };
        match frame {
            Some(Err(error)) => {
                record.end(match &error {
                    BodyError::Cut(_) => Outcome::Cut,
                    BodyError::Upstream(_) => Outcome::UpstreamLeft,
                });
                // hyper ends the connection at an error, with what it still has to write, the answer's head too: it may do
                // that first.
                *broken = Some(error);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Ok(_)) => {}
            None => record.end(Outcome::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream(Answer::Plain(body)) => body.is_end_stream(),
            Source::Upstream(Answer::Events(events)) => events.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Source::Upstream(Answer::Plain(body)) => body.size_hint(),
            Source::Upstream(Answer::Events(_)) => SizeHint::new(),
        }
    }
}

fn noted(frame: NextFrame, record: &mut Record) -> NextFrame {
    if let Some(Ok(frame)) = &frame {
        let piece = frame.data_ref().map_or(&[][..], Bytes::as_ref);
        record.note_answered(piece);
        record.note_sent(piece.len());
    }
    frame
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // hyper drops the body of an answer to HEAD unread, and a body of known length after its last frame.
        if matches!(self.source, Source::Own(_)) || self.is_end_stream() {
            self.record.end(Outcome::Complete);
        }
        match &self.source {
            Source::Own(_) => {}
            Source::Upstream(Answer::Plain(body)) => self.record.note_received(body.received()),
            Source::Upstream(Answer::Events(events)) => self.record.note_received(events.received()),
        }
    }
}
