//! A stream of events on its way to the client.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use tokio::time::Instant;

use super::heartbeat::Heartbeat;
use super::late::{Answer, Failure, Late};
use super::usage::UsageFilter;
use super::{Plan, is_events};
use crate::account::Record;
use crate::admit::{Admission, InFlight};
use crate::shape::Shape;
use crate::upstream_body::{BodyError, NextFrame, UpstreamBody};

/// A stream with heartbeats, and without what only the proxy has asked for.
#[derive(Debug)]
pub struct EventStream {
    source: Source,
    heartbeat: Option<Heartbeat>,
    usage: Option<UsageFilter>,
    in_flight: Arc<InFlight>,
}

#[derive(Debug)]
enum Source {
    Late(Late),
    Upstream(UpstreamBody),
    Ended,
}

impl EventStream {
    /// Whether an answer with this head needs it.
    pub fn is_needed(status: StatusCode, headers: &HeaderMap, admission: &Admission, plan: Plan) -> bool {
        status == StatusCode::OK
            && is_events(headers)
            && (plan.heartbeat().is_some() || admission.in_flight().usage_was_added())
    }

    /// A stream whose head has come.
    pub fn new(body: UpstreamBody, shape: Shape, plan: Plan) -> Self {
        let in_flight = body.in_flight();
        let heartbeat = plan
            .heartbeat()
            .map(|interval| Heartbeat::new(shape, interval, Instant::now() + interval));
        Self {
            usage: usage(&in_flight),
            source: Source::Upstream(body),
            heartbeat,
            in_flight,
        }
    }

    /// A stream whose head is sent before it has come, after an interval of silence.
    pub fn late(late: Late, interval: Duration) -> Self {
        Self {
            usage: usage(&late.in_flight),
            heartbeat: Some(Heartbeat::new(late.shape, interval, Instant::now())),
            in_flight: Arc::clone(&late.in_flight),
            source: Source::Late(late),
        }
    }

    /// Bytes of the request's body so far.
    pub fn received(&self) -> u64 {
        self.in_flight.received()
    }

    /// Whether nothing more comes.
    pub const fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    /// What comes next: the upstream's, or a heartbeat.
    pub fn poll(&mut self, context: &mut Context<'_>, record: &mut Record) -> Poll<NextFrame> {
        loop {
            let frame = match self.poll_source(context, record) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return self.poll_heartbeat(context, record),
            };
            let piece = match frame {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.source = Source::Ended;
                    let rest = self.usage.as_mut().map(UsageFilter::end).unwrap_or_default();
                    return Poll::Ready(self.send(rest, record));
                }
            };
            record.note_answered(&piece);
            let piece = match &mut self.usage {
                Some(usage) => usage.pass(piece),
                None => piece,
            };
            if let Some(frame) = self.send(piece, record) {
                return Poll::Ready(Some(frame));
            }
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>, record: &mut Record) -> Poll<NextFrame> {
        loop {
            let late = match &mut self.source {
                Source::Upstream(body) => return body.poll(context),
                Source::Ended => return Poll::Ready(None),
                Source::Late(late) => late,
            };
            self.source = match ready!(late.answer.as_mut().poll(context)) {
                Ok(Answer::Stream(body)) => Source::Upstream(body),
                Ok(Answer::Error(Failure {
                    status,
                    reason,
                    event,
                })) => {
                    self.source = Source::Ended;
                    record.note_late_error(status, reason);
                    return Poll::Ready(Some(Ok(Frame::data(event))));
                }
                Err(reason) => {
                    self.source = Source::Ended;
                    return Poll::Ready(Some(Err(BodyError::Cut(reason))));
                }
            };
        }
    }

    fn poll_heartbeat(&mut self, context: &mut Context<'_>, record: &mut Record) -> Poll<NextFrame> {
        let Some(heartbeat) = &mut self.heartbeat else {
            return Poll::Pending;
        };
        let beat = ready!(heartbeat.poll(context));
        record.note_sent(beat.len());
        Poll::Ready(Some(Ok(Frame::data(beat))))
    }

    fn send(&mut self, piece: Bytes, record: &mut Record) -> NextFrame {
        if piece.is_empty() {
            return None;
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.note_sent(&piece);
        }
        record.note_sent(piece.len());
        Some(Ok(Frame::data(piece)))
    }
}

fn usage(in_flight: &InFlight) -> Option<UsageFilter> {
    in_flight.usage_was_added().then(UsageFilter::default)
}
