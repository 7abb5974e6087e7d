//! Tokens of Kubernetes service accounts: from a token to the account that its cluster's API server says it is of.
//!
//! Unlike the tokens of [`crate::jwt`] they end when their account or Pod is deleted, which only the API server knows. So
//! it is asked ([`review`] is the question, [`api_server`] asks it), and what it says counts for a minute at most
//! ([`account`]). Whoever has been let pass is asked about apart from those who come for the first time, and these take
//! turns ([`queue`]), so that made-up tokens neither flood the API server nor keep anybody out. [`crate::keep`] has it asked
//! again about requests that outlast the minute.

mod account;
mod api_server;
mod error;
mod queue;
mod review;
mod reviewer;

pub(crate) use account::Shown;
pub(crate) use reviewer::Reviewer;
