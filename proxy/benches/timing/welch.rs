//! Welch's t-test, as dudect uses it.

/// Of which kind an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Begins like a key in force.
    Near,
    /// Random from its first character on.
    Random,
}

/// Shares of the samples that are looked at: the fastest, for the slowest are interruptions.
const CROPS: [f64; 8] = [1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25];

/// The greatest |t| over all crops.
pub(crate) fn greatest_t(times: &[(Class, f64)]) -> f64 {
    let mut sorted: Vec<_> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    CROPS
        .iter()
        .map(|share| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a number of samples"
            )]
            let last = ((sorted.len() as f64 * share) as usize).saturating_sub(1);
            let limit = sorted.get(last).copied().unwrap_or(f64::INFINITY);
            t(times.iter().filter(|(_, time)| *time <= limit)).abs()
        })
        .fold(0.0, f64::max)
}

/// Welch's t of the two classes; 0 where one has no two samples that differ.
fn t<'times>(times: impl Iterator<Item = &'times (Class, f64)>) -> f64 {
    let (mut near, mut random) = (Moments::default(), Moments::default());
    for (class, time) in times {
        match class {
            Class::Near => near.add(*time),
            Class::Random => random.add(*time),
        }
    }
    let error = (near.variance() / near.count + random.variance() / random.count).sqrt();
    let t = (near.mean - random.mean) / error;
    if t.is_finite() { t } else { 0.0 }
}

/// Mean and variance of samples as they come (Welford's method).
#[derive(Default)]
struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, sample: f64) {
        self.count += 1.0;
        let before = sample - self.mean;
        self.mean += before / self.count;
        self.squares += before * (sample - self.mean);
    }

    fn variance(&self) -> f64 {
        self.squares / (self.count - 1.0)
    }
}
