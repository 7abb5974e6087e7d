//! Turns of several fronts in short rounds, so that whatever else the machine does meets all of them alike.

use anyhow::{Context, Result};
use corral_measure::statistics::Spread;
use tokio::runtime::Runtime;

use crate::fronts::Front;
use crate::load::{Percentiles, requests, streams};

/// How long a front is sent small requests in a turn.
pub(crate) const REQUEST_SECONDS: u32 = 3;

/// Measurements by round and front.
pub(crate) struct Rounds<T> {
    names: Vec<String>,
    rounds: Vec<Vec<T>>,
}

/// A turn of small requests.
pub(crate) type Requested = requests::Requests;

/// A turn of streams. Times are in microseconds.
pub(crate) struct Streamed {
    pub(crate) first_byte: Percentiles,
    pub(crate) token: Percentiles,
    /// Processor time of the front for a token.
    pub(crate) processor_time: Option<f64>,
}

impl<T> Rounds<T> {
    /// Measures each front once a round; who begins changes from round to round.
    pub(crate) fn measure(
        what: &str,
        fronts: &[Front],
        count: usize,
        mut measure: impl FnMut(&Front) -> Result<T>,
    ) -> Result<Self> {
        let mut rounds = Vec::new();
        for number in 0..count {
            let mut turns: Vec<(usize, T)> = Vec::new();
            for turn in 0..fronts.len() {
                let place = (turn + number) % fronts.len();
                let front = &fronts[place];
                eprintln!("{what}, round {} of {count}: {}", number + 1, front.name);
                turns.push((place, measure(front).with_context(|| front.name.clone())?));
            }
            turns.sort_by_key(|(place, _)| *place);
            rounds.push(turns.into_iter().map(|(_, measured)| measured).collect());
        }
        let names = fronts.iter().map(|front| front.name.clone()).collect();
        Ok(Self { names, rounds })
    }

    /// The fronts.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// How many rounds there were.
    pub(crate) fn count(&self) -> usize {
        self.rounds.len()
    }

    /// Where the fronts stand whose names begin so.
    pub(crate) fn places_of(&self, name: &str) -> Vec<usize> {
        let named = |place: &usize| self.names[*place].starts_with(name);
        (0..self.names.len()).filter(named).collect()
    }

    /// Where the first of them stands.
    pub(crate) fn place_of(&self, name: &str) -> Option<usize> {
        self.places_of(name).first().copied()
    }

    /// The measurements of one front.
    pub(crate) fn of(&self, place: usize) -> impl Iterator<Item = &T> {
        self.rounds.iter().map(move |round| &round[place])
    }

    /// Of a value that the front has in every round.
    pub(crate) fn spread(&self, place: usize, value: impl Fn(&T) -> Option<f64>) -> Option<Spread> {
        let values: Option<Vec<_>> = self.of(place).map(value).collect();
        values.map(|values| Spread::of(values.into_iter()))
    }

    /// Of a value of one front and another's, within each round.
    pub(crate) fn ratio(&self, place: usize, other: usize, value: impl Fn(&T) -> f64) -> Spread {
        self.compared(place, other, |one, other| value(one) / value(other))
    }

    /// Of how much a value of one front is above another's, within each round.
    pub(crate) fn difference(&self, place: usize, other: usize, value: impl Fn(&T) -> f64) -> Spread {
        self.compared(place, other, |one, other| value(one) - value(other))
    }

    fn compared(&self, place: usize, other: usize, compare: impl Fn(&T, &T) -> f64) -> Spread {
        let pairs = self.of(place).zip(self.of(other));
        Spread::of(pairs.map(|(one, other)| compare(one, other)))
    }

    /// Each front's name and median.
    pub(crate) fn medians(&self, value: fn(&T) -> Option<f64>) -> Vec<(String, f64)> {
        let medians = self.names.iter().enumerate();
        medians
            .filter_map(|(place, name)| Some((name.clone(), self.spread(place, value)?.median)))
            .collect()
    }
}

impl Rounds<Streamed> {
    /// Streams on each front.
    pub(crate) fn of_streams(runtime: &Runtime, fronts: &[Front], count: usize) -> Result<Self> {
        Self::measure("streams", fronts, count, |front| {
            let first_byte = runtime.block_on(streams::first_byte(front))?;
            let tokens = runtime.block_on(streams::tokens(front))?;
            Ok(Streamed {
                first_byte,
                token: tokens.delay,
                processor_time: tokens.processor_time,
            })
        })
    }
}
