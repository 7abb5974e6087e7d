//! What is kept of a request: one line in the access log and a few numbers, at its end, however it ends.

mod audit;
mod entry;
mod json;
mod line;
pub mod log;
mod method;

use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Method, Response, StatusCode};
use jiff::Timestamp;
use prometheus_client::metrics::histogram::Histogram;

use crate::address::ClientAddress;
use crate::ask::Ask;
use crate::identify::Identity;
use crate::metrics::{Kind, Metrics};
use crate::models::name::CanonicalName;
use crate::routes::RouteClass;
use crate::target::Target;
use crate::trace::RequestIds;
use crate::usage::{Charge, Meter, Usage};
pub use entry::{Entry, Outcome};
use log::AccessLog;
use method::OTHER;

/// Where the records go.
#[derive(Debug)]
pub struct Accounting {
    /// One line a request.
    pub log: AccessLog,
    /// The numbers.
    pub metrics: Arc<Metrics>,
    /// Names for requests that have none.
    pub request_ids: RequestIds,
}

/// A request that is being accounted for. Dropped, it is written.
#[derive(Debug)]
pub struct Record {
    accounting: Arc<Accounting>,
    started: Instant,
    entry: Entry,
    ended: bool,
    waits: bool,
    meter: Option<Box<Meter>>,
    pace: Option<Pace>,
    charge: Option<Box<dyn Charge>>,
    /// What metrics call the client.
    label: Option<Arc<str>>,
}

impl Accounting {
    /// Accounts for a request whose head can't be read, and that was answered with `status`.
    pub fn note_unreadable(self: &Arc<Self>, peer: IpAddr, status: StatusCode) {
        let mut record = self.record(OTHER, peer);
        record.note_status(status);
        record.refuse("unreadable");
    }

    /// Begins with a request whose head has been read.
    pub fn begin(self: &Arc<Self>, method: &Method, peer: IpAddr) -> Box<Record> {
        self.record(method::name(method), peer)
    }

    /// Boxed: it goes from hand to hand, and is large.
    fn record(self: &Arc<Self>, method: &'static str, peer: IpAddr) -> Box<Record> {
        self.metrics.in_flight.inc();
        Box::new(Record {
            accounting: Arc::clone(self),
            started: Instant::now(),
            entry: Entry::begin(Timestamp::now(), method, peer),
            ended: false,
            waits: false,
            meter: None,
            pace: None,
            charge: None,
            label: None,
        })
    }
}

/// How fast a stream is.
#[derive(Debug)]
struct Pace {
    last: Instant,
    per_chunk: Histogram,
}

impl Record {
    /// What ties it to the logs of others.
    pub fn note_trace(&mut self, request_id: &HeaderValue, trace_id: Option<&str>) {
        self.entry.request_id = Some(request_id.clone());
        self.entry.trace_id = trace_id.map(Into::into);
    }

    /// When the request's head was read.
    pub const fn time(&self) -> Timestamp {
        self.entry.time
    }

    /// Where it really comes from.
    pub const fn note_address(&mut self, address: ClientAddress) {
        self.entry.address = address.get();
    }

    /// Who asks.
    pub fn note_identity(&mut self, identity: &Identity) {
        self.entry.client = Some(Arc::clone(identity.name()));
        self.entry.means = Some(identity.means());
        self.label = Some(identity.label());
    }

    /// What is asked for.
    pub const fn note_target(&mut self, target: &Target) {
        self.entry.route = Some(target.route());
        self.entry.class = Some(target.class());
    }

    /// What the request's body asks for.
    pub fn note_ask(&mut self, ask: &Ask) {
        if self.accounting.log.audits() {
            self.entry.asked.clone_from(&ask.models);
        }
    }

    /// The head of the response.
    pub const fn note_status(&mut self, status: StatusCode) {
        self.entry.status = Some(status);
    }

    /// The head of the upstream's answer: what follows is counted, where it has tokens.
    pub fn note_answer<B>(&mut self, answer: &Response<B>) {
        self.note_status(answer.status());
        if self.entry.class == Some(RouteClass::Inference) {
            self.meter = self
                .entry
                .route
                .and_then(|route| Meter::of(route, answer.status(), answer.headers()))
                .map(Box::new);
        }
    }

    /// Who is told what the answer took, once, when the request is over.
    pub fn charge(&mut self, charge: Box<dyn Charge>) {
        self.charge = Some(charge);
    }

