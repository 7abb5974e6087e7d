//! The Secret with the key by which registries know Ollama: whether it can be used. Its content is never kept.

use ssh_key::{Algorithm, PrivateKey};

use super::Place;
use crate::crd::SecretKeyRef;
use crate::plan::Plan;

/// The state of that Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryKeyState {
    /// There is none of that name.
    Missing,
    /// It is there.
    Found {
        /// Which version of it.
        resource_version: String,
        /// What is wrong with the entry.
        error: Option<&'static str>,
    },
}

/// The state of the plan's key; none where it has none, or the operator may not touch Secrets. A Secret that hasn't changed is
/// not read again.
pub(super) async fn registry_key(
    place: Place<'_>,
    plan: &Plan,
) -> Result<Option<RegistryKeyState>, kube::Error> {
    let Some(reference) = plan
        .registry_key
        .as_ref()
        .filter(|_| place.stores.secrets.is_some())
    else {
        return Ok(None);
    };
    let index = (place.namespace.to_owned(), place.name.to_owned());
    if let Some((of, known)) = place.readings.registry_keys.get(&index)
        && of == *reference
        && let RegistryKeyState::Found { resource_version, .. } = &known
        && place.version_in_store(&reference.name).as_ref() == Some(resource_version)
    {
        return Ok(Some(known));
    }
    let SecretKeyRef { name, key } = reference;
    let Some(secret) = place.read(name).await? else {
        return Ok(Some(RegistryKeyState::Missing));
    };
    let found = RegistryKeyState::Found {
        error: error(secret.entries.get(key).map(Vec::as_slice)),
        resource_version: secret.resource_version,
    };
    let readings = &place.readings.registry_keys;
    readings.insert(index, (reference.clone(), found.clone()));
    Ok(Some(found))
}

fn error(entry: Option<&[u8]>) -> Option<&'static str> {
    let Some(entry) = entry else {
        return Some("is missing");
    };
    match PrivateKey::from_openssh(entry) {
        Err(_) => Some("is no private key in OpenSSH's form"),
        Ok(key) if key.is_encrypted() => Some("has a passphrase, which nobody could enter"),
        Ok(key) if key.algorithm() != Algorithm::Ed25519 => Some("is no ed25519 key"),
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn text(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len()).unwrap();
        [&length.to_be_bytes(), bytes].concat()
    }

    /// A key file as OpenSSH writes one (PROTOCOL.key), of no real key.
    fn file(kind: &str, cipher: &str) -> Vec<u8> {
        let public = [7; 32];
        let (name, both) = (text(kind.as_bytes()), [[9; 32], public].concat());
        let known = [name.clone(), text(&public)].concat();
        let secret = [vec![1; 8], name, text(&public), text(&both), text(b"")].concat();
        let block = if cipher == "none" { 8 } else { 16 };
        let padding: Vec<u8> = (1..).take((block - secret.len() % block) % block).collect();
        let derivation = if cipher == "none" { "none" } else { "bcrypt" };
        let options = if cipher == "none" {
            Vec::new()
        } else {
            [text(&[3; 16]), vec![0, 0, 0, 16]].concat()
        };
        let all = [
            b"openssh-key-v1\0".to_vec(),
            text(cipher.as_bytes()),
            text(derivation.as_bytes()),
            text(&options),
            vec![0, 0, 0, 1],
            text(&known),
            text(&[secret, padding].concat()),
        ];
        let lines: Vec<_> = STANDARD.encode(all.concat()).into_bytes();
        let lines: Vec<_> = lines.chunks(70).collect();
        let kind = "OPENSSH PRIVATE KEY";
        format!(
            "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
            String::from_utf8(lines.join(&b'\n')).unwrap()
        )
        .into_bytes()
    }

    #[test]
    fn what_can_not_be_used_is_named() {
        let form = Some("is no private key in OpenSSH's form");
        let cases = [
            ("a key", Some(file("ssh-ed25519", "none")), None),
            ("no entry", None, Some("is missing")),
            ("nothing", Some(Vec::new()), form),
            ("a public key", Some(b"ssh-ed25519 AAAA".to_vec()), form),
            (
                "half a key",
                Some(file("ssh-ed25519", "none")[..120].to_vec()),
                form,
            ),
            (
                "a key behind a passphrase",
                Some(file("ssh-ed25519", "aes256-ctr")),
                Some("has a passphrase, which nobody could enter"),
            ),
        ];
        for (name, content, expected) in cases {
            assert_eq!(error(content.as_deref()), expected, "{name}");
        }
    }
}
