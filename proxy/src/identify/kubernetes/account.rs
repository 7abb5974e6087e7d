//! A token that the API server has let pass, and for how long its word counts.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::review::ServiceAccount;
use crate::credentials::Client;

/// Tells tokens apart: a keyed hash, which means nothing outside this process.
pub(in crate::identify) type Tag = [u8; 32];

/// When the word of a token ends that has been taken back.
const TAKEN_BACK: i64 = i64::MIN;

/// A token that the API server has let pass. It is told apart by its tag: the token itself is held only as long as a request
/// is on its way that carries it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(super) tag: Tag,
    pub(super) told: ServiceAccount,
    pub(super) client: Arc<Client>,
    /// Which API server has said so.
    pub(super) server: Arc<str>,
    /// When the token ends, in seconds since 1970.
    pub(super) expires: i64,
    /// Until when the API server's word counts, in milliseconds since 1970.
    until: AtomicI64,
    carried: Mutex<Weak<Token>>,
}

/// A token, forgotten for good when the last request that carries it ends.
pub(super) struct Token(Zeroizing<Vec<u8>>);

impl Token {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// A token on a request, with whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(super) account: Arc<Account>,
    pub(super) token: Arc<Token>,
}

impl Account {
    pub(super) fn new(
        tag: Tag,
        told: ServiceAccount,
        client: Arc<Client>,
        server: Arc<str>,
        (expires, until): (i64, Timestamp),
    ) -> Self {
        Self {
            tag,
            told,
            client,
            server,
            expires,
            until: AtomicI64::new(until.as_millisecond()),
            carried: Mutex::default(),
        }
    }

    /// Until when the API server's word of it counts.
    pub(super) fn until(&self) -> Timestamp {
        Timestamp::from_millisecond(self.until.load(Ordering::Acquire)).unwrap_or(Timestamp::MIN)
    }

    /// Whether the API server's word of it still counts.
    pub(super) fn counts(&self, now: Timestamp) -> bool {
        now.as_millisecond() < self.until.load(Ordering::Acquire) && !self.has_ended(now)
    }

    /// Whether the token has ended by its own word, or has been taken back.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.until.load(Ordering::Acquire) == TAKEN_BACK || self.has_ended(now)
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        now.as_second() >= self.expires
    }

    /// The API server has said the same again. What has been taken back stays so.
    pub(super) fn renew(&self, until: Timestamp) {
        let renewed = |before| (before != TAKEN_BACK).then_some(until.as_millisecond());
        let _ = self
            .until
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, renewed);
    }

    /// The API server no longer lets it pass.
    pub(super) fn take_back(&self) {
        self.until.store(TAKEN_BACK, Ordering::Release);
    }

    /// A request carries it.
    pub(super) fn shown(self: &Arc<Self>, token: &[u8]) -> Shown {
        let mut carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        let token = carried.upgrade().unwrap_or_else(|| {
            let token = Arc::new(Token(Zeroizing::new(token.to_vec())));
            *carried = Arc::downgrade(&token);
            token
        });
        Shown {
            account: Arc::clone(self),
            token,
        }
    }
}

impl Shown {
    /// Whose it is.
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.account.client
    }

    /// The groups that it has, in the API server's words.
    pub(crate) fn groups(&self) -> &[String] {
        &self.account.told.groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::Means;

    fn account(expires: i64, until: i64) -> Arc<Account> {
        let told = ServiceAccount {
            name: "system:serviceaccount:ml:alice".to_owned(),
            groups: Vec::new(),
            audiences: Vec::new(),
        };
        let client = Arc::new(Client::new(told.name.as_str().into(), Means::Kubernetes));
        let until = Timestamp::from_second(until).unwrap();
        Arc::new(Account::new([0; 32], told, client, "".into(), (expires, until)))
    }

    #[test]
    fn a_word_counts_until_its_time_or_the_tokens() {
        let at = |second| Timestamp::from_second(second).unwrap();
        // When the token and the word end, when is asked, and whether it counts and is over.
        let cases = [
            ("at first", 100, 60, 59, (true, false)),
            ("old", 100, 60, 60, (false, false)),
            ("of a token that has ended", 60, 100, 60, (false, true)),
            ("both", 60, 60, 60, (false, true)),
        ];
        for (name, expires, until, now, expected) in cases {
            let account = account(expires, until);
            assert_eq!(
                (account.counts(at(now)), account.is_over(at(now))),
                expected,
                "{name}"
            );
        }
        let account = account(100, 60);
        account.renew(at(90));
        assert!(account.counts(at(89)), "renewed");
        account.take_back();
        account.renew(at(99));
        assert!(account.is_over(at(1)) && !account.counts(at(1)), "taken back");
    }

    #[test]
    fn the_token_is_held_while_a_request_carries_it() {
        let account = account(100, 60);
        let (one, other) = (account.shown(b"token"), account.shown(b"token"));
        assert!(
            Arc::ptr_eq(&one.token, &other.token),
            "once however many carry it"
        );
        let held = Arc::downgrade(&one.token);
        drop(one);
        assert_eq!(held.upgrade().unwrap().as_bytes(), b"token");
        drop(other);
        assert!(held.upgrade().is_none());
        assert_eq!(account.shown(b"token").token.as_bytes(), b"token", "the next one");
    }
}
