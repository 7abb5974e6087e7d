//! Public keys in PEM (RFC 7468, section 13).

use rustls::pki_types::pem::{PemObject, SectionKind};

use super::key::{Key, Material};
use super::problem::KeyProblem;

/// What every block begins with.
pub(super) const BEGIN: &str = "-----BEGIN ";

/// Every public key of a text. Anything else in it is refused, so that nobody leaves a private key there.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Key>, KeyProblem> {
    let mut keys = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(|_| KeyProblem::Pem)?;
        match kind {
            SectionKind::PublicKey => keys.push(Key::new(Material::of_der(&der)?)),
            SectionKind::Certificate => return Err(KeyProblem::Certificate),
            SectionKind::RsaPrivateKey | SectionKind::PrivateKey | SectionKind::EcPrivateKey => {
                return Err(KeyProblem::Private);
            }
            _ => return Err(KeyProblem::NoPublicKey),
        }
    }
    if keys.is_empty() {
        return Err(KeyProblem::NoPublicKey);
    }
    Ok(keys)
}
