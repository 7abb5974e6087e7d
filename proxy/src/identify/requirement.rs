//! How many credentials it takes. Pure.

use super::presented::Presented;
use super::{Evidence, Identity, Unauthenticated};
use crate::config::{Credentials, Require};
use crate::credentials::Means;

/// What a request has to carry so that its sender can be known.
#[derive(Clone, Debug, Default)]
pub(crate) enum Requirement {
    /// One credential, of whatever means.
    #[default]
    One,
    /// One credential for each of these means, and none besides.
    Each(Vec<Means>),
}

impl Requirement {
    pub(crate) fn new(credentials: &Credentials) -> Self {
        match credentials.require {
            Require::Any => Self::One,
            Require::All => Self::Each(credentials.means()),
        }
    }

    /// Whether credentials are as many as it takes. Asked before any of them is checked, so that the answer depends on
    /// nothing but what the caller has sent.
    pub(super) fn check(&self, presented: &Presented<'_>) -> Result<(), Unauthenticated> {
        let shows = |means: &Means| presented.means().any(|shown| shown == *means);
        match (self, presented.means().count()) {
            (_, 0) => Err(Unauthenticated::Missing),
            (Self::One, 1) => Ok(()),
            (Self::Each(needed), _) if !needed.iter().all(shows) => Err(Unauthenticated::Incomplete),
            (Self::Each(needed), shown) if shown == needed.len() => Ok(()),
            (Self::One | Self::Each(_), _) => Err(Unauthenticated::Ambiguous),
        }
    }

    /// Whether a caller who was let in has shown enough, for what was needed then may have been less. More than enough
    /// is no reason to cut a stream.
    pub(crate) fn is_met_by(&self, identity: &Identity) -> bool {
        let shown = |means: &Means| {
            identity
                .evidence()
                .map(Evidence::means)
                .any(|shown| shown == *means)
        };
        match self {
            Self::One => true,
            Self::Each(needed) => needed.iter().all(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::super::presented::{Token, presented};
    use super::*;

    const BASIC: (&str, &str) = ("authorization", "Basic YTpi");
    const BEARER: (&str, &str) = ("authorization", "Bearer sk-1");
    const KEY: (&str, &str) = ("x-api-key", "sk-1");
    const ACCOUNT: (&str, &str) = ("authorization", "Bearer eyJ.e30.");

    fn check(
        requirement: &Requirement,
        pairs: &[(&'static str, &'static str)],
    ) -> Result<(), Unauthenticated> {
        let headers: HeaderMap = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let kind = |shown: &[u8]| shown.starts_with(b"eyJ").then_some(Token::OfServiceAccount);
        requirement.check(&presented(&headers, kind)?)
    }

    #[test]
    #[rustfmt::skip] // one case a line
    fn as_many_credentials_as_it_takes() {
        use Unauthenticated::{Ambiguous, Incomplete, Missing};
        let one = Requirement::One;
        let key = Requirement::Each(vec![Means::ApiKeys]);
        let both = Requirement::Each(vec![Means::Basic, Means::ApiKeys]);
        let account = Requirement::Each(vec![Means::Kubernetes, Means::ApiKeys]);
        type Pairs<'a> = &'a [(&'static str, &'static str)];
        let cases: &[(&str, &Requirement, Pairs<'_>, Result<(), Unauthenticated>)] = &[
            ("one: none", &one, &[], Err(Missing)),
            ("one: basic", &one, &[BASIC], Ok(())),
            ("one: a key in two headers", &one, &[BEARER, KEY], Ok(())),
            ("one: basic and a key", &one, &[BASIC, KEY], Err(Ambiguous)),
            ("the only means: none", &key, &[], Err(Missing)),
            ("the only means: its own", &key, &[BEARER], Ok(())),
            ("the only means: another", &key, &[BASIC], Err(Incomplete)),
            ("the only means: one more", &key, &[BASIC, KEY], Err(Ambiguous)),
            ("both: none", &both, &[], Err(Missing)),
            ("both: basic alone", &both, &[BASIC], Err(Incomplete)),
            ("both: a key alone", &both, &[KEY], Err(Incomplete)),
            ("both: a key alone, twice", &both, &[BEARER, KEY], Err(Incomplete)),
            ("both: both", &both, &[BASIC, KEY], Ok(())),
            ("an account and a key: both", &account, &[ACCOUNT, KEY], Ok(())),
            ("an account and a key: the account alone", &account, &[ACCOUNT], Err(Incomplete)),
            ("an account and a key: the key alone", &account, &[BEARER, KEY], Err(Incomplete)),
        ];
        for (name, requirement, pairs, expected) in cases {
            assert_eq!(check(requirement, pairs), *expected, "{name}");
        }
    }
}
