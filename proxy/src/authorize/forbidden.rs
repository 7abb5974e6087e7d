//! What stands against a request.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::ceiling::Over;
use crate::models::name::CanonicalName;
use crate::routes::RouteClass;

/// A client asked for what no rule gives it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("client \"{client}\" {cause}")]
pub struct Forbidden {
    /// The client.
    pub client: Arc<str>,
    /// What stands against it.
    pub cause: Cause,
}

/// What stands against a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The route's class, which a rule would have to allow.
    Class(RouteClass),
    /// The address, for this client.
    Address,
    /// The time: the client's access has ended.
    Expired(Timestamp),
    /// The model.
    Model(CanonicalName),
    /// No model is named, or nobody has read which.
    NoModel,
    /// The model is named in a form, which two readers can read differently.
    Form,
    /// Nothing but the unloading of a model, which is a change.
    Unload,
    /// It asks the model for too much.
    Ceiling(Over),
}

impl Cause {
    /// The name, in log and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Class(_) => "forbidden",
            Self::Address => "address",
            Self::Expired(_) => "expired",
            Self::Model(_) | Self::NoModel | Self::Form => "model",
            Self::Unload => "unload",
            Self::Ceiling(_) => "ceiling",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(formatter, "may not use this route: it needs {}", class.name()),
            Self::Address => formatter.write_str("may not call from this address"),
            Self::Expired(time) => write!(formatter, "may not call any more: its access ended at {time}"),
            Self::Model(model) => write!(formatter, "may not use the model {}", model.shortest()),
            Self::NoModel => formatter.write_str("may use certain models only, and the request names none"),
            Self::Form => formatter.write_str("may use certain models only, and none on this route"),
            Self::Unload => formatter.write_str("may not unload a model: that needs Manage"),
            Self::Ceiling(over) => over.fmt(formatter),
        }
    }
}
