//! Where credentials stand.

use super::Invalid;
use crate::config::CredentialSource;

pub(super) fn check_source(field: &str, source: &CredentialSource) -> Result<(), Invalid> {
    if source.path.as_os_str().is_empty() {
        return Err(Invalid::new(format!("{field}.path"), "must not be empty"));
    }
    if source.key.as_deref().is_some_and(|key| !is_entry_name(key)) {
        let problem = "must be the name of an entry: letters, digits, '-', '_' and '.'";
        return Err(Invalid::new(format!("{field}.key"), problem));
    }
    Ok(())
}

/// Names of a Secret's entries (Kubernetes API, `Secret.data`). Nothing that leads out of its directory.
fn is_entry_name(name: &str) -> bool {
    let character = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(character)
        && !name.starts_with("..")
        && name != "."
}
