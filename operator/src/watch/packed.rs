//! Texts that have much in common, kept as what is different in them.

use std::fmt;
use std::sync::Arc;

use lz4_flex::block::{DecompressError, compress_with_dict, decompress_with_dict};

/// A text that others are packed against.
pub(super) type Template = Arc<str>;

/// A text, as its differences from a template. Copies share it.
#[derive(Clone)]
pub struct Packed {
    template: Template,
    differences: Arc<[u8]>,
    length: usize,
}

/// Why a text can't be had back; never in practice, it was packed here.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnpackError {
    #[error("{0}")]
    Format(#[from] DecompressError),
    #[error("{0}")]
    Unicode(#[from] std::string::FromUtf8Error),
}

impl Packed {
    /// Packs a text against a template; the first one becomes it.
    pub(super) fn new(text: &str, template: &mut Option<Template>) -> Self {
        let template = template.get_or_insert_with(|| text.into());
        Self {
            differences: compress_with_dict(text.as_bytes(), template.as_bytes()).into(),
            template: template.clone(),
            length: text.len(),
        }
    }

    /// The text.
    pub(super) fn unpacked(&self) -> Result<String, UnpackError> {
        let bytes = decompress_with_dict(&self.differences, self.length, self.template.as_bytes())?;
        Ok(String::from_utf8(bytes)?)
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unpacked() {
            Ok(text) => formatter.write_str(&text),
            Err(error) => write!(formatter, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_can_be_had_back_and_takes_less() {
        let object = |name: &str| {
            let fields: Vec<_> = (0..100)
                .map(|field| format!("{{\"field{field}\":\"{name}\"}}"))
                .collect();
            fields.join(",")
        };
        let mut template = None;
        for (what, text, most) in [
            ("the first", object("a"), 64),
            ("another", object("b"), 800),
            ("nothing in common", "{}".to_owned(), 8),
            ("nothing", String::new(), 8),
        ] {
            let packed = Packed::new(&text, &mut template);
            assert_eq!(packed.unpacked().unwrap(), text, "{what}");
            assert_eq!(format!("{packed:?}"), text, "{what}");
            let length = packed.differences.len();
            assert!(length <= most, "{what}: {length}");
        }
    }
}
