//! A bounded number of questions at a time, and a bounded queue before them in which the addresses that ask take turns:
//! whoever floods it waits for himself.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::identify::Unauthenticated;
use crate::identify::turns::{Turns, Waiting};

/// How many are asked at once.
const AT_ONCE: usize = 8;
/// How many wait.
const PLACES: usize = 256;
/// How long one waits at most.
const PATIENCE: Duration = Duration::from_secs(10);

/// The queue.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: Turns<IpAddr, VecDeque<oneshot::Sender<Turn>>>,
    running: usize,
}

/// The right to ask now. It goes on to the next one when this is dropped.
pub(super) struct Turn(Queue);

impl Queue {
    /// Waits for a turn of this network's. When all places are taken, the newest of the network that has most is turned
    /// away.
    pub(super) async fn turn(&self, network: IpAddr) -> Result<Turn, Unauthenticated> {
        let turn = {
            let mut state = self.lock();
            if state.running < AT_ONCE {
                state.running += 1;
                return Ok(Turn(self.clone()));
            }
            state.wait(network)
        };
        match timeout(PATIENCE, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(Unauthenticated::Overloaded),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wait(&mut self, network: IpAddr) -> oneshot::Receiver<Turn> {
        let (sender, turn) = oneshot::channel();
        self.waiting.push((network, ()), sender);
        if self.waiting.len() > PLACES {
            self.waiting.retain(|waiting| !waiting.is_closed());
        }
        if self.waiting.len() > PLACES {
            drop(self.waiting.shed());
        }
        turn
    }

    /// The one whose turn it is; one less runs if there is none.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let next = self.waiting.pop();
        if next.is_none() {
            self.running -= 1;
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = self.0.lock().next();
        if let Some(next) = next {
            // Comes back from whoever has left, and goes on from there.
            drop(next.send(Self(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;

    fn network(number: u8) -> IpAddr {
        [192, 0, 2, number].into()
    }

    /// A queue whose turns are all taken.
    async fn taken() -> (Queue, Vec<Turn>) {
        let queue = Queue::default();
        let turns = join_all((0..AT_ONCE).map(|_| queue.turn(network(1)))).await;
        (queue, turns.into_iter().map(Result::unwrap).collect())
    }

    /// Lets a caller of that network wait, who says its number when it has its turn.
    fn wait(
        queue: &Queue,
        from: u8,
        number: usize,
        said: &Arc<Mutex<Vec<usize>>>,
    ) -> tokio::task::JoinHandle<bool> {
        let (queue, said) = (queue.clone(), Arc::clone(said));
        tokio::spawn(async move {
            let turn = queue.turn(network(from)).await;
            if turn.is_ok() {
                said.lock().unwrap().push(number);
            }
            turn.is_ok()
        })
    }

    async fn until_waiting(queue: &Queue, count: usize) {
        while queue.lock().waiting.len() != count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn networks_take_turns_and_turns_go_on() {
        let (queue, mut turns) = taken().await;
        let said = Arc::default();
        let mut waiting = Vec::new();
        for (number, from) in [(1, 1), (2, 1), (3, 1), (4, 2)] {
            waiting.push(wait(&queue, from, number, &said));
            until_waiting(&queue, number).await;
        }
        turns.truncate(AT_ONCE - 1);
        for waiting in waiting {
            assert!(waiting.await.unwrap());
        }
        assert_eq!(*said.lock().unwrap(), [1, 4, 2, 3]);
        drop(turns);
        assert_eq!(queue.lock().running, 0, "all turns have come back");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_left_passes_the_turn_on() {
        let (queue, mut turns) = taken().await;
        let said = Arc::default();
        let left: Vec<_> = (0..3).map(|number| wait(&queue, 1, number, &said)).collect();
        until_waiting(&queue, 3).await;
        let stays = wait(&queue, 1, 9, &said);
        until_waiting(&queue, 4).await;
        for left in left {
            left.abort();
            assert!(left.await.unwrap_err().is_cancelled());
        }
        turns.pop();
        assert!(stays.await.unwrap());
        assert_eq!(*said.lock().unwrap(), [9]);
        drop(turns);
        assert_eq!(queue.lock().running, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_network_with_most_is_turned_away_when_it_is_full() {
        let (queue, turns) = taken().await;
        let said = Arc::default();
        let flood: Vec<_> = (0..PLACES).map(|number| wait(&queue, 1, number, &said)).collect();
        until_waiting(&queue, PLACES).await;
        let other = wait(&queue, 2, PLACES, &said);
        let turned_away = loop {
            let gone = flood.iter().filter(|one| one.is_finished()).count();
            if gone > 0 {
                break gone;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!(turned_away, 1);
        drop(turns);
        assert!(other.await.unwrap(), "whoever floods doesn't push out others");
        let served = join_all(flood)
            .await
            .into_iter()
            .filter(|one| *one.as_ref().unwrap())
            .count();
        assert_eq!(served, PLACES - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let (queue, turns) = taken().await;
        assert_eq!(
            queue.turn(network(2)).await.err(),
            Some(Unauthenticated::Overloaded)
        );
        drop(turns);
        assert!(queue.turn(network(2)).await.is_ok());
        assert_eq!(queue.lock().running, 0);
    }
}
