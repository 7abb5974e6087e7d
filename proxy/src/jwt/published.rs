//! The keys that an issuer publishes: kept in memory, fetched anew before they are old, and when a token names a key that
//! isn't among them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::RootCertStore;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::fetch::{FetchError, Fetched, Fetcher};
use super::keys::KeySet;
use crate::config::{JwtIssuer, KeyAddress};

/// How long keys count whose issuer can't be reached.
const LONGEST_OUTAGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Least time between two fetches, whatever tokens name: a flood of unknown names costs the issuer no more.
const LEAST_PAUSE: Duration = Duration::from_secs(5);

/// How long a request waits for keys that are being fetched.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whose word counts for whom an issuer's address belongs to.
#[derive(Clone, Debug)]
pub(crate) enum Trusted {
    /// That of the authorities that Mozilla trusts.
    Mozilla,
    /// That of these alone.
    Only(Arc<Fetcher>),
    /// Nobody's: it can't be read whose would.
    Nobody,
}

impl Trusted {
    /// These authorities alone.
    pub(crate) fn only(roots: RootCertStore) -> Self {
        match Fetcher::trusting(roots) {
            Ok(fetcher) => Self::Only(Arc::new(fetcher)),
            Err(error) => {
                tracing::error!(%error, "can't start TLS for an issuer");
                Self::Nobody
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mozilla, Self::Mozilla) | (Self::Nobody, Self::Nobody) => true,
            (Self::Only(one), Self::Only(other)) => one.trusts_the_same(other),
            _ => false,
        }
    }
}

/// The published keys of one issuer. They outlive a reload.
pub(crate) struct Published {
    pub(super) issuer: String,
    pub(super) address: KeyAddress,
    trusted: Trusted,
    keys: ArcSwap<KeySet>,
    state: Mutex<State>,
    asked: Notify,
    /// How many fetches have ended.
    fetches: watch::Sender<u64>,
}

/// How the fetches have gone.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// When the keys were fetched last.
    pub(super) refreshed_at: Option<Timestamp>,
    /// Why the last fetch has failed.
    pub(super) error: Option<String>,
    fetching: bool,
    /// The keys came from whom others have certified than those that count now.
    doubtful: bool,
    /// When a fetch ended last.
    tried: Option<Instant>,
    succeeded: Option<Instant>,
    due: Instant,
}

/// Whether keys may be fetched.
enum Pace {
    Free,
    /// They are being fetched.
    Fetching,
    /// Too soon after the last time.
    JustFetched,
}

impl State {
    fn pace(&self) -> Pace {
        if self.fetching {
            Pace::Fetching
        } else if self.tried.is_some_and(|tried| tried.elapsed() < LEAST_PAUSE) {
            Pace::JustFetched
        } else {
            Pace::Free
        }
    }

    /// Notes that a fetch begins; false where it may not. One that a reload broke off before its end is begun anew.
    fn begin(&mut self) -> bool {
        let begins = !matches!(self.pace(), Pace::JustFetched);
        self.fetching |= begins;
        begins
    }
}

impl Published {
    /// The known keys themselves, if nothing has changed. Where others certify the address now they count until it has
    /// been asked once more, so that no stream is cut that may go on; where nobody does, there are none.
    pub(super) fn following(
        known: Option<Arc<Self>>,
        issuer: &JwtIssuer,
        address: KeyAddress,
        trusted: Trusted,
    ) -> Arc<Self> {
        let keys = match known {
            Some(known) if known.trusted.is_same(&trusted) => return known,
            Some(known) if !matches!(trusted, Trusted::Nobody) => known.keys(),
            _ => Arc::default(),
        };
        let state = State {
            refreshed_at: None,
            error: None,
            fetching: false,
            doubtful: true,
            tried: None,
            succeeded: None,
            due: Instant::now(),
        };
        Arc::new(Self::new(issuer, address, trusted, keys, state))
    }

