//! Digests by which the operator knows what a proxy has in force, without either sending a secret.

use std::collections::BTreeMap;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The entries of a Secret, or the files of a mounted one: name → content.
pub type Entries = BTreeMap<String, Vec<u8>>;

/// The key of the digests. Without it a digest would let whoever sees `/status` test guesses of a weak password.
#[derive(Clone)]
pub struct DigestKey(Zeroizing<Vec<u8>>);

impl DigestKey {
    /// Fewest bytes that a key may have.
    pub const MINIMUM_LENGTH: usize = 16;

    /// Takes the key as it stands in its file; `None` when it is shorter than [`Self::MINIMUM_LENGTH`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (bytes.len() >= Self::MINIMUM_LENGTH).then(|| Self(Zeroizing::new(bytes.to_vec())))
    }

    /// HMAC-SHA256 (RFC 2104) over every name and content, each preceded by its length so that no two different
    /// sets of entries run together; in hexadecimal.
    pub fn digest(&self, entries: &Entries) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        for field in entries
            .iter()
            .flat_map(|(name, content)| [name.as_bytes(), content.as_slice()])
        {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        hex::encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("DigestKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        pairs
            .iter()
            .map(|(name, content)| ((*name).into(), content.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn different_entries_or_keys_have_different_digests() {
        let key = DigestKey::new(&[1; 32]).unwrap();
        let digest = key.digest(&entries(&[("auth", "a:b")]));
        let cases: &[(&str, String)] = &[
            ("another content", key.digest(&entries(&[("auth", "a:c")]))),
            ("another name", key.digest(&entries(&[("users", "a:b")]))),
            (
                "a byte moved from name to content",
                key.digest(&entries(&[("aut", "ha:b")])),
            ),
            (
                "an entry more",
                key.digest(&entries(&[("auth", "a:b"), ("x", "")])),
            ),
            ("no entry", key.digest(&Entries::new())),
            (
                "another key",
                DigestKey::new(&[2; 32])
                    .unwrap()
                    .digest(&entries(&[("auth", "a:b")])),
            ),
        ];
        for (name, other) in cases {
            assert_ne!(&digest, other, "{name}");
        }
        assert_eq!(digest, key.digest(&entries(&[("auth", "a:b")])), "the same");
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(DigestKey::new(&[0; 15]).is_none());
    }
}
