//! What the types of issuers can't say.

use std::collections::BTreeSet;

use super::Invalid;
use super::credentials::check_source;
use crate::config::{JwtAlgorithm, JwtIssuer};

/// Checks every issuer of the configuration.
pub(super) fn check(issuers: &[JwtIssuer]) -> Result<(), Invalid> {
    let mut names = BTreeSet::new();
    for (index, issuer) in issuers.iter().enumerate() {
        let place = format!("credentials.jwt[{index}]");
        check_issuer(issuer).map_err(|(field, problem)| Invalid::new(format!("{place}.{field}"), problem))?;
        check_source(&format!("{place}.keys"), &issuer.keys)?;
        if !names.insert(&issuer.issuer) {
            let problem = "is the same as an earlier one; give each issuer once, with all of its audiences";
            return Err(Invalid::new(format!("{place}.issuer"), problem));
        }
    }
    Ok(())
}

/// The field that can't work, and what would be right.
///
/// # Errors
/// The first.
pub fn check_issuer(issuer: &JwtIssuer) -> Result<(), (&'static str, String)> {
    let JwtIssuer {
        issuer,
        audiences,
        keys: _,
        algorithms,
        client_claim,
        leeway_seconds,
    } = issuer;
    let wrong = |field, problem: &str| Err((field, problem.to_owned()));
    if issuer.is_empty() {
        return wrong(
            "issuer",
            "must not be empty: it is what the claim `iss` says, to the letter",
        );
    }
    if audiences.is_empty() || audiences.iter().any(String::is_empty) {
        return wrong(
            "audiences",
            "must name at least one, and none may be empty: the claim `aud` must name one of them",
        );
    }
    if let Some(problem) = algorithms_problem(algorithms) {
        return wrong("algorithms", problem);
    }
    if client_claim.split('.').any(str::is_empty) {
        return wrong(
            "clientClaim",
            "must be the name of a claim, or the names that lead to it with dots between",
        );
    }
    const MOST: u32 = JwtIssuer::MOST_LEEWAY_SECONDS;
    if *leeway_seconds > MOST {
        return Err((
            "leewaySeconds",
            format!("must be 0 to {MOST}: as long, a token counts that has ended"),
        ));
    }
    Ok(())
}

fn algorithms_problem(algorithms: &[JwtAlgorithm]) -> Option<&'static str> {
    if algorithms.is_empty() {
        return Some("must list at least one; leave it out to allow all that have a key pair");
    }
    let secret = |algorithm: &JwtAlgorithm| algorithm.has_shared_secret();
    let mixed = algorithms.iter().any(secret) && !algorithms.iter().all(secret);
    mixed.then_some("must not mix HS… with others: a public key could be taken for the secret of an HMAC")
}
