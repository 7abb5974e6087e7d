//! The keys of an issuer of tokens: read whole or not at all, wherever they were written.

use corral_proxy::config::JwtAlgorithm;
use corral_proxy::credentials::{CredentialError, CredentialKind, Parsed, parse};
use corral_proxy::digest::Entries;

/// A file.
pub(crate) fn check(data: &[u8]) {
    match read(data) {
        Ok(keys) => {
            assert!(keys.clients().is_empty(), "tokens name their clients");
            if let Err(error) = keys.check_algorithms(&JwtAlgorithm::ALL) {
                check_error(&error);
            }
            check_line_ends(data);
        }
        Err(error) => check_error(&error),
    }
}

fn check_line_ends(data: &[u8]) {
    let lines: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    if !data.contains(&b'\r') {
        let read = read(&lines.join(&b"\r\n"[..]));
        assert!(read.is_ok(), "with the line ends of Windows");
    }
}

fn check_error(error: &CredentialError) {
    let error = error.to_string();
    assert!(
        !error.contains(char::is_control),
        "an error is one line: {error:?}"
    );
}

fn read(content: &[u8]) -> Result<Parsed, CredentialError> {
    let entries = Entries::from([("file".to_owned(), content.to_vec())]);
    parse(CredentialKind::TokenKeys, None, &entries)
}
