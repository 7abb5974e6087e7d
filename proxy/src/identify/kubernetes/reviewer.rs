//! Whose tokens are: what the API server has said, as long as it counts, and otherwise what it says now.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use moka::Expiry;
use moka::future::Cache;
use tokio::sync::{Notify, oneshot};
use zeroize::Zeroizing;

use super::account::{Account, Shown, Tag};
use super::api_server::ApiServer;
use super::error::ReviewError;
use super::queue::{Queue, Turn};
use super::review::ServiceAccount;
use crate::address::ClientAddress;
use crate::config::Kubernetes;
use crate::credentials::{KnownClients, Means};
use crate::identify::Unauthenticated;
use crate::identify::asker::network_of;
use crate::jwt::{self, ClaimError, TokenRefused};
use crate::metrics::{ReviewLabels, TokenReviews};
use crate::status::ApiServerStatus;

/// How many tokens are remembered that were let pass: around ten MiB.
const MOST_ACCOUNTS: u64 = 10_000;
/// For how long, after the last request with them.
const IDLE_ACCOUNT: Duration = Duration::from_secs(10 * 60);
/// How many tokens are remembered that were not: less than two MiB.
const MOST_REFUSED: u64 = 10_000;
/// For how long: one may have been made just before the API server could know its account.
const REFUSED_TIME: Duration = Duration::from_secs(5);
/// How much longer a token that is refused has its turn, so that made-up ones come to forty questions a second at most.
const REFUSED_TURN: Duration = Duration::from_millis(200);
/// How often is looked whether the API server can be asked, while it can and while it can't.
const LOOKS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(5));

/// Says whose tokens are. It outlives a reload that leaves its configuration as it was.
pub(crate) struct Reviewer {
    config: Kubernetes,
    server: ApiServer,
    /// Before questions about tokens that were let pass before: made-up ones can't stand in their way.
    known: Queue,
    /// Before all other questions.
    unknown: Queue,
    /// Tokens that were let pass.
    accounts: Cache<Tag, Arc<Account>>,
    /// Questions on their way, one for each token however many requests carry it, and tokens that were refused.
    questions: Cache<Tag, Option<Arc<Account>>>,
    clients: Arc<KnownClients>,
    reviews: TokenReviews,
    state: Mutex<State>,
    /// A token was taken back.
    taken_back: Notify,
}

/// How the questions have gone.
#[derive(Default)]
struct State {
    answered_at: Option<Timestamp>,
    error: Option<String>,
    forbidden: bool,
    /// When the last one ended.
    asked: Option<Instant>,
}

/// A token that the API server is asked about.
struct Asked {
    tag: Tag,
    token: Zeroizing<Vec<u8>>,
    /// By its own word.
    expires: i64,
}

/// Remembers who was refused. Who was let pass is remembered elsewhere, for another time.
struct RefusedOnly;

impl Expiry<Tag, Option<Arc<Account>>> for RefusedOnly {
    fn expire_after_create(
        &self,
        _tag: &Tag,
        account: &Option<Arc<Account>>,
        _now: Instant,
    ) -> Option<Duration> {
        Some(if account.is_some() {
            Duration::ZERO
        } else {
            REFUSED_TIME
        })
    }
}

impl Reviewer {
    /// The previous one itself, if nothing has changed; otherwise one that has asked nothing yet. The API server names
    /// these clients, and what comes of the questions is counted in `reviews`.
    pub(crate) fn following(
        previous: Option<&Arc<Self>>,
        config: &Kubernetes,
        clients: &Arc<KnownClients>,
        reviews: &TokenReviews,
    ) -> Arc<Self> {
        match previous {
            Some(previous) if previous.config == *config => Arc::clone(previous),
            _ => Arc::new(Self::new(config, Arc::clone(clients), reviews.clone())),
        }
    }

    fn new(config: &Kubernetes, clients: Arc<KnownClients>, reviews: TokenReviews) -> Self {
        Self {
            config: config.clone(),
            server: ApiServer::new(config),
            known: Queue::default(),
            unknown: Queue::default(),
            accounts: Cache::builder()
                .max_capacity(MOST_ACCOUNTS)
                .time_to_idle(IDLE_ACCOUNT)
                .build(),
            questions: Cache::builder()
                .max_capacity(MOST_REFUSED)
                .expire_after(RefusedOnly)
                .build(),
            clients,
            reviews,
            state: Mutex::default(),
            taken_back: Notify::new(),
        }
    }

