//! How long a client may let the proxy wait for more of a request's body.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

/// A body that ends with an error where it brings no byte for too long. Only waiting for the client counts: nobody asks
/// for more while the upstream doesn't take what is there.
#[derive(Debug)]
pub struct Patient<B> {
    body: B,
    limit: Duration,
    /// When the wait that is under way has been too long.
    deadline: Option<Instant>,
    /// Set for the first wait that isn't over at once, and moved only when it has run out.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// Why there is no more of a body.
#[derive(Debug, Error)]
pub enum PatienceError<E> {
    /// No byte of it came for this long.
    #[error("no byte of the body came for {} s", .0.as_secs())]
    Stalled(Duration),
    /// It breaks HTTP's rules, or ends too early.
    #[error(transparent)]
    Body(E),
}

impl<B> Patient<B> {
    /// Waits for each next byte of `body` for at most `limit`.
    pub const fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            limit,
            deadline: None,
            alarm: None,
        }
    }

    /// Ready once the wait has been too long.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let begins = self.deadline.is_none();
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.limit);
        if begins && self.alarm.is_none() {
            // hyper reads a body only when it is asked for. What is there already comes at the second time: no clock.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while alarm.as_mut().poll(context).is_ready() {
            // It was set for an earlier wait.
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Patient<B> {
    type Data = Bytes;
    type Error = PatienceError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let stalled = this.poll_stalled(context);
            return stalled.map(|()| Some(Err(PatienceError::Stalled(this.limit))));
        };
        // HTTP/2 has frames without a byte, as many as a client likes.
        let is_empty = matches!(&frame, Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty));
        if !is_empty {
            this.deadline = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(PatienceError::Body)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};
    use std::convert::Infallible;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Each comes so many seconds after the one before it.
    type Pieces = &'static [(u64, &'static str)];

    /// A body of such pieces.
    fn body(pieces: Pieces) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        StreamBody::new(
            stream::iter(pieces)
                .then(|(seconds, piece)| async move {
                    tokio::time::sleep(Duration::from_secs(*seconds)).await;
                    Ok(Frame::data(Bytes::from_static(piece.as_bytes())))
                })
                .boxed(),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_be_slow_but_not_stop() {
        let cases: [(&str, Pieces, bool); 8] = [
            ("at once", &[(0, "a"), (0, "b")], true),
            ("nothing at all", &[], true),
            ("steadily", &[(59, "a"), (59, "b"), (59, "c")], true),
            ("longer and longer", &[(1, "a"), (30, "b"), (59, "c")], true),
            ("late", &[(61, "a")], false),
            ("stopped", &[(0, "a"), (61, "b")], false),
            ("stopped after a while", &[(50, "a"), (50, "b"), (61, "c")], false),
            ("frames without a byte", &[(0, "a"), (50, ""), (50, "b")], false),
        ];
        for (name, pieces, whole) in cases {
            let all: String = pieces.iter().map(|(_, piece)| *piece).collect();
            match Patient::new(body(pieces), LIMIT).collect().await {
                Ok(read) => assert_eq!((read.to_bytes(), whole), (all.into(), true), "{name}"),
                Err(PatienceError::Stalled(limit)) => assert_eq!((limit, whole), (LIMIT, false), "{name}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asks_does_not_count() {
        let mut patient = Patient::new(body(&[(1, "a"), (1, "b")]), LIMIT);
        for piece in ["a", "b"] {
            let frame = patient.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
            tokio::time::sleep(10 * LIMIT).await;
        }
        assert!(patient.frame().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_at_once_needs_no_clock() {
        let mut patient = Patient::new(
            StreamBody::new(Box::pin(stream::once(async {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"a")))
            }))),
            LIMIT,
        );
        assert!(patient.frame().await.unwrap().is_ok());
        assert!(patient.alarm.is_none());
    }
}
