//! Apache's MD5 password hash, `$apr1$`, as `htpasswd -m` makes it.
//!
//! The algorithm is that of FreeBSD's MD5 crypt with another magic string (Apache, support for `apr_md5_encode` in
//! apr-util). No maintained crate has it; the vectors in the tests come from `openssl passwd -apr1` and `htpasswd`.

use md5::{Digest, Md5};

/// What such a hash begins with.
pub(super) const MAGIC: &str = "$apr1$";

/// Length of the encoded hash behind the salt.
pub(super) const ENCODED_LENGTH: usize = 22;

/// Longest salt.
pub(super) const LONGEST_SALT: usize = 8;

const ROUNDS: usize = 1000;

/// The digits of crypt's base 64, lowest first.
pub(super) const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The encoded hash of a password.
pub(super) fn hash(password: &[u8], salt: &[u8]) -> [u8; ENCODED_LENGTH] {
    let first = first_digest(password, salt);
    encode(&(0..ROUNDS).fold(first, |digest, round| stretch(&digest, round, password, salt)))
}

fn first_digest(password: &[u8], salt: &[u8]) -> [u8; 16] {
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut outer = Md5::new()
        .chain_update(password)
        .chain_update(MAGIC)
        .chain_update(salt);
    for chunk in password.chunks(inner.len()) {
        outer.update(&inner[..chunk.len()]);
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0] } else { &password[..1] });
        bits >>= 1;
    }
    outer.finalize().into()
}

fn stretch(digest: &[u8; 16], round: usize, password: &[u8], salt: &[u8]) -> [u8; 16] {
    let odd = round % 2 == 1;
    let mut hasher = Md5::new();
    hasher.update(if odd { password } else { digest });
    if !round.is_multiple_of(3) {
        hasher.update(salt);
    }
    if !round.is_multiple_of(7) {
        hasher.update(password);
    }
    hasher.update(if odd { digest } else { password });
    hasher.finalize().into()
}

/// Three bytes make four digits, in an order of its own; the byte that is left makes two.
fn encode(digest: &[u8; 16]) -> [u8; ENCODED_LENGTH] {
    const ORDER: [[usize; 3]; 5] = [[0, 6, 12], [1, 7, 13], [2, 8, 14], [3, 9, 15], [4, 10, 5]];
    let mut encoded = [0; ENCODED_LENGTH];
    let (triples, last) = encoded.split_at_mut(20);
    for (digits, [high, middle, low]) in triples.chunks_mut(4).zip(ORDER) {
        put_digits(
            digits,
            u32::from_be_bytes([0, digest[high], digest[middle], digest[low]]),
        );
    }
    put_digits(last, u32::from(digest[11]));
    encoded
}

fn put_digits(digits: &mut [u8], mut value: u32) {
    for digit in digits {
        *digit = ALPHABET[(value & 0x3f) as usize];
        value >>= 6;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_openssl() {
        let cases: &[(&str, &str, &str)] = &[
            ("opensesame", "Zx9.ab/1", "NdoSw1znuSoWQ3JBU9d.B0"),
            ("opensesame", "s", "zocglCNqS9KLlroJrB8GD1"),
            ("é:ü", "Zx9.ab/1", "B/elD2M5GYF.A24g7P3Ay/"),
            ("é:ü", "s", "1vZaVRF7zL325WLofbH7Z0"),
            (
                "a-password-that-is-longer-than-sixteen-bytes-by-far",
                "12345678",
                "xB3hRQ7WemqGwR0465/x5/",
            ),
        ];
        for (password, salt, expected) in cases {
            let encoded = hash(password.as_bytes(), salt.as_bytes());
            assert_eq!(
                std::str::from_utf8(&encoded).unwrap(),
                *expected,
                "{password} with salt {salt}"
            );
        }
    }
}
