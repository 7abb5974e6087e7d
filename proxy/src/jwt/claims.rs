//! What a signed token says (RFC 7519, section 4.1), judged by what its issuer's tokens must say and by the clock.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::compact::Compact;
use super::json::Object;
use super::keys::Signed;
use crate::config::JwtIssuer;
use crate::credentials::{LONGEST_NAME, check_name};

/// The last second that a time may be: the end of the year 9999.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Most groups that a token may give its bearer: providers stop at about as many.
const MOST_GROUPS: usize = 200;

/// What the tokens of an issuer must say.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) issuer: String,
    audiences: Vec<String>,
    client: ClaimPath,
    groups: Option<ClaimPath>,
    /// In seconds.
    leeway: i64,
}

/// Where a claim stands: its name, or the names that lead to it. A claim of the whole name, with its dots, comes first:
/// some issuers call theirs `https://idp.example/groups`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClaimPath(Arc<str>);

/// Of what a token says, what counts.
#[derive(Debug)]
pub(super) struct Accepted {
    /// Who it is.
    pub(super) client: Arc<str>,
    /// By which claim.
    named_by: ClaimPath,
    /// Which groups it has.
    pub(super) groups: Vec<String>,
    /// By which claim; none where no groups were asked for.
    grouped_by: Option<ClaimPath>,
    /// Whom it was made for.
    audience: Vec<String>,
    /// When it ends, in seconds since 1970 and without leeway.
    pub(super) expires: i64,
}

