//! Clients that are known no longer. Their numbers stay until whoever scrapes has seen the last of them.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::credentials::OTHERS;

/// How long numbers stay: several times the usual pause between two scrapes.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// Since when clients are gone.
#[derive(Debug, Default)]
pub(super) struct Gone(Mutex<HashMap<Arc<str>, Instant>>);

impl Gone {
    /// Of the clients that have numbers, those that have been gone for so long that the numbers may go as well.
    pub(super) fn for_good(
        &self,
        counted: impl IntoIterator<Item = Arc<str>>,
        known: &HashSet<Arc<str>>,
        now: Instant,
    ) -> HashSet<Arc<str>> {
        let mut gone = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mem::take(&mut *gone);
        let mut for_good = HashSet::new();
        for client in counted {
            if known.contains(&client) || *client == *OTHERS {
                continue;
            }
            let since = before.get(&client).copied().unwrap_or(now);
            if now.duration_since(since) >= KEPT {
                for_good.insert(client);
            } else {
                gone.insert(client, since);
            }
        }
        for_good
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_for_a_while_after_their_client() {
        let clients =
            |names: &[&str]| -> HashSet<Arc<str>> { names.iter().map(|name| Arc::from(*name)).collect() };
        let (gone, begin) = (Gone::default(), Instant::now());
        let mut counted = clients(&["alice", "bob", "carol", "other"]);
        // At which minute, who is known then, and whose numbers may go.
        let cases: [(&str, u64, &[&str], &[&str]); 6] = [
            ("all are there", 0, &["alice", "bob", "carol"], &[]),
            ("two have gone", 5, &["alice"], &[]),
            ("one is back", 14, &["alice", "bob"], &[]),
            (
                "one has been gone for long enough",
                15,
                &["alice", "bob"],
                &["carol"],
            ),
            ("the other goes again", 20, &["alice"], &[]),
            ("and is gone", 30, &["alice"], &["bob"]),
        ];
        for (case, minute, known, expected) in cases {
            let now = begin + Duration::from_secs(minute * 60);
            let found = gone.for_good(counted.clone(), &clients(known), now);
            assert_eq!(found, clients(expected), "{case}");
            counted.retain(|client| !found.contains(client));
        }
    }
}
