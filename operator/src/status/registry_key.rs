//! What is wrong with the key by which registries know Ollama, and what to do.

use super::Known;
use super::verdict::Verdict;
use crate::crd::{OllamaService, SecretKeyRef};
use crate::observe::RegistryKeyState;

pub(super) fn problem(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    let SecretKeyRef { name, key } = known.plan.registry_key.as_ref()?;
    let namespace = service.metadata.namespace.as_deref().unwrap_or_default();
    let (reason, what) = match known.registry_key? {
        RegistryKeyState::Missing => (
            "RegistryKeyMissing",
            format!("Secret {name} of spec.registryKey is missing"),
        ),
        RegistryKeyState::Found { error, .. } => (
            "RegistryKeyInvalid",
            format!("entry {key} of Secret {name} of spec.registryKey {}", (*error)?),
        ),
    };
    let message = format!(
        "{what}; Pods that start wait for it, or know no private model. Make one with ssh-keygen -t ed25519 -N '' -f {key}, and: \
         kubectl -n {namespace} create secret generic {name} --from-file={key}"
    );
    Some(Verdict::no(reason, message))
}
