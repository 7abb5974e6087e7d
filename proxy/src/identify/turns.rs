//! Who is next: a queue in which nobody has a second turn before all others that wait have had one.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Items that wait.
pub(super) trait Waiting: Default {
    /// What waits.
    type Item;
    /// Where in the queue an item stands.
    type Place;

    /// Lets an item wait.
    fn push(&mut self, place: Self::Place, item: Self::Item);
    /// The one whose turn it is.
    fn pop(&mut self) -> Option<Self::Item>;
    /// Turns one away: the newest of those of whom there are most.
    fn shed(&mut self) -> Option<Self::Item>;
    /// Turns away all that are not worth waiting for.
    fn retain(&mut self, keep: impl Copy + Fn(&Self::Item) -> bool);
    /// How many wait.
    fn len(&self) -> usize;
}

/// First come, first served.
impl<T> Waiting for VecDeque<T> {
    type Item = T;
    type Place = ();

    fn push(&mut self, (): (), item: T) {
        self.push_back(item);
    }

    fn pop(&mut self) -> Option<T> {
        self.pop_front()
    }

    fn shed(&mut self) -> Option<T> {
        self.pop_back()
    }

    fn retain(&mut self, keep: impl Copy + Fn(&T) -> bool) {
        Self::retain(self, keep);
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

/// Queues that take turns, each under its key. None of them is empty.
#[derive(Debug)]
pub(super) struct Turns<K, Q> {
    /// Whose turn it is, first.
    order: VecDeque<K>,
    queues: HashMap<K, Q>,
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            queues: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, Q: Waiting> Turns<K, Q> {
    fn forget_if_empty(&mut self, key: K) {
        if self.queues.get(&key).is_some_and(|queue| queue.len() == 0) {
            self.queues.remove(&key);
            self.order.retain(|other| *other != key);
        }
    }
}

impl<K: Copy + Eq + Hash, Q: Waiting> Waiting for Turns<K, Q> {
    type Item = Q::Item;
    type Place = (K, Q::Place);

    fn push(&mut self, (key, place): Self::Place, item: Q::Item) {
        let order = &mut self.order;
        let queue = self.queues.entry(key).or_insert_with(|| {
            order.push_back(key);
            Q::default()
        });
        queue.push(place, item);
    }

    fn pop(&mut self) -> Option<Q::Item> {
        let key = self.order.pop_front()?;
        self.order.push_back(key);
        let item = self.queues.get_mut(&key)?.pop();
        self.forget_if_empty(key);
        item
    }

    fn shed(&mut self) -> Option<Q::Item> {
        let (key, queue) = self.queues.iter_mut().max_by_key(|(_, queue)| queue.len())?;
        let (key, item) = (*key, queue.shed());
        self.forget_if_empty(key);
        item
    }

    fn retain(&mut self, keep: impl Copy + Fn(&Q::Item) -> bool) {
        for key in self.order.clone() {
            if let Some(queue) = self.queues.get_mut(&key) {
                queue.retain(keep);
            }
            self.forget_if_empty(key);
        }
    }

    fn len(&self) -> usize {
        self.queues.values().map(Waiting::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type ByAddressAndName = Turns<char, Turns<char, VecDeque<&'static str>>>;

    /// Each item begins with its address and its name.
    fn queue(items: &[&'static str]) -> ByAddressAndName {
        let mut queue = ByAddressAndName::default();
        for item in items {
            let mut keys = item.chars();
            let (address, name) = (keys.next().unwrap(), keys.next().unwrap());
            queue.push((address, (name, ())), item);
        }
        queue
    }

    fn served(mut queue: ByAddressAndName) -> Vec<&'static str> {
        let served = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(queue.len(), 0);
        assert!(queue.order.is_empty() && queue.queues.is_empty(), "{queue:?}");
        served
    }

    #[test]
    fn everyone_has_a_turn_before_anyone_has_another() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("one", &["Aa1", "Aa2"], &["Aa1", "Aa2"]),
            (
                "names of an address",
                &["Aa1", "Aa2", "Ab1", "Ac1"],
                &["Aa1", "Ab1", "Ac1", "Aa2"],
            ),
            (
                "addresses, however many names they use",
                &["Aa1", "Ab1", "Ac1", "Ad1", "Ba1"],
                &["Aa1", "Ba1", "Ab1", "Ac1", "Ad1"],
            ),
            (
                "the same name from two addresses",
                &["Aa1", "Aa2", "Ba1"],
                &["Aa1", "Ba1", "Aa2"],
            ),
        ];
        for (name, items, expected) in cases {
            assert_eq!(served(queue(items)), *expected, "{name}");
        }
    }

    #[test]
    fn who_has_most_is_turned_away_first() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("the newest", &["Aa1", "Aa2"], "Aa2"),
            ("of the address with most", &["Ba1", "Aa1", "Ab1"], "Ab1"),
            ("of its name with most", &["Aa1", "Aa2", "Ab1", "Ba1"], "Aa2"),
        ];
        for (name, items, expected) in cases {
            let mut queue = queue(items);
            let count = queue.len();
            let shed = queue.shed().unwrap();
            // Of equals it may be either.
            assert_eq!(shed[..1], expected[..1], "{name}");
            assert!(
                shed == *expected || shed[1..2] != expected[1..2],
                "{name}: {shed}"
            );
            assert_eq!(queue.len(), count - 1, "{name}");
            assert_eq!(served(queue).len(), count - 1, "{name}");
        }
    }

    #[test]
    fn what_is_not_worth_it_goes() {
        let mut queue = queue(&["Aa1", "Aa2", "Ab1", "Ba1"]);
        queue.retain(|item| item.ends_with('2'));
        assert_eq!(served(queue), ["Aa2"]);
    }
}
