//! Certificates that clients show, each of an authority of its own.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, PKCS_ED25519,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::credentials::Credential;

/// Who has certified a client, and nobody else.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// The authority of this credential, the same each time.
pub(crate) fn authority(credential: Credential) -> Authority {
    let mut parameters = named(&format!("authority of {}", credential.name()));
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = key(credential);
    Authority {
        pem: parameters.self_signed(&key).expect("a certificate").pem(),
        issuer: Issuer::new(parameters, key),
    }
}

/// What the client shows, and the key to it.
pub(crate) fn shown(credential: Credential) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut parameters = named(&credential.client());
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = key(credential);
    let certificate = parameters.signed_by(&key, &authority(credential).issuer);
    let certificate = certificate.expect("a certificate").der().clone();
    (certificate, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.remove(DnType::CommonName);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn key(credential: Credential) -> KeyPair {
    let der = credential.pair().to_pkcs8v1().expect("a key");
    let der = PrivatePkcs8KeyDer::from(der.as_ref());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519).expect("a key that was just written")
}
