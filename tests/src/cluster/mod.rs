//! Clusters in three levels: a bare API server ([`ControlPlane`]), …

mod api_server;
mod audit;
mod control_plane;
mod workspace;

pub use audit::{AuditLog, Mark, Write};
pub use control_plane::ControlPlane;
pub use workspace::sweep;
