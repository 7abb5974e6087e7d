//! What a trial leaves behind.

use std::collections::BTreeMap;

use corral_tests::cluster::Request;
use corral_tests::fault_proxy::{Exchange, Target};
use serde_json::Value;

use crate::journal::Entry;
use crate::rights::Rights;

/// All that the oracles judge by.
#[derive(Debug)]
pub(crate) struct Evidence {
    pub(crate) namespace: String,
    /// What the operator was allowed to do.
    pub(crate) rights: Rights,
    /// What there is at the end.
    pub(crate) objects: Vec<Value>,
    /// What the operator has asked for, as the fault proxy saw it.
    pub(crate) exchanges: Vec<Exchange>,
    /// From which of them on writes are counted.
    pub(crate) from: usize,
    /// The same as the API server's audit log has it.
    pub(crate) requests: Vec<Request>,
    /// What has happened to every object.
    pub(crate) history: Vec<Entry>,
    /// The operators' logs.
    pub(crate) log: String,
    /// The operators' metrics at their end.
    pub(crate) metrics: String,
    /// Operators that ended by themselves.
    pub(crate) ended: Vec<String>,
    /// What must show nowhere.
    pub(crate) canaries: Vec<String>,
}

/// A write, so that the same one can be found in another run: those to objects of random names go by their resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    /// None where it is random.
    pub(crate) name: Option<String>,
}

impl Write {
    fn of(target: &Target) -> Self {
        let random = matches!(target.resource.as_str(), "pods" | "events");
        Self {
            verb: target.verb,
            resource: target.resource.clone(),
            name: (!random).then(|| target.name.clone()),
        }
    }
}

impl std::fmt::Display for Write {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.as_deref().unwrap_or("*");
        write!(formatter, "{} {} {name}", self.verb, self.resource)
    }
}

impl Evidence {
    /// Every write that took effect, in order, leases aside.
    pub(crate) fn writes(&self) -> Vec<Write> {
        let exchanges = self.exchanges[self.from..].iter();
        let writes =
            exchanges.filter(|exchange| exchange.took_effect() && exchange.target.resource != "leases");
        writes.map(|exchange| Write::of(&exchange.target)).collect()
    }

    /// How often each of them took effect.
    pub(crate) fn counts(&self) -> BTreeMap<Write, usize> {
        let mut counts = BTreeMap::new();
        for write in self.writes() {
            *counts.entry(write).or_default() += 1;
        }
        counts
    }
}
