//! JSON objects on a line, member by member. Serde would look through every name for what must be escaped; in ours
//! nothing is.

use serde::Serialize;

/// An object that is being written. [`Object::end`] closes it.
pub(super) struct Object<'lines> {
    lines: &'lines mut Vec<u8>,
    begin: usize,
}

/// The name of a member, as it is written: in one piece, since there are many in a line.
#[derive(Clone, Copy)]
pub(super) struct Member(&'static str);

impl Member {
    /// Made by [`member`] only.
    pub(super) const fn written(text: &'static str) -> Self {
        Self(text)
    }
}

/// The member of that name, which has nothing to be escaped.
macro_rules! member {
    ($name:literal) => {
        $crate::account::json::Member::written(concat!(",\"", $name, "\":"))
    };
}
pub(super) use member;

impl<'lines> Object<'lines> {
    /// Opens it behind what is there.
    pub(super) fn begin(lines: &'lines mut Vec<u8>) -> Self {
        let begin = lines.len();
        Self { lines, begin }
    }

    /// A value of any kind.
    pub(super) fn value(&mut self, member: Member, value: &impl Serialize) {
        self.name(member);
        // Strings and numbers always serialize, and writing to memory can't fail.
        let _ = serde_json::to_writer(&mut *self.lines, value);
    }

    /// A value of any kind; without one, no member.
    pub(super) fn value_if_any(&mut self, member: Member, value: Option<&impl Serialize>) {
        if let Some(value) = value {
            self.value(member, value);
        }
    }

    /// A text that has nothing to be escaped: a word of our own, a time, an id.
    pub(super) fn plain(&mut self, member: Member, text: &str) {
        self.name(member);
        self.lines.push(b'"');
        self.lines.extend_from_slice(text.as_bytes());
        self.lines.push(b'"');
    }

    /// The same; without one, no member.
    pub(super) fn plain_if_any(&mut self, member: Member, text: Option<&str>) {
        if let Some(text) = text {
            self.plain(member, text);
        }
    }

    /// A word of our own; without one, null.
    pub(super) fn word(&mut self, member: Member, word: Option<&'static str>) {
        match word {
            Some(word) => self.plain(member, word),
            None => self.value(member, &()),
        }
    }

    /// Closes it and ends the line. It has at least one member.
    pub(super) fn end(self) {
        // Where the first member has its comma.
        self.lines[self.begin] = b'{';
        self.lines.extend_from_slice(b"}\n");
    }

    fn name(&mut self, Member(text): Member) {
        self.lines.extend_from_slice(text.as_bytes());
    }
}
