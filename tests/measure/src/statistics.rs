//! The few statistics that reports need.

use std::time::Duration;

/// The value below which `share` (0 to 1) of the samples lie: nearest rank. Not a number without samples.
pub fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank is a small whole number"
    )]
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The same of times; none without any.
pub fn percentile_of_times(times: &[Duration], share: f64) -> Duration {
    let seconds: Vec<_> = times.iter().map(Duration::as_secs_f64).collect();
    Duration::try_from_secs_f64(percentile(&seconds, share)).unwrap_or_default()
}

/// The middle and both ends of some rounds' values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least of them.
    pub least: f64,
    /// The middle one.
    pub median: f64,
    /// The greatest of them.
    pub greatest: f64,
}

impl Spread {
    /// The middle with both ends, with so many digits behind the point.
    pub fn shown(self, digits: usize) -> String {
        let Self {
            least,
            median,
            greatest,
        } = self;
        format!("{median:.digits$} ({least:.digits$} to {greatest:.digits$})")
    }

    /// Of some values; not numbers without any.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<_> = values.collect();
        Self {
            least: percentile(&values, 0.0),
            median: percentile(&values, 0.5),
            greatest: percentile(&values, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        for (share, expected) in [(0.5, "10"), (0.95, "19"), (0.99, "20"), (1.0, "20"), (0.0, "1")] {
            assert_eq!(percentile(&values, share).to_string(), expected, "{share}");
        }
        assert!(percentile(&[], 0.5).is_nan());
    }
}