    fn new(
        issuer: &JwtIssuer,
        address: KeyAddress,
        trusted: Trusted,
        keys: Arc<KeySet>,
        state: State,
    ) -> Self {
        Self {
            issuer: issuer.issuer.clone(),
            address,
            trusted,
            keys: ArcSwap::new(keys),
            state: Mutex::new(state),
            asked: Notify::new(),
            fetches: watch::Sender::new(0),
        }
    }

    /// The keys that count now.
    pub(super) fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    pub(super) fn state(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the keys fetched for a token that names one which isn't there, unless that was done just now. However many ask,
    /// there is one fetch at a time. Whether they have been fetched since.
    pub(super) async fn fetch_again(&self) -> bool {
        let mut fetches = self.fetches.subscribe();
        match self.lock().pace() {
            Pace::JustFetched => return false,
            Pace::Fetching => {}
            Pace::Free => self.asked.notify_one(),
        }
        matches!(timeout(PATIENCE, fetches.changed()).await, Ok(Ok(())))
    }

    /// Keeps the keys fresh, for ever; `changed` is called when others count. `fetcher` trusts Mozilla's authorities.
    pub(crate) async fn keep_fresh(&self, fetcher: &Fetcher, changed: impl Fn()) {
        loop {
            let due = self.lock().due;
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.asked.notified() => {}
            }
            if !self.lock().begin() {
                continue;
            }
            let outcome = self.fetch(fetcher).await;
            if self.put(outcome) {
                changed();
            }
            self.fetches.send_modify(|fetches| *fetches += 1);
        }
    }

    async fn fetch(&self, fetcher: &Fetcher) -> Result<Fetched, FetchError> {
        let fetcher = match &self.trusted {
            Trusted::Mozilla => fetcher,
            Trusted::Only(fetcher) => fetcher,
            Trusted::Nobody => return Err(FetchError::NoAuthorities(self.address.first().to_string())),
        };
        fetcher.fetch(&self.issuer, &self.address).await
    }

    /// Puts what was fetched in force; whether the keys are others now.
    fn put(&self, outcome: Result<Fetched, FetchError>) -> bool {
        let before = self.keys();
        let next = match outcome {
            Ok(fetched) => self.note_success(fetched),
            Err(error) => self.note_failure(&error),
        };
        let Some(next) = next else { return false };
        let is_another = !next.is_same(&before);
        self.keys.store(Arc::new(next));
        is_another
    }

    fn note_success(&self, fetched: Fetched) -> Option<KeySet> {
        let Fetched {
            keys,
            problems,
            lifetime,
        } = fetched;
        let issuer = &self.issuer;
        tracing::info!(issuer, keys = keys.len(), "an issuer's keys are fetched");
        let now = Instant::now();
        let mut state = self.lock();
        *state = State {
            refreshed_at: Some(Timestamp::now()),
            error: problems.first().map(ToString::to_string),
            fetching: false,
            doubtful: false,
            tried: Some(now),
            succeeded: Some(now),
            // Before they are old, so that no request has to wait for others.
            due: now + lifetime * 3 / 4,
        };
        Some(keys)
    }

    /// The last good keys stay, for as long as an outage may take, unless others than now have certified where they came
    /// from.
    fn note_failure(&self, error: &FetchError) -> Option<KeySet> {
        let issuer = &self.issuer;
        tracing::warn!(issuer, %error, "an issuer's keys can't be fetched");
        let now = Instant::now();
        let mut state = self.lock();
        state.error = Some(error.to_string());
        state.fetching = false;
        state.tried = Some(now);
        state.due = now + LEAST_PAUSE;
        let is_over = state
            .succeeded
            .is_some_and(|succeeded| now - succeeded > LONGEST_OUTAGE);
        (is_over || state.doubtful).then(KeySet::default)
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Published({}, {:?})", self.issuer, self.keys())
    }
}
