//! Signs of life in a stream that is silent.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::shape::Shape;

/// A comment, which readers of event streams ignore (HTML, section 9.2.6).
const COMMENT: &[u8] = b": heartbeat\n\n";
/// Anthropic's own heartbeat, of which "any number may be dispersed throughout the response".
const PING: &[u8] = b"event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// What a stream sends when nothing else is to be sent.
#[derive(Debug)]
pub(super) struct Heartbeat {
    beat: &'static [u8],
    interval: Duration,
    due: Instant,
    timer: Pin<Box<Sleep>>,
    /// The last bytes that were sent: whether an event is over.
    tail: Tail,
}

impl Heartbeat {
    /// The first one is due at `first`.
    pub(super) fn new(shape: Shape, interval: Duration, first: Instant) -> Self {
        let beat = match shape {
            Shape::Anthropic => PING,
            Shape::OpenAi | Shape::Ollama => COMMENT,
        };
        Self {
            beat,
            interval,
            due: first,
            timer: Box::pin(sleep_until(first)),
            tail: Tail::default(),
        }
    }

    /// Something else was sent.
    pub(super) fn note_sent(&mut self, piece: &[u8]) {
        self.tail.add(piece);
        // Not the timer: this is for each token.
        self.due = Instant::now() + self.interval;
    }

    /// Ready with a heartbeat after a silence between events. It is asked for only when the client takes bytes and there
    /// are no others, so that for a slow reader they don't add up.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        if !self.tail.is_between_events() {
            return Poll::Pending;
        }
        loop {
            ready!(self.timer.as_mut().poll(context));
            let now = Instant::now();
            let is_due = self.due <= now;
            if is_due {
                self.due = now + self.interval;
            }
            self.timer.as_mut().reset(self.due);
            if is_due {
                return Poll::Ready(Bytes::from_static(self.beat));
            }
        }
    }
}

/// The end of what was sent.
#[derive(Debug, Default)]
struct Tail([u8; 3]);

impl Tail {
    fn add(&mut self, piece: &[u8]) {
        let last = &piece[piece.len().saturating_sub(self.0.len())..];
        self.0.rotate_left(last.len());
        let start = self.0.len() - last.len();
        self.0[start..].copy_from_slice(last);
    }

    /// An empty line ends an event. Before the first byte there is none.
    const fn is_between_events(&self) -> bool {
        matches!(self.0, [0, 0, 0] | [_, b'\n', b'\n'] | [b'\n', b'\r', b'\n'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::poll_fn;
    use tokio::time::advance;

    const INTERVAL: Duration = Duration::from_secs(15);

    #[test]
    fn an_event_is_over_after_an_empty_line_wherever_it_is_cut() {
        let cases = [
            ("", true),
            ("data: a\n\n", true),
            ("data: a\r\n\r\n", true),
            ("data: a\n", false),
            ("data: a\r\n", false),
            ("data: a", false),
            ("\n", false),
            ("event: a\ndata: a\n", false),
        ];
        for (sent, expected) in cases {
            for cut in 0..=sent.len() {
                let (first, second) = sent.as_bytes().split_at(cut);
                let mut tail = Tail::default();
                tail.add(first);
                tail.add(second);
                assert_eq!(tail.is_between_events(), expected, "{sent:?}, cut at {cut}");
            }
        }
    }

    async fn beats(heartbeat: &mut Heartbeat) -> bool {
        poll_fn(|context| Poll::Ready(heartbeat.poll(context).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn it_beats_once_for_each_interval_of_silence_between_events() {
        let first = Instant::now() + INTERVAL;
        let mut heartbeat = Heartbeat::new(Shape::OpenAi, INTERVAL, first);
        // Seconds that pass, what is sent then, and whether there is a heartbeat after it.
        let steps = [
            (14, "", false),
            (1, "", true),
            (0, "", false),
            (14, "", false),
            (1, "", true),
            (10, "data: a\n\n", false),
            (14, "", false),
            (1, "", true),
            (0, "data: b", false),
            (100, "", false),
            (0, "\n\n", false),
            (15, "", true),
            (1000, "", true),
            (0, "", false),
        ];
        for (number, (seconds, sent, expected)) in steps.into_iter().enumerate() {
            advance(Duration::from_secs(seconds)).await;
            if !sent.is_empty() {
                heartbeat.note_sent(sent.as_bytes());
            }
            assert_eq!(beats(&mut heartbeat).await, expected, "step {number}");
        }
    }
}
