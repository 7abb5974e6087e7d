//! Tokens and keys as issuers make them, and what becomes of them.

mod claims;
mod keys;
mod signer;
mod tokens;
mod wycheproof;
