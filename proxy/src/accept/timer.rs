//! The clock of a connection. hyper sets one for every request's head and drops it when the head is there; all of a
//! connection's share one entry among the runtime's timers, which is moved only when it has run out.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use hyper::rt::{Sleep, Timer};

/// Clocks for one connection, of which one runs at a time.
pub(super) struct ConnectionTimer {
    alarm: Arc<Mutex<Alarm>>,
}

/// Set to the earliest moment at which a clock may have to ring; none before there was one.
type Alarm = Option<Pin<Box<tokio::time::Sleep>>>;

impl ConnectionTimer {
    pub(super) fn new() -> Self {
        Self {
            alarm: Arc::default(),
        }
    }
}

impl Timer for ConnectionTimer {
    fn sleep(&self, duration: std::time::Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Clock {
            deadline,
            alarm: Arc::clone(&self.alarm),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

/// A clock that is set.
struct Clock {
    deadline: Instant,
    alarm: Arc<Mutex<Alarm>>,
}

impl Sleep for Clock {}

impl Future for Clock {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline.into();
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(context));
            // It was set for a clock that has been dropped.
            if alarm.deadline() < deadline {
                alarm.as_mut().reset(deadline);
            } else {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(10);
    const LONGER: Duration = Duration::from_millis(30);
    /// Longer than this test.
    const EVER: Duration = Duration::from_secs(3600);

    /// How long each clock is set for, and whether it is dropped before it rings.
    #[tokio::test]
    async fn each_clock_rings_at_its_own_time() {
        let cases: &[(&str, &[(Duration, bool)])] = &[
            ("one", &[(SHORT, false)]),
            (
                "one after another",
                &[(SHORT, false), (LONGER, false), (SHORT, false)],
            ),
            (
                "a later one after one that was dropped",
                &[(SHORT, true), (LONGER, false)],
            ),
            (
                "an earlier one after one that was dropped",
                &[(EVER, true), (SHORT, false)],
            ),
            (
                "many",
                &[(EVER, true), (SHORT, true), (LONGER, true), (LONGER, false)],
            ),
        ];
        for (name, clocks) in cases {
            let timer = ConnectionTimer::new();
            for (after, dropped) in *clocks {
                let deadline = timer.now() + *after;
                let mut clock = timer.sleep_until(deadline);
                if *dropped {
                    // It is set when it is first asked; by then a short one may have rung.
                    let _ = poll_fn(|context| Poll::Ready(clock.as_mut().poll(context))).await;
                } else {
                    clock.await;
                    assert!(timer.now() >= deadline, "{name}: too early");
                }
            }
        }
    }
}
