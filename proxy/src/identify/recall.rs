//! Whom a connection's last request was of. Most connections carry one credential, over and over: the same bytes under the
//! same snapshot come to the same caller, without decoding, hash or look-up.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use http::HeaderMap;
use http::request::Parts;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::presented::sole_value;
use super::{Evidence, Identity, Unauthenticated, Verifier};
use crate::address::ClientAddress;
use crate::credentials::{CredentialKind, CredentialSet};
use crate::in_force::InForce;
use crate::peer::Peer;

/// What a connection remembers.
#[derive(Default)]
pub struct Recall(Mutex<Option<Box<Known>>>);

struct Known {
    /// Of the snapshot under which the caller was identified.
    generation: u64,
    /// Which of the headers had the credential, and what it was.
    shown: (usize, Zeroizing<Vec<u8>>),
    identity: Identity,
}

/// Without what was shown.
impl fmt::Debug for Recall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Recall").finish_non_exhaustive()
    }
}

impl Verifier {
    /// Who sends a request with this head, as [`Self::identify`] says; what the connection has shown before isn't
    /// checked again.
    ///
    /// # Errors
    /// The reason why it is nobody.
    pub async fn recognise(
        &self,
        in_force: &InForce,
        head: &Parts,
        peer: &Peer,
        address: ClientAddress,
        now: Timestamp,
    ) -> Result<Identity, Unauthenticated> {
        if let Some(identity) = peer.recall.identity(in_force, &head.headers, now) {
            return Ok(identity);
        }
        // Boxed: it is rare, and would make each request larger.
        let identifying = self.identify(&in_force.credentials, head, peer.certificate(), address);
        let identity = Box::pin(identifying).await?;
        peer.recall.note(in_force, &head.headers, &identity);
        Ok(identity)
    }
}

impl Recall {
    /// The caller, where this head shows what the last one did. Compared in constant time: behind a proxy, others may
    /// share the connection.
    fn identity(&self, in_force: &InForce, headers: &HeaderMap, now: Timestamp) -> Option<Identity> {
        let (place, value) = sole_value(headers)?;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref()?;
        let is_the_same = known.generation == in_force.generation
            && known.shown.0 == place
            && verify_slices_are_equal(&known.shown.1, value).is_ok();
        let holds = is_the_same && still_holds(&known.identity, &in_force.credentials, now);
        holds.then(|| known.identity.again(now))
    }

    fn note(&self, in_force: &InForce, headers: &HeaderMap, identity: &Identity) {
        let Some((place, value)) = sole_value(headers).filter(|_| may_be_recalled(identity)) else {
            return;
        };
        let known = Known {
            generation: in_force.generation,
            shown: (place, Zeroizing::new(value.to_vec())),
            identity: identity.clone(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(known));
    }
}

/// Whether nothing counts but what was shown: a signature is of one request, and what an API server says holds for a
/// minute.
fn may_be_recalled(identity: &Identity) -> bool {
    match identity.sole_evidence() {
        Some(Evidence::Stored { kind, .. }) => {
            matches!(kind, CredentialKind::ApiKeys | CredentialKind::Basic)
        }
        Some(Evidence::Token(_)) => true,
        Some(Evidence::Certificate { .. } | Evidence::None { .. } | Evidence::ServiceAccount(_)) | None => {
            false
        }
    }
}

/// Tokens end, and the keys of issuers change within a snapshot.
fn still_holds(identity: &Identity, credentials: &CredentialSet, now: Timestamp) -> bool {
    match identity.sole_evidence() {
        Some(Evidence::Token(token)) => {
            let issuers = credentials.issuers();
            issuers.holds(token) && !issuers.has_ended(token, now)
        }
        _ => true,
    }
}
