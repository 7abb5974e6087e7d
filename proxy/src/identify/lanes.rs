//! The queue of passwords to be checked: in each lane addresses take turns, and names of one address.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::asker::Asker;
use super::failures::{Failures, Lane};
use super::turns::{Turns, Waiting};

/// What waits, and what decides how long.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    prompt: ByAsker<T>,
    spare: ByAsker<T>,
    failures: Failures,
}

type ByAsker<T> = Turns<IpAddr, Turns<u64, VecDeque<(Asker, T)>>>;

impl<T> Lanes<T> {
    /// Nothing waits yet.
    pub(super) fn new(failures: Failures) -> Self {
        Self {
            prompt: ByAsker::default(),
            spare: ByAsker::default(),
            failures,
        }
    }

    /// Lets something of theirs wait; in which lane.
    pub(super) fn enter(&mut self, asker: Asker, item: T, now: Instant) -> Lane {
        let lane = self.failures.lane(asker, now);
        self.push(lane, asker, item);
        lane
    }

    /// What is next in that lane. What has waited for the prompt lane while another of its name failed goes over to the
    /// spare one.
    pub(super) fn next(&mut self, lane: Lane, now: Instant) -> Option<(Asker, T)> {
        match lane {
            Lane::Prompt => {
                while let Some((asker, item)) = self.prompt.pop() {
                    match self.failures.lane(asker, now) {
                        Lane::Prompt => return Some((asker, item)),
                        Lane::Spare => self.push(Lane::Spare, asker, item),
                    }
                }
                None
            }
            Lane::Spare if self.failures.rest(now).is_zero() => self.spare.pop(),
            Lane::Spare => None,
        }
    }

    /// How long what waits in that lane has to, whoever is free to check it.
    pub(super) fn rest(&self, lane: Lane, now: Instant) -> Option<Duration> {
        match lane {
            Lane::Spare if self.spare.len() > 0 => Some(self.failures.rest(now)),
            Lane::Spare | Lane::Prompt => None,
        }
    }

    /// A password of theirs was wrong, and has cost so much processor time.
    pub(super) fn failed(&mut self, asker: Asker, lane: Lane, spent: Duration, now: Instant) {
        self.failures.charge(asker, lane, spent, now);
    }

    /// Turns one away: the newest of the address that has most, in the spare lane where there is any.
    pub(super) fn shed(&mut self) -> Option<T> {
        let shed = self.spare.shed().or_else(|| self.prompt.shed());
        shed.map(|(_, item)| item)
    }

    /// Turns away all that are not worth waiting for.
    pub(super) fn retain(&mut self, keep: impl Copy + Fn(&T) -> bool) {
        for waiting in [&mut self.prompt, &mut self.spare] {
            waiting.retain(|(_, item)| keep(item));
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.prompt.len() + self.spare.len()
    }

    fn push(&mut self, lane: Lane, asker: Asker, item: T) {
        let waiting = match lane {
            Lane::Prompt => &mut self.prompt,
            Lane::Spare => &mut self.spare,
        };
        waiting.push((asker.network, (asker.name, ())), (asker, item));
    }
}

#[cfg(test)]
mod tests;
