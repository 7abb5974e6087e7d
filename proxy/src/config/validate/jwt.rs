//! What the types of issuers can't say.

use std::collections::BTreeSet;

use url::Url;

use super::Invalid;
use super::source::check_source;
use crate::config::{JwtAlgorithm, JwtIssuer, KeyAddress};

/// Checks every issuer of the configuration.
pub(super) fn check(issuers: &[JwtIssuer]) -> Result<(), Invalid> {
    let mut names = BTreeSet::new();
    for (index, issuer) in issuers.iter().enumerate() {
        let place = format!("credentials.jwt[{index}]");
        check_issuer(issuer).map_err(|(field, problem)| Invalid::new(format!("{place}.{field}"), problem))?;
        for (field, source) in [("keys", &issuer.keys), ("ca", &issuer.ca)] {
            if let Some(source) = source {
                check_source(&format!("{place}.{field}"), source)?;
            }
        }
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
    check_keys(issuer)?;
    let JwtIssuer {
        issuer,
        audiences,
        keys: _,
        jwks_uri: _,
        ca: _,
        insecure: _,
        algorithms,
        client_claim,
        groups_claim,
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
    for (field, claim) in [
        ("clientClaim", Some(client_claim)),
        ("groupsClaim", groups_claim.as_ref()),
    ] {
        if claim.is_some_and(|claim| claim.split('.').any(str::is_empty)) {
            return wrong(
                field,
                "must be the name of a claim, or the names that lead to it with dots between",
            );
        }
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

fn check_keys(issuer: &JwtIssuer) -> Result<(), (&'static str, String)> {
    let wrong = |field, problem: &str| Err((field, problem.to_owned()));
    if issuer.keys.is_some() {
        return if issuer.ca.is_some() {
            wrong(
                "ca",
                "must not stand beside keys in files: it is for the address that they are fetched from",
            )
        } else if issuer.jwks_uri.is_some() {
            wrong(
                "jwksURI",
                "must not stand beside keys: they are in files or are fetched",
            )
        } else {
            Ok(())
        };
    }
    if issuer
        .algorithms
        .iter()
        .any(|algorithm| algorithm.has_shared_secret())
    {
        return wrong(
            "algorithms",
            "must not list HS… where keys are fetched: a secret isn't published",
        );
    }
    let field = if issuer.jwks_uri.is_some() {
        "jwksURI"
    } else {
        "issuer"
    };
    let address = issuer.key_address();
    let is_plain = |address: &Url| issuer.insecure && address.scheme() == "http";
    let address = address.as_ref().map(KeyAddress::first);
    if issuer.ca.is_some() && address.is_some_and(|address| address.scheme() != "https") {
        return wrong("ca", "goes with an https address, whose certificate it checks");
    }
    match address {
        Some(address) if KeyAddress::is_safe(address) || is_plain(address) => Ok(()),
        _ => wrong(
            field,
            "must be an https address to fetch its keys from, or http to 127.0.0.1; insecure: true allows http to others",
        ),
    }
}

fn algorithms_problem(algorithms: &[JwtAlgorithm]) -> Option<&'static str> {
    if algorithms.is_empty() {
        return Some("must list at least one; leave it out to allow all that have a key pair");
    }
    let secret = |algorithm: &JwtAlgorithm| algorithm.has_shared_secret();
    let mixed = algorithms.iter().any(secret) && !algorithms.iter().all(secret);
    mixed.then_some("must not mix HS… with others: a public key could be taken for the secret of an HMAC")
}

#[cfg(test)]
pub(super) mod tests;
