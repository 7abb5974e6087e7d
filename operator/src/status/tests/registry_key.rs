//! What the conditions say of the key by which registries know Ollama.

use super::*;

#[test]
fn a_key_that_can_not_be_used_is_named_and_stops_nobody() {
    let well = "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
                Degraded=False/AsExpected";
    let wrong = |reason| {
        format!(
            "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
             Degraded=True/{reason}"
        )
    };
    let case = |state| Case {
        spec: json!({"registryKey": {"secretKeyRef": {"name": "account"}}}),
        registry_key: state,
        ..Case::default()
    };
    let found = |error| RegistryKeyState::Found {
        resource_version: "1".to_owned(),
        error,
    };
    let (missing, invalid) = (wrong("RegistryKeyMissing"), wrong("RegistryKeyInvalid"));
    check([
        ("good", case(Some(found(None))), well),
        ("not to be read", case(None), well),
        ("missing", case(Some(RegistryKeyState::Missing)), &*missing),
        ("no key", case(Some(found(Some("is missing")))), &*invalid),
    ]);
}
