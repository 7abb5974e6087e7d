//! JSON, read in pieces cut anywhere. A reader tells the values of a few places; it keeps the key or value that it is
//! just in and steps over all else, however large. It trusts its source and checks no grammar: from what isn't JSON it
//! tells nothing.

use memchr::memchr2;

use super::format::{Field, Place};

/// Stands in a path for any element of an array.
pub(super) const ELEMENT: &str = "[]";
/// Bytes of the longest key or value that is told: a model's name is shorter.
const LONGEST: usize = 512;
/// Containers of the longest path.
const DEEPEST: usize = 3;

/// A value that isn't an object or array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(u64),
    Text(&'a str),
    /// Any other number, a text that is too long or has escapes: nothing that is asked for is one.
    Other,
}

/// Who is told.
pub(super) trait Listener {
    /// The value of a place.
    fn value(&mut self, field: Field, value: Scalar<'_>);
    /// The document is complete.
    fn end(&mut self);
}

/// Reads one document after the other.
#[derive(Debug)]
pub(super) struct Reader {
    places: &'static [Place],
    open: [Container; DEEPEST],
    depth: usize,
    /// The places that the next value is or leads to.
    next: Set,
    next_is_key: bool,
    /// Open containers within one that leads nowhere, itself included.
    skipped: u64,
    state: State,
    text: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    Text { escaped: bool },
    Word,
    Done,
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

/// What is kept of a key or value.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    is_kept: bool,
}

impl Text {
    fn begin(&mut self, keep: bool) {
        self.bytes.clear();
        self.is_kept = keep;
    }

    fn add(&mut self, bytes: &[u8]) {
        self.is_kept &= self.bytes.len() + bytes.len() <= LONGEST;
        if self.is_kept {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn get(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|_| self.is_kept)
    }
}

impl Reader {
    pub(super) fn new(places: &'static [Place]) -> Self {
        Self {
            places,
            open: [Container::default(); DEEPEST],
            depth: 0,
            next: Set::default(),
            next_is_key: false,
            skipped: 0,
            state: State::Between,
            text: Text::default(),
        }
    }

    /// Another document begins, wherever the last one has come to.
    pub(super) const fn restart(&mut self) {
        self.depth = 0;
        self.skipped = 0;
        self.state = State::Between;
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.text.bytes.len()
    }

    /// Reads the next piece of the document. What follows its end is ignored.
    pub(super) fn read(&mut self, piece: &[u8], listener: &mut impl Listener) {
        let mut rest = piece;
        while let Some(&byte) = rest.first() {
            let read = match self.state {
                State::Between if self.skipped > 0 => self.skip(rest),
                State::Between => self.token(byte, listener),
                State::Text { escaped: false } => self.text(rest, listener),
                State::Text { escaped: true } => {
                    self.state = State::Text { escaped: false };
                    1
                }
                State::Word => self.word(rest, listener),
                State::Done => return,
            };
            rest = rest.get(read..).unwrap_or_default();
        }
    }

    /// Says how many bytes it has read, as all of the following do.
    fn token(&mut self, byte: u8, listener: &mut impl Listener) -> usize {
        match byte {
            byte if byte.is_ascii_whitespace() => {}
            b'{' => self.open(false),
            // Only an object has anything to tell.
            _ if self.depth == 0 => self.state = State::Done,
            b'[' => self.open(true),
            b'}' | b']' => self.close(listener),
            b',' => self.separate(),
            b':' => {}
            b'"' => {
                self.text.begin(self.next_is_key || !self.next.is_empty());
                self.state = State::Text { escaped: false };
            }
            _ => {
                self.text.begin(!self.next.is_empty());
                self.state = State::Word;
                return 0;
            }
        }
        1
    }

    fn open(&mut self, is_array: bool) {
        let depth = self.depth;
        let set = match (depth, is_array) {
            (0, _) => Set::those(self.places, |_, _| true),
            (_, true) => self.named(self.next, depth, ELEMENT),
            (_, false) => Set::those(self.places, |index, place| {
                self.next.has(index) && place.path.len() > depth
            }),
        };
        match self.open.get_mut(depth) {
            Some(container) if !set.is_empty() => {
                *container = Container { set, is_array };
                self.depth += 1;
                self.separate();
            }
            _ => self.skipped = 1,
        }
    }

    fn close(&mut self, listener: &mut impl Listener) {
        self.depth -= 1;
        if self.depth == 0 {
            self.state = State::Done;
            listener.end();
        }
    }

    /// What comes is the first or another member of the innermost container.
    fn separate(&mut self) {
        let Container { set, is_array } = self.open[self.depth - 1];
        self.next = set;
        self.next_is_key = !is_array;
    }

    fn skip(&mut self, bytes: &[u8]) -> usize {
        let Some(found) = bytes.iter().position(|byte| b"\"{}[]".contains(byte)) else {
            return bytes.len();
        };
        match bytes[found] {
            b'"' => {
                self.text.begin(false);
                self.state = State::Text { escaped: false };
            }
            b'{' | b'[' => self.skipped += 1,
            _ => self.skipped -= 1,
        }
        found + 1
    }

    fn text(&mut self, bytes: &[u8], listener: &mut impl Listener) -> usize {
        let Some(found) = memchr2(b'"', b'\\', bytes) else {
            self.text.add(bytes);
            return bytes.len();
        };
        if bytes[found] == b'\\' {
            self.text.is_kept = false;
            self.state = State::Text { escaped: true };
        } else {
            self.text.add(&bytes[..found]);
            self.state = State::Between;
            self.end_text(listener);
        }
        found + 1
    }

    fn end_text(&mut self, listener: &mut impl Listener) {
        if self.skipped > 0 {
            return;
        }
        if self.next_is_key {
            self.next_is_key = false;
            self.next = self.text.get().map_or(Set::default(), |key| {
                self.named(self.open[self.depth - 1].set, self.depth - 1, key)
            });
        } else {
            self.tell(self.text.get().map_or(Scalar::Other, Scalar::Text), listener);
        }
    }

    fn word(&mut self, bytes: &[u8], listener: &mut impl Listener) -> usize {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || b",:\"{}[]".contains(byte);
        let Some(found) = bytes.iter().position(ends) else {
            self.text.add(bytes);
            return bytes.len();
        };
        self.text.add(&bytes[..found]);
        self.state = State::Between;
        self.tell(self.text.get().map_or(Scalar::Other, scalar), listener);
        found
    }

    fn tell(&self, value: Scalar<'_>, listener: &mut impl Listener) {
        for (index, Place { path, field }) in self.places.iter().enumerate() {
            if self.next.has(index) && path.len() == self.depth {
                listener.value(*field, value);
            }
        }
    }

    /// Those of a set whose path goes on like this.
    fn named(&self, set: Set, position: usize, name: &str) -> Set {
        Set::those(self.places, |index, place| {
            set.has(index) && place.path.get(position).is_some_and(|found| *found == name)
        })
    }
}

fn scalar(word: &str) -> Scalar<'_> {
    match word {
        "null" => Scalar::Null,
        "true" => Scalar::Bool(true),
        "false" => Scalar::Bool(false),
        _ => word.parse().map_or(Scalar::Other, Scalar::Number),
    }
}

#[cfg(test)]
mod tests;
