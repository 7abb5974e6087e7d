//! What a run comes to.

use corral_measure::statistics::Spread;

use crate::flood::Flood;
use crate::footprint::Footprint;
use crate::instructions::Instructions;
use crate::rounds::{Requested, Rounds, Streamed};

/// Everything that was measured.
pub(crate) struct Figures {
    pub(crate) machine: String,
    pub(crate) requests: Rounds<Requested>,
    pub(crate) streams: Rounds<Streamed>,
    /// Bytes of memory for an idle stream.
    pub(crate) idle: Vec<(String, f64)>,
    pub(crate) instructions: Vec<Instructions>,
    pub(crate) footprints: Vec<Footprint>,
    pub(crate) program_size: u64,
    pub(crate) flood: Flood,
    pub(crate) reload: Spread,
}
