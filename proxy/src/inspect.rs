//! Bodies that rules look into: read to their end before anything is forwarded, judged, and forwarded byte for byte,
//! but for numbers over a ceiling.
//! All others stream.

use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use hyper::body::Incoming;

use crate::ask::Ask;
use crate::authorize::{Cause, Pending, Permit};
use crate::ceiling::CeilingError;
use crate::patience::Patient;
use crate::payload::{HeldBytes, Payload, PayloadError, read};
use crate::reject::Rejection;

/// Comes to a permit when the body has been read.
///
/// # Errors
/// The body is larger than `limit`; it can't be read; or what it asks for is forbidden. What it asks for, if it can be
/// read, `note` is told before.
pub async fn inspect(
    pending: Pending,
    headers: &HeaderMap,
    body: Patient<Incoming>,
    limit: u64,
    held: &HeldBytes,
    note: impl FnOnce(&Ask),
) -> Result<(Box<Permit>, Payload), Rejection> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(PayloadError::Encoded.into());
    }
    let (bytes, place) = read(body, limit, held).await?;
    let ask = Ask::of_body(pending.content(), &bytes).map_err(PayloadError::Ask)?;
    note(&ask);
    let bytes = pending.hold(bytes).map_err(|error| match error {
        CeilingError::Ask(error) => Rejection::from(PayloadError::Ask(error)),
        CeilingError::Over(over) => pending.forbidden(Cause::Ceiling(over)).into(),
    })?;
    Ok((pending.permit(ask)?, Payload::Held(bytes, place)))
}
