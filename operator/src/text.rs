//! What is done to words.

/// Cuts them to at most so many bytes, where a character ends.
pub fn cut(words: &mut String, longest: usize) {
    let end = longest.min(words.len());
    let end = (0..=end).rev().find(|end| words.is_char_boundary(*end));
    words.truncate(end.unwrap_or_default());
}
