//! What is kept of Secrets and ConfigMaps: which version there is, and whose it is. There may be tens of thousands of them.

use kube::api::PartialObjectMeta;

use super::stored::Stored;
use crate::plan::service_of;

/// An object of which only this is known.
pub type Noted<T> = Stored<T, Note>;

/// What is known of an object.
#[derive(Clone, Debug)]
pub struct Note {
    version: Option<Box<str>>,
    owner: Option<Box<str>>,
    deleting: bool,
    certificate: bool,
}

/// On every Secret that cert-manager has written (cert-manager, pkg/apis/certmanager/v1/types.go).
const CERTIFICATE_ANNOTATION: &str = "cert-manager.io/certificate-name";

impl<T> Noted<T> {
    /// Takes what is to be known.
    pub(super) fn of(object: &PartialObjectMeta<T>) -> Self {
        let metadata = &object.metadata;
        let note = Note {
            version: metadata.resource_version.as_deref().map(Box::from),
            owner: service_of(metadata).map(|(_, uid)| uid.into()),
            deleting: metadata.deletion_timestamp.is_some(),
            certificate: metadata
                .annotations
                .as_ref()
                .is_some_and(|annotations| annotations.contains_key(CERTIFICATE_ANNOTATION)),
        };
        Self::new(metadata, note)
    }

    /// Its resourceVersion.
    pub fn version(&self) -> Option<&str> {
        self.held.version.as_deref()
    }

    /// The uid of the OllamaService that owns it.
    pub fn owner(&self) -> Option<&str> {
        self.held.owner.as_deref()
    }

    /// Whether it is about to go.
    pub fn is_deleting(&self) -> bool {
        self.held.deleting
    }

    /// Whether it has a certificate that cert-manager has made.
    pub fn is_of_cert_manager(&self) -> bool {
        self.held.certificate
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::{Value, json};

    use super::*;
    use crate::memory::key_of;

    #[test]
    fn who_wrote_a_certificate_is_kept() {
        let by = |annotation: &str| json!({"name": "a", "annotations": {annotation: "x"}});
        let cases = [
            ("cert-manager", by("cert-manager.io/certificate-name"), true),
            (
                "somebody else",
                by("cert-manager.io/allow-direct-injection"),
                false,
            ),
            ("nobody says", json!({"name": "a"}), false),
        ];
        for (what, metadata, expected) in cases {
            let sent: PartialObjectMeta<Secret> =
                serde_json::from_value(json!({"metadata": metadata})).unwrap();
            assert_eq!(Noted::of(&sent).is_of_cert_manager(), expected, "{what}");
        }
    }

    #[test]
    fn version_owner_and_end_are_what_is_kept() {
        let owner = |kind: &str| {
            json!({"ownerReferences": [
                {"apiVersion": "corral.dev/v1alpha1", "kind": kind, "name": "x", "uid": "u"}]})
        };
        type Case<'a> = (&'a str, Value, Option<&'a str>, Option<&'a str>, bool);
        let cases: [Case<'_>; 5] = [
            ("a name alone", json!({}), None, None, false),
            (
                "a version",
                json!({"resourceVersion": "7"}),
                Some("7"),
                None,
                false,
            ),
            ("an owner", owner("OllamaService"), None, Some("u"), false),
            ("another kind of owner", owner("Deployment"), None, None, false),
            (
                "about to go",
                json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
                None,
                None,
                true,
            ),
        ];
        for (what, mut metadata, version, owner, deleting) in cases {
            metadata["name"] = "keys".into();
            metadata["namespace"] = "ml".into();
            let sent: PartialObjectMeta<Secret> =
                serde_json::from_value(json!({"metadata": metadata})).unwrap();
            let noted = Noted::of(&sent);
            assert_eq!(key_of(&noted), ("ml".to_owned(), "keys".to_owned()), "{what}");
            assert_eq!(noted.version(), version, "{what}");
            assert_eq!(noted.owner(), owner, "{what}");
            assert_eq!(noted.is_deleting(), deleting, "{what}");
        }
    }
}
