//! JSON, read in pieces cut anywhere. A reader tells the values of a few places; it keeps the key or value that it is
//! just in and steps over all else, however large. It trusts its source and checks no grammar: from what isn't JSON it
//! tells nothing.

mod whereabouts;

use memchr::memchr2;

use super::format::{ELEMENT, Field, Place};
use whereabouts::Whereabouts;

/// Bytes of the longest key or value that is told: a model's name is shorter.
const LONGEST: usize = 512;

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
    whereabouts: Whereabouts,
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

/// A set of bytes.
struct ByteSet([bool; 256]);

impl ByteSet {
    const fn of(those: &[u8]) -> Self {
        let mut all = [false; 256];
        let mut index = 0;
        while index < those.len() {
            all[those[index] as usize] = true;
            index += 1;
        }
        Self(all)
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|byte| self.has(*byte))
    }
}

static WHITE_SPACE: ByteSet = ByteSet::of(b" \t\r\n");
/// What a word ends before.
static ENDS_OF_WORDS: ByteSet = ByteSet::of(b" \t\r\n,:\"{}[]");
/// What matters where all is stepped over.
static STRUCTURE: ByteSet = ByteSet::of(b"\"{}[]");

/// What is kept of a key or value.
#[derive(Debug, Default)]
struct Text {
    /// Its parts from earlier pieces.
    before: Vec<u8>,
    is_kept: bool,
}

impl Text {
    fn begin(&mut self, keep: bool) {
        self.before.clear();
        self.is_kept = keep;
    }

    fn add(&mut self, part: &[u8]) {
        self.is_kept &= self.before.len() + part.len() <= LONGEST;
        if self.is_kept {
            self.before.extend_from_slice(part);
        }
    }

    /// The whole of it, with its last part. What lies in one piece is not copied.
    fn end<'a>(&'a mut self, last: &'a [u8]) -> Option<&'a [u8]> {
        if !self.before.is_empty() {
            self.add(last);
            return self.is_kept.then_some(&self.before);
        }
        (self.is_kept && last.len() <= LONGEST).then_some(last)
    }
}

impl Reader {
    pub(super) fn new(places: &'static [Place]) -> Self {
        Self {
            whereabouts: Whereabouts::new(places),
            skipped: 0,
            state: State::Between,
            text: Text::default(),
        }
    }

    /// Another document begins, wherever the last one has come to.
    pub(super) const fn restart(&mut self) {
        self.whereabouts.restart();
        self.skipped = 0;
        self.state = State::Between;
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.text.before.len()
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
            byte if WHITE_SPACE.has(byte) => {}
            b'{' => self.open(false),
            // Only an object has anything to tell.
            _ if self.whereabouts.is_outside() => self.state = State::Done,
            b'[' => self.open(true),
            b'}' | b']' => self.close(listener),
            b',' => self.whereabouts.separate(),
            b':' => {}
            b'"' => {
                self.text.begin(self.whereabouts.matters());
                self.state = State::Text { escaped: false };
            }
            _ => {
                self.text.begin(self.whereabouts.matters());
                self.state = State::Word;
                return 0;
            }
        }
        1
    }

    fn open(&mut self, is_array: bool) {
        if !self.whereabouts.open(is_array) {
            self.skipped = 1;
        }
    }

    fn close(&mut self, listener: &mut impl Listener) {
        self.whereabouts.close();
        if self.whereabouts.is_outside() {
            self.state = State::Done;
            listener.end();
        }
    }

    fn skip(&mut self, bytes: &[u8]) -> usize {
        let Some(found) = STRUCTURE.find(bytes) else {
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
            self.state = State::Between;
            if self.skipped == 0 {
                let text = self.text.end(&bytes[..found]);
                self.whereabouts.end_text(text, listener);
            }
        }
        found + 1
    }

    fn word(&mut self, bytes: &[u8], listener: &mut impl Listener) -> usize {
        let Some(found) = ENDS_OF_WORDS.find(bytes) else {
            self.text.add(bytes);
            return bytes.len();
        };
        self.state = State::Between;
        let word = self.text.end(&bytes[..found]);
        self.whereabouts
            .tell(word.map_or(Scalar::Other, scalar), listener);
        found
    }
}

fn scalar(word: &[u8]) -> Scalar<'_> {
    match word {
        b"null" => Scalar::Null,
        b"true" => Scalar::Bool(true),
        b"false" => Scalar::Bool(false),
        _ => number(word).map_or(Scalar::Other, Scalar::Number),
    }
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
