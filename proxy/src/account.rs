//! What is kept of a request: one line in the access log and a few numbers, at its end, however it ends.

pub mod log;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use jiff::Timestamp;

use crate::address::ClientAddress;
use crate::config::RouteClass;
use crate::identify::Identity;
use crate::metrics::{Metrics, OutcomeLabels, RequestLabels};
use crate::status::Means;
use crate::target::Target;
use log::AccessLog;

/// Where the records go.
#[derive(Debug)]
pub struct Accounting {
    /// One line a request.
    pub log: AccessLog,
    /// The numbers.
    pub metrics: Arc<Metrics>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The response was sent to its end.
    Complete,
    /// The proxy refused it, for this reason.
    Refused(&'static str),
    /// The client left before the end.
    ClientLeft,
    /// The upstream left before the end.
    UpstreamLeft,
    /// The proxy cut it: the client may no longer have it.
    Cut,
}

impl Outcome {
    /// The name, in log and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Refused(_) => "refused",
            Self::ClientLeft => "client_left",
            Self::UpstreamLeft => "upstream_left",
            Self::Cut => "cut",
        }
    }

    /// Why it was refused.
    pub const fn reason(self) -> Option<&'static str> {
        if let Self::Refused(reason) = self {
            Some(reason)
        } else {
            None
        }
    }
}

/// What the log says of a request. Never a credential, never a query.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When the request's head was read.
    pub time: Timestamp,
    /// Who asked; none before that is known.
    pub client: Option<Arc<str>>,
    /// How it showed who it is.
    pub means: Option<Means>,
    /// From where.
    pub address: IpAddr,
    /// A standard method, or `OTHER`.
    pub method: &'static str,
    /// The route's pattern; none where there is no such route.
    pub route: Option<&'static str>,
    /// What the route does.
    pub class: Option<RouteClass>,
    /// The response's status; none where the client left before.
    pub status: Option<StatusCode>,
    /// How it ended.
    pub outcome: Outcome,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// From the request's head to the first byte of the response's body.
    pub first_byte: Option<Duration>,
    /// From the request's head to the end.
    pub duration: Duration,
}

/// A request that is being accounted for. Dropped, it is written.
#[derive(Debug)]
pub struct Record {
    accounting: Arc<Accounting>,
    started: Instant,
    entry: Entry,
    ended: bool,
}

impl Accounting {
    /// Accounts for a request whose head can't be read, and that was answered with `status`.
    pub fn note_unreadable(self: &Arc<Self>, peer: IpAddr, status: StatusCode) {
        let mut record = self.record(OTHER, peer);
        record.note_status(status);
        record.refuse("unreadable");
    }

    /// Begins with a request whose head has been read.
    pub fn begin(self: &Arc<Self>, method: &Method, peer: IpAddr) -> Record {
        self.record(method_name(method), peer)
    }

    fn record(self: &Arc<Self>, method: &'static str, peer: IpAddr) -> Record {
        let entry = Entry {
            time: Timestamp::now(),
            client: None,
            means: None,
            address: peer,
            method,
            route: None,
            class: None,
            status: None,
            outcome: Outcome::ClientLeft,
            received: 0,
            sent: 0,
            first_byte: None,
            duration: Duration::ZERO,
        };
        self.metrics.in_flight.inc();
        Record {
            accounting: Arc::clone(self),
            started: Instant::now(),
            entry,
            ended: false,
        }
    }
}

/// A method that no standard knows, or none.
const OTHER: &str = "OTHER";

/// Names of methods are words of the client's: only the known ones are repeated.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [(&Method, &str); 9] = [
        (&Method::GET, "GET"),
        (&Method::POST, "POST"),
        (&Method::HEAD, "HEAD"),
        (&Method::DELETE, "DELETE"),
        (&Method::PUT, "PUT"),
        (&Method::PATCH, "PATCH"),
        (&Method::OPTIONS, "OPTIONS"),
        (&Method::CONNECT, "CONNECT"),
        (&Method::TRACE, "TRACE"),
    ];
    KNOWN
        .iter()
        .find(|(known, _)| *known == method)
        .map_or(OTHER, |(_, name)| name)
}

impl Record {
    /// Where it really comes from.
    pub const fn note_address(&mut self, address: ClientAddress) {
        self.entry.address = address.get();
    }

    /// Who asks.
    pub fn note_identity(&mut self, identity: &Identity) {
        self.entry.client = Some(Arc::clone(identity.name()));
        self.entry.means = Some(identity.means());
    }

    /// What is asked for.
    pub const fn note_target(&mut self, target: &Target) {
        self.entry.route = Some(target.route());
        self.entry.class = Some(target.class());
    }

    /// The head of the response.
    pub const fn note_status(&mut self, status: StatusCode) {
        self.entry.status = Some(status);
    }

    /// Bytes of the request's body in all.
    pub const fn note_received(&mut self, bytes: u64) {
        self.entry.received = bytes;
    }

    /// Further bytes of the response's body.
    pub fn note_sent(&mut self, bytes: usize) {
        self.entry.sent += bytes as u64;
        self.entry
            .first_byte
            .get_or_insert_with(|| self.started.elapsed());
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
        self.entry.duration = self.started.elapsed();
        self.accounting.metrics.record(&self.entry);
        self.accounting.log.write(self.entry.clone());
    }
}

impl Metrics {
    fn record(&self, entry: &Entry) {
        let Entry {
            client,
            route,
            class,
            status,
            outcome,
            first_byte,
            duration,
            ..
        } = entry;
        self.in_flight.dec();
        let class_name = class.map_or("", RouteClass::name);
        self.requests
            .get_or_create(&RequestLabels {
                client: client.clone(),
                route: route.unwrap_or_default(),
                class: class_name,
                code: status.map_or(0, |status| status.as_u16()),
            })
            .inc();
        self.outcomes
            .get_or_create(&OutcomeLabels {
                outcome: outcome.name(),
                reason: outcome.reason().unwrap_or_default(),
            })
            .inc();
        if class.is_some() {
            self.observe(class_name, *first_byte, *duration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_methods_are_named() {
        let cases = [
            ("GET", "GET"),
            ("DELETE", "DELETE"),
            ("get", "OTHER"),
            ("SECRET-KEY", "OTHER"),
        ];
        for (method, name) in cases {
            assert_eq!(
                method_name(&Method::from_bytes(method.as_bytes()).unwrap()),
                name,
                "{method}"
            );
        }
    }
}
