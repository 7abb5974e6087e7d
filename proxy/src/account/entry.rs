//! What the log says of a request, and how it ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use jiff::Timestamp;

use crate::credentials::Means;
use crate::models::name::CanonicalName;
use crate::routes::RouteClass;
use crate::usage::Usage;

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
    /// The model that answered, in the shortest form of its name.
    pub model: Option<Arc<str>>,
    /// The tokens that the answer took; none where they can't be counted.
    pub usage: Option<Usage>,
    /// The request's id; none where the head can't be read.
    pub request_id: Option<HeaderValue>,
    /// The trace that it belongs to, if it says so.
    pub trace_id: Option<Box<str>>,
    /// The models that the request's body names, where an audit log wants to know.
    pub asked: Vec<CanonicalName>,
}

impl Entry {
    pub(super) const fn begin(time: Timestamp, method: &'static str, address: IpAddr) -> Self {
        Self {
            time,
            client: None,
            means: None,
            address,
            method,
            route: None,
            class: None,
            status: None,
            outcome: Outcome::ClientLeft,
            received: 0,
            sent: 0,
            first_byte: None,
            duration: Duration::ZERO,
            model: None,
            usage: None,
            request_id: None,
            trace_id: None,
            asked: Vec::new(),
        }
    }
}
