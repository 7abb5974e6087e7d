//! The lines of a credential file that say something.

use super::{CredentialError, Problem};

/// A line that is neither blank nor a comment.
pub(super) struct Line<'content> {
    /// From 1.
    pub(super) number: usize,
    /// Without the space around it, and without the CR of a file from Windows.
    pub(super) text: &'content str,
}

impl Line<'_> {
    /// The error that this line of the entry has.
    pub(super) fn error(&self, entry: &str, problem: Problem) -> CredentialError {
        CredentialError::Line {
            entry: entry.to_owned(),
            line: self.number,
            problem,
        }
    }
}

/// The lines of an entry, at least one.
///
/// # Errors
/// When it isn't UTF-8 or has no line but blank ones and comments.
pub(super) fn lines<'content>(
    entry: &str,
    content: &'content [u8],
) -> Result<Vec<Line<'content>>, CredentialError> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let line = 1 + content[..error.valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        CredentialError::Line {
            entry: entry.to_owned(),
            line,
            problem: Problem::NotUtf8,
        }
    })?;
    // Editors on Windows put a byte order mark first; it belongs to no name.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<_> = (1..)
        .zip(text.split('\n'))
        .map(|(number, text)| Line {
            number,
            text: text.trim_ascii(),
        })
        .filter(|line| !line.text.is_empty() && !line.text.starts_with('#'))
        .collect();
    if lines.is_empty() {
        Err(CredentialError::Empty {
            entry: entry.to_owned(),
        })
    } else {
        Ok(lines)
    }
}