/// Why what a token says doesn't let its bearer in.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum ClaimError {
    #[error("the payload is not a JSON object with each name once")]
    Payload,
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` has a value of another kind")]
    Kind(&'static str),
    #[error("another issuer")]
    Issuer,
    #[error("made for another audience")]
    Audience,
    #[error("it has ended")]
    Expired,
    #[error("it has not begun")]
    NotYet,
    #[error("no claim that can name a client")]
    Client,
    #[error(
        "groups that are not one name or a list of at most {MOST_GROUPS}, each of 1 to {LONGEST_NAME} bytes"
    )]
    Groups,
}

/// Whose token it says it is, to find the keys by which that is checked.
pub(super) fn claimed_issuer<'token>(token: &'token Compact<'_>) -> Result<&'token str, ClaimError> {
    text(claims(token)?, "iss")
}

fn claims<'token>(token: &'token Compact<'_>) -> Result<&'token Object, ClaimError> {
    token.claims().ok_or(ClaimError::Payload)
}

/// What a token says whose issuer we have no keys of: to be believed once somebody who has them says so.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unverified {
    /// Whom it was made for.
    pub(crate) audience: Vec<String>,
    /// When it ends, in seconds since 1970.
    pub(crate) expires: i64,
}

impl Unverified {
    pub(super) fn read(token: &Compact<'_>) -> Result<Self, ClaimError> {
        let claims = claims(token)?;
        Ok(Self {
            audience: audience(claims)?,
            expires: end(claims)?,
        })
    }
}

impl Policy {
    pub(super) fn new(issuer: &JwtIssuer) -> Self {
        let JwtIssuer {
            issuer,
            audiences,
            keys: _,
            jwks_uri: _,
            ca: _,
            insecure: _,
            algorithms: _,
            client_claim,
            groups_claim,
            leeway_seconds,
        } = issuer;
        Self {
            issuer: issuer.clone(),
            audiences: audiences.clone(),
            client: ClaimPath(client_claim.as_str().into()),
            groups: groups_claim.as_deref().map(|claim| ClaimPath(claim.into())),
            leeway: (*leeway_seconds).into(),
        }
    }

    /// Judges what a token says.
    pub(super) fn judge(&self, signed: &Signed<'_>, now: Timestamp) -> Result<Accepted, ClaimError> {
        let claims = claims(signed.token())?;
        if text(claims, "iss")? != self.issuer {
            return Err(ClaimError::Issuer);
        }
        let audience = audience(claims)?;
        if !self.is_for_us(&audience) {
            return Err(ClaimError::Audience);
        }
        let expires = self.judge_times(claims, now.as_second())?;
        let client = self.client.find(claims).and_then(Value::as_str);
        let client = client.filter(|name| check_name(name).is_ok());
        Ok(Accepted {
            client: client.ok_or(ClaimError::Client)?.into(),
            named_by: self.client.clone(),
            groups: self.groups(claims)?,
            grouped_by: self.groups.clone(),
            audience,
            expires,
        })
    }

    /// Whether what an earlier policy accepted says the same under this one, but for the time.
    pub(super) fn still_accepts(&self, accepted: &Accepted) -> bool {
        let Accepted {
            client: _,
            named_by,
            groups: _,
            grouped_by,
            audience,
            expires: _,
        } = accepted;
        *named_by == self.client && *grouped_by == self.groups && self.is_for_us(audience)
    }

    /// The groups that a token gives its bearer: a claim that is missing gives none.
    fn groups(&self, claims: &Object) -> Result<Vec<String>, ClaimError> {
        let Some(claim) = self.groups.as_ref().and_then(|path| path.find(claims)) else {
            return Ok(Vec::new());
        };
        one_or_several(claim)
            .filter(|groups| groups.len() <= MOST_GROUPS && groups.iter().all(|group| can_be_group(group)))
            .ok_or(ClaimError::Groups)
    }

    /// Whether one of these audiences is ours.
    fn is_for_us(&self, audience: &[String]) -> bool {
        audience.iter().any(|name| self.audiences.contains(name))
    }

    /// Whether a token that ends then has ended now.
    pub(super) fn has_ended(&self, expires: i64, now: i64) -> bool {
        now >= expires.saturating_add(self.leeway)
    }

    /// When it ends. Fractions of a second count against the token.
    fn judge_times(&self, claims: &Object, now: i64) -> Result<i64, ClaimError> {
        let expires = end(claims)?;
        if self.has_ended(expires, now) {
            return Err(ClaimError::Expired);
        }
        for name in ["nbf", "iat"] {
            let begins = time(claims, name)?.map_or(now, |time| time.ceil() as i64);
            if begins > now.saturating_add(self.leeway) {
                return Err(ClaimError::NotYet);
            }
        }
        Ok(expires)
    }
}

impl ClaimPath {
    fn find<'claims>(&self, claims: &'claims Object) -> Option<&'claims Value> {
        claims.get(&*self.0).or_else(|| {
            let mut names = self.0.split('.');
            let first = claims.get(names.next()?)?;
            names.try_fold(first, |value, name| value.as_object()?.get(name))
        })
    }
}

fn text<'claims>(claims: &'claims Object, name: &'static str) -> Result<&'claims str, ClaimError> {
    let value = claims.get(name).ok_or(ClaimError::Missing(name))?;
    value.as_str().ok_or(ClaimError::Kind(name))
}

fn audience(claims: &Object) -> Result<Vec<String>, ClaimError> {
    let value = claims.get("aud").ok_or(ClaimError::Missing("aud"))?;
    one_or_several(value).ok_or(ClaimError::Kind("aud"))
}

/// When a token ends, which each must say.
fn end(claims: &Object) -> Result<i64, ClaimError> {
    let end = time(claims, "exp")?.ok_or(ClaimError::Missing("exp"))?;
    Ok(end.floor() as i64)
}

/// One text or a list of them.
fn one_or_several(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match value {
        Value::Array(several) => several.iter().map(text).collect(),
        one => text(one).map(|one| vec![one]),
    }
}

/// Unlike a client's name it may begin or end with a space, as names in directories do.
fn can_be_group(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.contains(char::is_control)
}

/// A time in seconds since 1970: a number, not one in quotes.
fn time(claims: &Object, name: &'static str) -> Result<Option<f64>, ClaimError> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value
        .as_f64()
        .filter(|seconds| (0.0..=LAST_SECOND).contains(seconds));
    seconds.map(Some).ok_or(ClaimError::Kind(name))
}
