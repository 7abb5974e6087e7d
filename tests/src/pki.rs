//! Certificates of a cluster that lives for minutes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// A certificate authority with its files in one folder.
pub struct Authority {
    folder: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A key and its certificate.
pub struct Identity {
    /// Where the certificate is, in PEM.
    pub certificate: PathBuf,
    /// Where the key is, in PEM.
    pub key: PathBuf,
}

impl Authority {
    /// Makes an authority and writes its certificate to `ca.crt`.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = name("corral-local", None);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        let authority = Self {
            folder: folder.to_owned(),
            certificate,
            issuer: Issuer::new(parameters, key),
        };
        authority.write("ca.crt", &authority.certificate)?;
        Ok(authority)
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    /// Issues a certificate for a server and client; a Kubernetes user is its common name, in the group `group`.
    ///
    /// # Errors
    /// When a name isn't one or a file can't be written.
    pub fn issue(&self, file: &str, user: &str, group: Option<&str>, hosts: &[String]) -> Result<Identity> {
        let mut parameters = CertificateParams::new(hosts).context("not a host name or address")?;
        parameters.distinguished_name = name(user, group);
        parameters.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate: self.write(&format!("{file}.crt"), &certificate.pem())?,
            key: self.write(&format!("{file}.key"), &key.serialize_pem())?,
        })
    }

    /// A key pair without a certificate, as the API server signs its tokens with: `<file>.key` and `<file>.pub`.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn key_pair(&self, file: &str) -> Result<PathBuf> {
        let key = KeyPair::generate()?;
        self.write(&format!("{file}.pub"), &key.public_key_pem())?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    /// Writes a kubeconfig for that user of the API server at `server`.
    ///
    /// # Errors
    /// When a file can't be read or written.
    pub fn kubeconfig(&self, path: &Path, server: &str, identity: &Identity) -> Result<()> {
        let read = |path: &Path| fs::read(path).map(|bytes| STANDARD.encode(bytes));
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "corral",
            "clusters": [{"name": "corral", "cluster": {
                "server": server,
                "certificate-authority-data": STANDARD.encode(&self.certificate),
            }}],
            "users": [{"name": "corral", "user": {
                "client-certificate-data": read(&identity.certificate)?,
                "client-key-data": read(&identity.key)?,
            }}],
            "contexts": [{"name": "corral", "context": {"cluster": "corral", "user": "corral"}}],
        });
        write_private(path, &serde_yaml::to_string(&config)?)
    }

    fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        write_private(&path, content)?;
        Ok(path)
    }
}

fn name(common: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}

pub(crate) fn write_private(path: &Path, content: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::File::options();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content.as_bytes())
        .with_context(|| format!("can't write {}", path.display()))
}
