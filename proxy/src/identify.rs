//! Who is calling: from a request's headers to an [`Identity`], the first step of every request.

mod asker;
mod certificate;
mod failures;
mod identity;
mod kubernetes;
mod lanes;
mod outcomes;
mod pool;
mod presented;
mod recall;
mod requirement;
mod signature;
mod turns;
mod verifier;

pub use certificate::ClientCertificate;
pub use identity::{Identity, Unauthenticated};
pub use pool::HashingLoad;
pub use recall::Recall;
pub use verifier::Verifier;

pub(crate) use identity::Evidence;
pub(crate) use kubernetes::{Reviewer, Shown};
pub(crate) use presented::{CREDENTIAL_HEADERS, Token};
pub(crate) use requirement::Requirement;