    /// Whose a token is that has this tag. Waits only where the API server has to be asked.
    ///
    /// # Errors
    /// It is nobody's, or nobody can say.
    pub(in crate::identify) async fn identify(
        self: &Arc<Self>,
        tag: Tag,
        token: &[u8],
        address: ClientAddress,
        now: Timestamp,
    ) -> Result<Shown, Unauthenticated> {
        let known = self.accounts.get(&tag).await;
        if let Some(account) = known.as_ref().filter(|account| account.counts(now)) {
            return Ok(account.shown(token));
        }
        let asked = Asked {
            tag,
            token: Zeroizing::new(token.to_vec()),
            expires: self.check(token, now)?,
        };
        let queue = if known.is_some() {
            &self.known
        } else {
            &self.unknown
        };
        // Boxed: it is rare, and would make each request larger.
        let account = Box::pin(self.review(asked, queue, network_of(address.get()))).await?;
        let account = account.ok_or(Unauthenticated::Unknown)?;
        Ok(account.shown(token))
    }

    /// Spares the API server tokens that can't count, by what they say of themselves. When it ends.
    fn check(&self, token: &[u8], now: Timestamp) -> Result<i64, Unauthenticated> {
        let said = jwt::unverified(token).and_then(|said| {
            if !said
                .audience
                .iter()
                .any(|name| self.config.audiences.contains(name))
            {
                return Err(TokenRefused::from(ClaimError::Audience));
            }
            if now.as_second() >= said.expires {
                return Err(TokenRefused::from(ClaimError::Expired));
            }
            Ok(said.expires)
        });
        said.map_err(|refused| {
            tracing::debug!(%refused, "a service account token lets nobody in");
            refused.cause()
        })
    }

    /// What the API server says of a token.
    async fn review(
        self: &Arc<Self>,
        asked: Asked,
        queue: &Queue,
        network: IpAddr,
    ) -> Result<Option<Arc<Account>>, Unauthenticated> {
        let tag = asked.tag;
        let answer = async {
            let turn = queue.turn(network).await?;
            let (sender, answer) = oneshot::channel();
            // Asked to its end, so that callers who come and leave can't ask for more than their turns.
            tokio::spawn(Arc::clone(self).ask(asked, turn, sender));
            answer.await.unwrap_or(Err(Unauthenticated::Unverifiable))
        };
        self.questions
            .try_get_with(tag, answer)
            .await
            .map_err(|error| *error)
    }

    async fn ask(
        self: Arc<Self>,
        asked: Asked,
        turn: Turn,
        answer: oneshot::Sender<Result<Option<Arc<Account>>, Unauthenticated>>,
    ) {
        let until = Timestamp::now() + Duration::from_secs(self.config.cache_seconds.into());
        let outcome = self.server.review(&asked.token).await;
        self.note(outcome.as_ref().err());
        self.count(match &outcome {
            Ok(Some(_)) => "authenticated",
            Ok(None) => "refused",
            Err(_) => "failed",
        });
        let outcome = match outcome {
            Ok(Some(told)) => Ok(Some(self.accept(&asked, told, until).await)),
            Ok(None) => {
                self.refuse(asked.tag).await;
                Ok(None)
            }
            Err(_) => Err(Unauthenticated::Unverifiable),
        };
        let is_refused = matches!(outcome, Ok(None));
        // Whoever asked may have left.
        let _ = answer.send(outcome);
        if is_refused {
            tokio::time::sleep(REFUSED_TURN).await;
        }
        drop(turn);
    }

    /// Remembers who was let pass.
    async fn accept(&self, asked: &Asked, told: ServiceAccount, until: Timestamp) -> Arc<Account> {
        if let Some(known) = self.accounts.get(&asked.tag).await {
            if known.told == told {
                known.renew(until);
                return known;
            }
            self.take_back(&known);
        }
        let name = told.name.as_str().into();
        let client = self.clients.get(&name, Means::Kubernetes, Timestamp::now());
        let times = (asked.expires, until);
        let account = Arc::new(Account::new(asked.tag, told, client, self.address(), times));
        self.accounts.insert(asked.tag, Arc::clone(&account)).await;
        account
    }

