//! What each parser promises of any bytes at all. A property takes bytes, as a fuzzer gives them, and panics where the
//! promise is broken: it is checked by `cargo test` with inputs that are likely to be interesting, and by `make fuzz`
//! (proxy/fuzz) with whatever leads to code not yet reached.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod ceiling;
pub(crate) mod configuration;
pub(crate) mod credential;
pub(crate) mod credential_file;
pub(crate) mod model;
pub(crate) mod response;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod token_keys;

mod guard;

/// The first byte and the rest, so that one input chooses its variant.
fn variant(data: &[u8]) -> (usize, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}
