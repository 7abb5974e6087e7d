//! The load on a front: small requests as fast as they go (by wrk), and streams.

pub(crate) mod requests;
pub(crate) mod streams;

use corral_measure::statistics::percentile;

/// The usual two, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Percentiles {
    fn of(samples: &[f64]) -> Self {
        Self {
            p50: percentile(samples, 0.5),
            p99: percentile(samples, 0.99),
        }
    }
}
