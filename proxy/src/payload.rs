//! The body of a request: what it may be, and the memory that is there for those that are held.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ask::AskError;
use crate::patience::{PatienceError, Patient};

/// The body of a request that may be forwarded.
#[derive(Debug)]
pub enum Payload {
    /// As it comes, up to so many bytes.
    Streamed(Patient<Incoming>, u64),
    /// As it came.
    Held(Bytes, Place),
}

impl Payload {
    /// The most bytes that it may have.
    pub const fn limit(&self) -> u64 {
        match self {
            Self::Streamed(_, limit) => *limit,
            Self::Held(..) => u64::MAX,
        }
    }

    /// Whether all of it is there.
    pub const fn is_held(&self) -> bool {
        matches!(self, Self::Held(..))
    }
}

/// Why a body isn't forwarded.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// It is larger than its class' may be.
    #[error("the body is too large: at most {0} bytes on this route")]
    TooLarge(u64),
    /// It is compressed, and what Ollama makes of it nobody has judged.
    #[error("the body must be sent without Content-Encoding")]
    Encoded,
    /// It breaks HTTP's rules, or ends too early.
    #[error("the request's body is malformed")]
    Broken,
    /// No byte of it came for too long.
    #[error("the request's body stopped coming")]
    Stalled,
    /// It can't be read in one way only.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Too many are being read. Worth another try a little later.
    #[error("too many bodies to read")]
    Overloaded,
}

impl From<PatienceError<hyper::Error>> for PayloadError {
    fn from(error: PatienceError<hyper::Error>) -> Self {
        match error {
            PatienceError::Stalled(_) => Self::Stalled,
            PatienceError::Body(_) => Self::Broken,
        }
    }
}

impl PayloadError {
    /// The name, in log and metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::Encoded => "encoded",
            Self::Broken => "malformed",
            Self::Stalled => "body_timeout",
            Self::Ask(_) => "bad_json",
            Self::Overloaded => "overloaded",
        }
    }
}

/// The memory for bodies that are being read, shared by all of them.
#[derive(Debug)]
pub struct HeldBytes(Arc<Semaphore>);

/// A body's part of that memory.
pub type Place = Option<OwnedSemaphorePermit>;

/// A quarter of what the operator gives the proxy: a body is in memory twice while its pieces are joined.
const HELD_AT_MOST: usize = 128 << 20;

impl Default for HeldBytes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(HELD_AT_MOST)))
    }
}

impl HeldBytes {
    fn take(&self, place: &mut Place, bytes: usize) -> Result<(), PayloadError> {
        let bytes = u32::try_from(bytes).map_err(|_| PayloadError::Overloaded)?;
        let more = Arc::clone(&self.0)
            .try_acquire_many_owned(bytes)
            .map_err(|_| PayloadError::Overloaded)?;
        match place {
            Some(place) => place.merge(more),
            None => *place = Some(more),
        }
        Ok(())
    }
}

/// The most bytes that a body may have.
///
/// # Errors
/// The head says that it has more.
pub fn check_length(body: &impl Body, limit: Option<u64>) -> Result<u64, PayloadError> {
    let limit = limit.unwrap_or(u64::MAX);
    if body.size_hint().lower() > limit {
        return Err(PayloadError::TooLarge(limit));
    }
    Ok(limit)
}

/// Reads a body to its end. Most come in one piece, which is not copied.
///
/// # Errors
/// It is larger than `limit`, breaks, stalls, or there is no more memory for it.
pub async fn read(
    mut body: Patient<Incoming>,
    limit: u64,
    held: &HeldBytes,
) -> Result<(Bytes, Place), PayloadError> {
    let (mut first, mut rest) = (Bytes::new(), BytesMut::new());
    let mut place = None;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else {
            continue;
        };
        if (first.len() + rest.len() + piece.len()) as u64 > limit {
            return Err(PayloadError::TooLarge(limit));
        }
        held.take(&mut place, piece.len())?;
        if first.is_empty() {
            first = piece;
        } else {
            rest.extend_from_slice(&piece);
        }
    }
    Ok((join(first, &rest), place))
}

fn join(first: Bytes, rest: &[u8]) -> Bytes {
    if rest.is_empty() {
        return first;
    }
    [&first, rest].concat().into()
}
