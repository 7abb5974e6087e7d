//! What wrong passwords have cost lately, and so which passwords are checked at once and which in time that is left
//! over.
//!
//! A slow hash takes some hundred milliseconds of a processor, and whoever has no password can ask for as many as they
//! like. A low priority alone doesn't keep that from those who are served: where a quota bounds a container, what
//! hashes take is missing whatever their priority; and a password that is right must not wait for a machine that is
//! full to be empty. So wrong passwords are paid for. Each puts the name at its address, the address, and all addresses
//! together into debt, which time pays off. Who is out of debt has passwords checked at once; all others wait for time
//! that is left over, and there too wrong passwords may take only a share. What is right costs nothing: nobody
//! has to wait because many come in.
//!
//! Nothing here depends on whether there is a user of that name.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::asker::Asker;

/// How a password is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// At once.
    Prompt,
    /// When there is time left over.
    Spare,
}

/// Who or what wrong passwords put into debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Debtor {
    /// A name at an address. It is in debt at once: others behind that address shall not be.
    Name(Asker),
    /// An address, for what was checked at once.
    Network(IpAddr),
    /// All addresses together, for what was checked at once.
    Everyone,
    /// All addresses together, for what was checked in time left over.
    Spare,
}

/// Processor time that wrong passwords may take.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// Of each second, in the long run.
    share: f64,
    /// What is saved up for when there were none for long.
    burst: Duration,
}

impl Allowance {
    /// How long it takes to allow for so much.
    fn time_for(self, spent: Duration) -> Duration {
        spent.div_f64(self.share)
    }
}

/// No debt is longer than the burst and this.
const LONGEST: Duration = Duration::from_secs(60);

/// The debts, by when they are paid off. There are few: with a share of 1/100 a second of hashing keeps no more than
/// 100 of them for a second.
#[derive(Debug)]
pub(super) struct Failures {
    processors: u32,
    paid_off: HashMap<Debtor, Instant>,
}

impl Failures {
    /// None yet, on a machine with so many processors.
    pub(super) fn new(processors: u32) -> Self {
        Self {
            processors,
            paid_off: HashMap::new(),
        }
    }

    /// How a password of theirs is checked.
    pub(super) fn lane(&self, asker: Asker, now: Instant) -> Lane {
        let debtors = [
            Debtor::Name(asker),
            Debtor::Network(asker.network),
            Debtor::Everyone,
        ];
        if debtors.iter().all(|debtor| self.wait(*debtor, now).is_zero()) {
            Lane::Prompt
        } else {
            Lane::Spare
        }
    }

    /// How long nothing more is checked in time that is left over.
    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.wait(Debtor::Spare, now)
    }

    /// A password of theirs was wrong, and has cost so much processor time.
    pub(super) fn charge(&mut self, asker: Asker, lane: Lane, spent: Duration, now: Instant) {
        self.paid_off.retain(|_, paid_off| *paid_off > now);
        self.charge_one(Debtor::Name(asker), spent, now);
        match lane {
            Lane::Prompt => {
                self.charge_one(Debtor::Network(asker.network), spent, now);
                self.charge_one(Debtor::Everyone, spent, now);
            }
            Lane::Spare => self.charge_one(Debtor::Spare, spent, now),
        }
    }

    fn charge_one(&mut self, debtor: Debtor, spent: Duration, now: Instant) {
        let allowance = self.allowance(debtor);
        let latest = now + allowance.time_for(allowance.burst) + LONGEST;
        let paid_off = self.paid_off.entry(debtor).or_insert(now);
        *paid_off = (*paid_off + allowance.time_for(spent)).min(latest);
    }

    fn wait(&self, debtor: Debtor, now: Instant) -> Duration {
        let allowance = self.allowance(debtor);
        self.paid_off.get(&debtor).map_or(Duration::ZERO, |paid_off| {
            let debt = paid_off.saturating_duration_since(now);
            debt.saturating_sub(allowance.time_for(allowance.burst))
        })
    }

    /// All of them together stay under a fifteenth of the processors.
    fn allowance(&self, debtor: Debtor) -> Allowance {
        let processors = f64::from(self.processors);
        let (share, burst) = match debtor {
            Debtor::Name(_) => (0.01, Duration::ZERO),
            Debtor::Network(_) => (0.01, Duration::from_millis(500)),
            Debtor::Everyone => (processors / 32.0, Duration::from_secs(4)),
            Debtor::Spare => (processors / 32.0, Duration::from_millis(250)),
        };
        Allowance { share, burst }
    }
}

#[cfg(test)]
mod tests;