    /// Forgets whoever was let pass before.
    async fn refuse(&self, tag: Tag) {
        tracing::debug!("the API server lets a service account token pass for nobody");
        if let Some(known) = self.accounts.remove(&tag).await {
            self.take_back(&known);
        }
    }

    fn take_back(&self, account: &Account) {
        account.take_back();
        self.taken_back.notify_one();
    }

    /// Waits until a token is taken back.
    pub(crate) async fn taken_back(&self) {
        self.taken_back.notified().await;
    }

    /// Asks again about the tokens of these requests that outlast the API server's word. While it doesn't answer, its last
    /// word counts for them: an outage of the control plane must not cut every stream.
    pub(crate) async fn renew_due(self: &Arc<Self>, shown: &[Shown]) {
        if !self.is_answered() {
            return;
        }
        let now = Timestamp::now();
        let due = shown
            .iter()
            .filter(|shown| !shown.account.counts(now) && !shown.account.is_over(now));
        join_all(due.map(|shown| self.renew(shown))).await;
    }

    async fn renew(self: &Arc<Self>, shown: &Shown) {
        let account = &shown.account;
        let asked = Asked {
            tag: account.tag,
            token: Zeroizing::new(shown.token.as_bytes().to_vec()),
            expires: account.expires,
        };
        let network = Ipv4Addr::UNSPECIFIED.into();
        match self.review(asked, &self.known, network).await {
            Ok(Some(now)) if now.told == account.told => account.renew(now.until()),
            Ok(_) => account.take_back(),
            Err(_) => {}
        }
    }

    /// Whether a request may go on that carries this token.
    pub(crate) fn holds(&self, shown: &Shown, now: Timestamp) -> bool {
        let account = &shown.account;
        let ours = |audience: &String| self.config.audiences.contains(audience);
        !account.is_over(now) && account.server == self.address() && account.told.audiences.iter().any(ours)
    }

    /// Looks whether the API server can be asked, if nobody has for a while: `/status` is to say so before a client is
    /// refused.
    pub(crate) async fn try_out(&self) {
        if self.lock().is_due() {
            let outcome = self.server.try_out().await;
            self.note(outcome.as_ref().err());
            self.count(if outcome.is_ok() { "tried_out" } else { "failed" });
        }
    }

    fn count(&self, outcome: &'static str) {
        self.reviews.get_or_create(&ReviewLabels { outcome }).inc();
    }

    /// Whether the last question had an answer.
    fn is_answered(&self) -> bool {
        self.lock().error.is_none()
    }

    fn note(&self, error: Option<&ReviewError>) {
        let mut state = self.lock();
        state.asked = Some(Instant::now());
        let before = state.error.take();
        state.forbidden = error.is_some_and(ReviewError::is_forbidden);
        let Some(error) = error.map(ToString::to_string) else {
            state.answered_at = Some(Timestamp::now());
            if before.is_some() {
                tracing::info!("service account tokens can be reviewed again");
            }
            return;
        };
        if before.as_ref() != Some(&error) {
            tracing::error!(error, "service account tokens can't be reviewed");
        }
        state.error = Some(error);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> Arc<str> {
        self.server.address().cloned().unwrap_or_default()
    }

    /// For `/status`.
    pub(crate) fn status(&self) -> ApiServerStatus {
        let state = self.lock();
        ApiServerStatus {
            server: self.server.address().map(ToString::to_string),
            answered_at: state.answered_at,
            error: state.error.clone(),
            forbidden: state.forbidden,
        }
    }
}

impl State {
    fn is_due(&self) -> bool {
        let pause = if self.error.is_some() { LOOKS.1 } else { LOOKS.0 };
        self.asked.is_none_or(|asked| asked.elapsed() >= pause)
    }
}

impl fmt::Debug for Reviewer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reviewer({})", self.address())
    }
}
