//! JSON objects on a line, member by member. Serde would look through every name for what must be escaped; in ours
//! nothing is.

use serde::Serialize;

/// An object that is being written. [`Object::end`] closes it.
pub(super) struct Object<'lines> {
    lines: &'lines mut Vec<u8>,
    before: &'static [u8],
}

impl<'lines> Object<'lines> {
    /// Opens it behind what is there.
    pub(super) fn begin(lines: &'lines mut Vec<u8>) -> Self {
        Self {
            lines,
            before: b"{\"",
        }
    }

    /// A value of any kind.
    pub(super) fn value(&mut self, name: &'static str, value: &impl Serialize) {
        self.name(name);
        // Strings and numbers always serialize, and writing to memory can't fail.
        let _ = serde_json::to_writer(&mut *self.lines, value);
    }

    /// A value of any kind; without one, no member.
    pub(super) fn value_if_any(&mut self, name: &'static str, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.value(name, value);
        }
    }

    /// A text that has nothing to be escaped: a word of our own, a time, an address.
    pub(super) fn plain(&mut self, name: &'static str, text: &str) {
        self.name(name);
        self.lines.push(b'"');
        self.lines.extend_from_slice(text.as_bytes());
        self.lines.push(b'"');
    }

    /// A word of our own; without one, null.
    pub(super) fn word(&mut self, name: &'static str, word: Option<&'static str>) {
        match word {
            Some(word) => self.plain(name, word),
            None => self.value(name, &()),
        }
    }

    /// Closes it and ends the line.
    pub(super) fn end(self) {
        self.lines.extend_from_slice(b"}\n");
    }

    fn name(&mut self, name: &'static str) {
        self.lines.extend_from_slice(self.before);
        self.lines.extend_from_slice(name.as_bytes());
        self.lines.extend_from_slice(b"\":");
        self.before = b",\"";
    }
}
