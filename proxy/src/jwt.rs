//! JSON Web Tokens (RFC 7519) of trusted issuers: from a token to what it says of its bearer.
//!
//! The steps are types, so that none can be left out: [`compact`] takes a token apart and believes nothing of it,
//! [`keys`] finds the key of the issuer that signed it, [`claims`] judges what it says. What a token says of its own
//! verification is never believed: the algorithm must be one that the configuration lists and that the key is for, a
//! key or an address of keys in the header isn't looked at, and extensions that must be understood are refused.

mod algorithm;
mod claims;
mod compact;
mod fetch;
mod issuers;
mod json;
mod jwk;
mod key;
mod key_list;
mod keys;
mod pem;
mod problem;
mod published;

pub use fetch::Fetcher;
pub use problem::KeyProblem;

pub(crate) use claims::{ClaimError, Unverified};
pub(crate) use compact::has_shape_of_token;
pub(crate) use issuers::{Issuers, TokenRefused, Verified};
pub(crate) use key_list::KeyList;
pub(crate) use keys::KeySet;
pub(crate) use published::{Published, Trusted};

/// What a token says of itself, with nothing of it verified.
///
/// # Errors
/// It is none, or doesn't say for whom it is and when it ends.
pub(crate) fn unverified(token: &[u8]) -> Result<Unverified, TokenRefused> {
    let token = compact::Compact::parse(token)?;
    Ok(Unverified::read(&token)?)
}

#[cfg(test)]
mod tests;
