//! Clusters in three levels, each from the same API server:
//!
//! 1. [`ControlPlane`]: the API server alone, for whoever writes objects; seconds, no root.
//! 2. [`Simulated`]: with controllers, a scheduler and kwok, so that Pods become Ready without running.
//! 3. [`Node`]: a real node that runs real Pods; Linux and root.
//!
//! Each ends completely when dropped, or when its owner dies, however that happens.

mod access;
mod api_server;
mod audit;
mod control_plane;
mod controllers;
mod definition;
mod kubectl;
pub mod node;
mod simulated;

pub use crate::workspace::{Running, running, sweep};
pub use access::Access;
pub use audit::{AuditLog, Mark, Request};
pub use control_plane::ControlPlane;
pub use definition::define;
pub use kubectl::Kubectl;
pub use node::Node;
pub(crate) use node::remove_remains;
pub use simulated::Simulated;