    /// The tokens that the answer has taken so far; none where they can't be counted.
    pub fn usage(&self) -> Option<Usage> {
        self.meter.as_ref().map(|meter| meter.usage())
    }

    /// The request goes to the upstream, and waits for its answer.
    pub fn note_forwarded(&mut self) {
        self.waits = true;
        self.accounting.metrics.waiting.inc();
    }

    /// The answer has begun, or nobody waits for it any more.
    fn end_wait(&mut self) {
        if mem::take(&mut self.waits) {
            self.accounting.metrics.waiting.dec();
        }
    }

    /// Bytes of the request's body in all.
    pub const fn note_received(&mut self, bytes: u64) {
        self.entry.received = bytes;
    }

    /// Bytes of the response's body.
    pub const fn note_sent(&mut self, bytes: usize) {
        self.entry.sent += bytes as u64;
    }

    /// The answer that was begun as a stream is an error.
    pub fn note_late_error(&mut self, status: StatusCode, reason: Option<&'static str>) {
        self.note_status(status);
        self.meter = None;
        if let Some(reason) = reason {
            self.refuse(reason);
        }
    }

    /// The next piece of the answer.
    pub fn note_answered(&mut self, piece: &[u8]) {
        if self.entry.first_byte.is_none() {
            self.entry.first_byte = Some(self.started.elapsed());
            self.end_wait();
        }
        let Some(meter) = &mut self.meter else { return };
        let before = meter.chunks();
        meter.read(piece);
        let come = meter.chunks() - before;
        if come > 0 {
            self.note_chunks(come);
        }
    }

    /// Chunks of what the model writes have come.
    fn note_chunks(&mut self, come: u64) {
        let now = Instant::now();
        let Some(Pace { last, per_chunk }) = &mut self.pace else {
            self.pace = Some(self.first_chunk(now));
            return;
        };
        // Chunks that come together have taken the same time each.
        let each = (now - *last).as_secs_f64() / come as f64;
        (0..come).for_each(|_| per_chunk.observe(each));
        *last = now;
    }

    fn first_chunk(&self, now: Instant) -> Pace {
        let metrics = &self.accounting.metrics;
        let tokens = &metrics.tokens;
        let model = self.model();
        let route = self.entry.route.unwrap_or_default();
        let answer = tokens.answer(self.label.clone(), route, model.as_ref());
        tokens.note_first_chunk(&answer, now - self.started);
        Pace {
            last: now,
            per_chunk: tokens.per_chunk(&answer),
        }
    }

    /// What Ollama names is a model; what isn't one would be a client's words.
    fn model(&self) -> Option<Arc<str>> {
        let name = CanonicalName::parse(self.meter.as_ref()?.model()?)?;
        Some(name.shortest().into())
    }

    /// The request was refused; that stands, whatever becomes of the answer.
    pub const fn refuse(&mut self, reason: &'static str) {
        self.end(Outcome::Refused(reason));
    }

    /// How it ended: the first word stands. Without one, the client left.
    pub const fn end(&mut self, outcome: Outcome) {
        if !self.ended {
            self.entry.outcome = outcome;
            self.ended = true;
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end_wait();
        self.entry.duration = self.started.elapsed();
        self.entry.usage = self.usage();
        self.entry.model = self.model();
        if let Some(charge) = self.charge.take() {
            charge.charge(self.entry.usage.unwrap_or_default());
        }
        self.accounting.metrics.record(self.label.take(), &self.entry);
        self.accounting.log.write(&self.entry);
    }
}

impl Metrics {
    fn record(&self, client: Option<Arc<str>>, entry: &Entry) {
        self.in_flight.dec();
        let kind = Kind::of(client.clone(), entry);
        self.count(kind, entry.duration, entry.first_byte);
        if let Some(usage) = entry.usage {
            let route = entry.route.unwrap_or_default();
            let answer = self.tokens.answer(client, route, entry.model.as_ref());
            self.tokens.count(answer, usage);
        }
    }
}

impl Kind {
    fn of(client: Option<Arc<str>>, entry: &Entry) -> Self {
        Self {
            client,
            method: if entry.method == OTHER {
                "_OTHER"
            } else {
                entry.method
            },
            route: entry.route.unwrap_or_default(),
            class: entry.class.map_or("", RouteClass::name),
            code: entry.status.map_or(0, |status| status.as_u16()),
            outcome: entry.outcome.name(),
            reason: entry.outcome.reason().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
