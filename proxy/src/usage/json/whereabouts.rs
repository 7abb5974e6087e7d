//! Where in a document a reader is.

use super::{ELEMENT, Listener, Place, Scalar};

/// Containers of the longest path.
const DEEPEST: usize = 3;

/// Which container is being read, and what of it may lead to a place.
#[derive(Debug)]
pub(super) struct Whereabouts {
    places: &'static [Place],
    open: [Container; DEEPEST],
    depth: usize,
    /// The places that the next value is or leads to.
    next: Set,
    next_is_key: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Container {
    set: Set,
    is_array: bool,
}

/// Places by their index in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u32);

impl Set {
    fn those(places: &[Place], is_in: impl Fn(usize, &Place) -> bool) -> Self {
        let numbered = places.iter().enumerate();
        Self(
            numbered
                .filter(|(index, place)| is_in(*index, place))
                .fold(0, |set, (index, _)| set | 1 << index),
        )
    }

    const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Whereabouts {
    /// Before a document.
    pub(super) fn new(places: &'static [Place]) -> Self {
        Self {
            places,
            open: [Container::default(); DEEPEST],
            depth: 0,
            next: Set::default(),
            next_is_key: false,
        }
    }

    /// As before a document.
    pub(super) const fn restart(&mut self) {
        self.depth = 0;
    }

    /// Whether no container is open.
    pub(super) const fn is_outside(&self) -> bool {
        self.depth == 0
    }

    /// Whether somebody asks for the key or value that comes next.
    pub(super) const fn matters(&self) -> bool {
        self.next_is_key || !self.next.is_empty()
    }

    /// Says whether the container that opens leads anywhere.
    pub(super) fn open(&mut self, is_array: bool) -> bool {
        let depth = self.depth;
        let set = match (depth, is_array) {
            (0, _) => Set::those(self.places, |_, _| true),
            (_, true) => self.named(self.next, depth, ELEMENT.as_bytes()),
            (_, false) => Set::those(self.places, |index, place| {
                self.next.has(index) && place.path.len() > depth
            }),
        };
        match self.open.get_mut(depth) {
            Some(container) if !set.is_empty() => {
                *container = Container { set, is_array };
                self.depth += 1;
                self.separate();
                true
            }
            _ => false,
        }
    }

    /// The innermost container ends.
    pub(super) const fn close(&mut self) {
        self.depth -= 1;
    }

    /// What comes is the first or another member of the innermost container.
    pub(super) fn separate(&mut self) {
        let Container { set, is_array } = self.open[self.depth - 1];
        self.next = set;
        self.next_is_key = !is_array;
    }

    /// A text has ended: a key, or a value that is told. None is one that was not kept.
    pub(super) fn end_text(&mut self, text: Option<&[u8]>, listener: &mut impl Listener) {
        if self.next_is_key {
            self.next_is_key = false;
            self.next = text.map_or(Set::default(), |key| {
                self.named(self.open[self.depth - 1].set, self.depth - 1, key)
            });
        } else if !self.next.is_empty() {
            let text = text.and_then(|text| std::str::from_utf8(text).ok());
            self.tell(text.map_or(Scalar::Other, Scalar::Text), listener);
        }
    }

    /// Tells the value that was next.
    pub(super) fn tell(&self, value: Scalar<'_>, listener: &mut impl Listener) {
        for (index, Place { path, field }) in self.places.iter().enumerate() {
            if self.next.has(index) && path.len() == self.depth {
                listener.value(*field, value);
            }
        }
    }

    /// Those of a set whose path goes on like this.
    fn named(&self, set: Set, position: usize, name: &[u8]) -> Set {
        Set::those(self.places, |index, place| {
            set.has(index)
                && place
                    .path
                    .get(position)
                    .is_some_and(|found| found.as_bytes() == name)
        })
    }
}
