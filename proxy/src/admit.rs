//! Requests on their way. An [`Admission`] is held by the response's body, so that it ends when the stream does,
//! however it does; while it lasts, the request can be cut.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use slab::Slab;

use crate::address::ClientAddress;
use crate::authorize::{Act, Permit};
use crate::identify::{Evidence, Identity, Shown};
use crate::in_force::{InForce, NoLonger};
use crate::limit::Slot;
use crate::target::Target;

/// All requests on their way.
#[derive(Debug, Default)]
pub struct InFlightRequests(Mutex<Slab<Arc<InFlight>>>);

/// A request on its way: what it takes to judge it again, and to cut it.
#[derive(Debug)]
pub struct InFlight {
    identity: Identity,
    address: ClientAddress,
    act: Act,
    cut: OnceLock<NoLonger>,
    /// The task that drives the client's connection.
    waker: AtomicWaker,
    received: AtomicU64,
    upload: Upload,
}

/// What the request's body has come to.
#[derive(Debug, Default)]
struct Upload {
    broken: AtomicBool,
    too_large: AtomicBool,
    stalled: AtomicBool,
    asks_for_stream: AtomicBool,
    usage_was_added: AtomicBool,
}

/// The right to be forwarded, for as long as it is held. Only [`admit`] makes one.
#[derive(Debug)]
pub struct Admission {
    target: Target,
    in_flight: Arc<InFlight>,
    place: usize,
    requests: Arc<InFlightRequests>,
    /// Given back when the admission ends.
    _slot: Slot,
}

/// Lets a request in that was judged under `judged`, and that has its client's `slot`. If another snapshot has come into force since, `current` judges
/// it again: either that judgement or the one that follows a swap sees every request.
///
/// # Errors
/// The request would no longer be let in.
pub fn admit(
    permit: Box<Permit>,
    slot: Slot,
    judged: &InForce,
    requests: &Arc<InFlightRequests>,
    current: impl FnOnce() -> Arc<InForce>,
) -> Result<Admission, NoLonger> {
    let admission = requests.enter(permit, slot);
    let current = current();
    if current.generation != judged.generation {
        admission.in_flight.judged_by(&current)?;
    }
    Ok(admission)
}

impl InFlightRequests {
    fn enter(self: &Arc<Self>, permit: Box<Permit>, slot: Slot) -> Admission {
        let (identity, address, target, act) = permit.into_parts();
        let in_flight = Arc::new(InFlight {
            identity,
            address,
            act,
            cut: OnceLock::new(),
            waker: AtomicWaker::new(),
            received: AtomicU64::new(0),
            upload: Upload::default(),
        });
        let place = self.lock().insert(Arc::clone(&in_flight));
        Admission {
            target,
            in_flight,
            place,
            requests: Arc::clone(self),
            _slot: slot,
        }
    }

    /// Judges every request again and cuts those that would no longer be let in; says how many.
    pub fn judge_again(&self, in_force: &InForce) -> usize {
        let entries: Vec<_> = self.lock().iter().map(|(_, entry)| Arc::clone(entry)).collect();
        entries
            .iter()
            .filter(|entry| entry.cut_unless_allowed(in_force))
            .count()
    }

    /// The service account tokens that they carry.
    pub(crate) fn service_accounts(&self) -> Vec<Shown> {
        let entries = self.lock();
        let evidence = entries.iter().flat_map(|(_, entry)| entry.identity.evidence());
        let shown = evidence.filter_map(|evidence| match evidence {
            Evidence::ServiceAccount(shown) => Some(shown.clone()),
            Evidence::Stored { .. }
            | Evidence::Certificate { .. }
            | Evidence::None { .. }
            | Evidence::Token(_) => None,
        });
        shown.collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Arc<InFlight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    fn judged_by(&self, in_force: &InForce) -> Result<(), NoLonger> {
        in_force.judge_again(&self.identity, self.address, &self.act)
    }

    fn cut_unless_allowed(&self, in_force: &InForce) -> bool {
        let Err(reason) = self.judged_by(in_force) else {
            return false;
        };
        let first = self.cut.set(reason).is_ok();
        self.waker.wake();
        first
    }

    /// Counts bytes of the request's body.
    pub fn note_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The request's body breaks HTTP's rules, or ends too early.
    pub fn note_upload_broken(&self) {
        self.upload.broken.store(true, Ordering::Release);
    }

    /// The request's body is larger than its class' may be.
    pub fn note_upload_too_large(&self) {
        self.upload.too_large.store(true, Ordering::Release);
    }

    /// The request's body brought no byte for too long.
    pub fn note_upload_stalled(&self) {
        self.upload.stalled.store(true, Ordering::Release);
    }

    /// The request's body asks for a stream of events.
    pub fn note_asks_for_stream(&self) {
        self.upload.asks_for_stream.store(true, Ordering::Release);
    }

    /// The request's body asks for the stream's tokens, which the client didn't.
    pub fn note_usage_was_added(&self) {
        self.upload.usage_was_added.store(true, Ordering::Release);
    }

    /// Whether the request's body has been read to its end and asks for a stream of events.
    pub fn asks_for_stream(&self) -> bool {
        self.upload.asks_for_stream.load(Ordering::Acquire)
    }

    /// Whether the tokens of the stream were asked for on the proxy's own account.
    pub fn usage_was_added(&self) -> bool {
        self.upload.usage_was_added.load(Ordering::Acquire)
    }

    /// Bytes of the request's body so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

impl Admission {
    /// What may be forwarded.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// The part that the request's body reports to.
    pub fn in_flight(&self) -> Arc<InFlight> {
        Arc::clone(&self.in_flight)
    }

    /// Bytes of the request's body so far.
    pub fn received(&self) -> u64 {
        self.in_flight.received()
    }

    /// Whether the request's body broke HTTP's rules.
    pub fn upload_is_broken(&self) -> bool {
        self.in_flight.upload.broken.load(Ordering::Acquire)
    }

    /// Whether the request's body was larger than its class' may be.
    pub fn upload_is_too_large(&self) -> bool {
        self.in_flight.upload.too_large.load(Ordering::Acquire)
    }

    /// Whether the request's body brought no byte for too long.
    pub fn upload_is_stalled(&self) -> bool {
        self.in_flight.upload.stalled.load(Ordering::Acquire)
    }

    /// Ready once the request is cut. Only the task that drives the client's connection may ask.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<NoLonger> {
        self.in_flight.waker.register(context.waker());
        self.in_flight
            .cut
            .get()
            .map_or(Poll::Pending, |reason| Poll::Ready(reason.clone()))
    }

    /// Waits until the request is cut, perhaps for ever.
    pub async fn cut(&self) -> NoLonger {
        poll_fn(|context| self.poll_cut(context)).await
    }

    /// What comes of some work, unless the request is cut before.
    ///
    /// # Errors
    /// It is cut.
    pub async fn unless_cut<T>(&self, work: Pin<&mut impl Future<Output = T>>) -> Result<T, NoLonger> {
        tokio::select! {
            biased;
            reason = self.cut() => Err(reason),
            done = work => Ok(done),
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.requests.lock().try_remove(self.place);
    }
}
