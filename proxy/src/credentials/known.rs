//! The clients that no file lists: tokens and certificates name them, and they are known once they come.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::Client;
use crate::credentials::Means;
use crate::status::ClientStatus;

/// How many clients are known at a time. Who names them, an issuer for one, can name any number of them.
const MOST: usize = 1000;

/// After how many seconds without a request a client may be forgotten for another one who comes.
const IDLE_SECONDS: i64 = 24 * 60 * 60;

/// How many seconds pass before such clients are looked for again: a flood of new names must not cost a look each.
const LOOK_SECONDS: i64 = 60;

/// Clients by name and means; they outlive a reload.
#[derive(Default)]
pub(crate) struct KnownClients(Mutex<Known>);

#[derive(Default)]
struct Known {
    clients: BTreeMap<(Arc<str>, Means), Arc<Client>>,
    /// When idle ones were looked for last, in seconds since 1970.
    looked: i64,
}

impl KnownClients {
    /// The client of that name, which shows itself by these means; known from now on if there is room.
    pub(crate) fn get(&self, name: &Arc<str>, means: Means, now: Timestamp) -> Arc<Client> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(name), means);
        if let Some(client) = known.clients.get(&key) {
            return Arc::clone(client);
        }
        let client = Arc::new(Client::new(Arc::clone(name), means));
        if known.has_room(now.as_second()) {
            known.clients.insert(key, Arc::clone(&client));
        } else {
            client.count_among_others();
        }
        client
    }

    /// For `/status`.
    pub(super) fn statuses(&self) -> Vec<ClientStatus> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clients.values().map(|client| client.status()).collect()
    }

    /// Their names, for whoever keeps something of each.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clients.keys().map(|(name, _)| Arc::clone(name)).collect()
    }
}

impl Known {
    fn has_room(&mut self, now: i64) -> bool {
        if self.clients.len() >= MOST && now - self.looked >= LOOK_SECONDS {
            self.looked = now;
            self.clients.retain(|_, client| {
                let stays = client.last_used.second() > now - IDLE_SECONDS;
                if !stays {
                    client.count_among_others();
                }
                stays
            });
        }
        self.clients.len() < MOST
    }
}

impl fmt::Debug for KnownClients {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KnownClients(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn name(number: usize) -> Arc<str> {
        format!("client {number}").into()
    }

    /// As many as there is room for, each of which came at that second.
    fn full(second: i64) -> KnownClients {
        let known = KnownClients::default();
        for number in 0..MOST {
            let client = known.get(&name(number), Means::Jwt, at(second));
            client.last_used.set(at(second));
        }
        known
    }

    #[test]
    fn clients_beyond_the_room_are_not_told_apart() {
        let (known, now) = (full(1_000_000), at(1_000_001));
        let cases = [
            ("a known one", name(7), Means::Jwt, "client 7"),
            ("one too many", name(MOST), Means::Jwt, "other"),
            ("another", name(MOST + 1), Means::ClientCertificates, "other"),
            (
                "the same name by other means",
                name(7),
                Means::Kubernetes,
                "other",
            ),
        ];
        for (case, name, means, label) in cases {
            let client = known.get(&name, means, now);
            assert_eq!((&*client.name, &*client.label()), (&*name, label), "{case}");
        }
        assert_eq!(known.statuses().len(), MOST);
    }

    #[test]
    fn who_has_not_come_for_a_day_makes_room() {
        let begin = 1_000_000;
        let known = full(begin);
        let busy = known.get(&name(7), Means::Jwt, at(begin));
        let idle = known.get(&name(8), Means::Jwt, at(begin));
        busy.last_used.set(at(begin + IDLE_SECONDS - 1));
        let label = |number, second| known.get(&name(number), Means::Jwt, at(second)).label();
        // Who comes, how many seconds after the first ones, and what it is called.
        let cases = [
            ("too soon", MOST, IDLE_SECONDS - 1, "other"),
            ("so soon after a look", MOST, IDLE_SECONDS + 1, "other"),
            ("after a day", MOST, IDLE_SECONDS + 60, "client 1000"),
            ("with room for more", MOST + 1, IDLE_SECONDS + 60, "client 1001"),
        ];
        for (case, number, seconds, expected) in cases {
            assert_eq!(&*label(number, begin + seconds), expected, "{case}");
        }
        assert_eq!(known.names(), [name(1000), name(1001), name(7)]);
        assert_eq!((&*busy.label(), &*idle.label()), ("client 7", "other"));
        assert_eq!(
            &*label(8, begin + IDLE_SECONDS + 61),
            "client 8",
            "who comes again is known again"
        );
    }
}
