//! Users and their passwords, from an htpasswd file or a `kubernetes.io/basic-auth` Secret.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::hash::StoredHash;
use super::lines::lines;
use super::name::check_name;
use super::{CredentialError, Problem};

/// A user as a file names them.
pub(super) struct ParsedUser {
    pub(super) name: Box<str>,
    pub(super) hash: StoredHash,
    /// The form in which the password is stored, by which a change is noticed.
    pub(super) stored: Box<[u8]>,
}

/// The users of an htpasswd file: `NAME:HASH` a line; what follows a second colon is a comment, as in nginx.
pub(super) fn parse_htpasswd(entry: &str, content: &[u8]) -> Result<Vec<ParsedUser>, CredentialError> {
    let mut first_lines: HashMap<Box<str>, usize> = HashMap::new();
    let mut users = Vec::new();
    for line in lines(entry, content)? {
        let user = parse_line(line.text).map_err(|problem| line.error(entry, problem))?;
        if let Some(first) = first_lines.insert(user.name.clone(), line.number) {
            return Err(line.error(entry, Problem::DuplicateUser { first }));
        }
        users.push(user);
    }
    Ok(users)
}

fn parse_line(line: &str) -> Result<ParsedUser, Problem> {
    let (name, rest) = line.split_once(':').ok_or(Problem::NoColon)?;
    check_name(name)?;
    let hash = rest.split(':').next().unwrap_or_default();
    if hash.is_empty() {
        return Err(Problem::NoHash);
    }
    Ok(ParsedUser {
        name: name.into(),
        hash: StoredHash::parse(hash)?,
        stored: hash.as_bytes().into(),
    })
}

/// The one user of a `kubernetes.io/basic-auth` Secret, whose password is stored readable.
///
/// A line end behind name or password doesn't belong to it: `echo` and editors add one, and no client can send it.
pub(super) fn parse_basic_auth(username: &[u8], password: &[u8]) -> Result<ParsedUser, CredentialError> {
    let fault = |entry: &str| {
        let entry = entry.to_owned();
        move |problem| CredentialError::Entry { entry, problem }
    };
    let name = text_of(username).and_then(|name| {
        if name.contains(':') {
            return Err(Problem::NameWithColon);
        }
        check_name(name).map(|()| name)
    });
    let name = name.map_err(fault("username"))?;
    let password = text_of(password).and_then(|password| {
        let sendable = !password.is_empty() && !password.contains(char::is_control);
        if sendable {
            Ok(password)
        } else {
            Err(Problem::Password)
        }
    });
    let digest: [u8; 32] = Sha256::digest(password.map_err(fault("password"))?).into();
    Ok(ParsedUser {
        name: name.into(),
        hash: StoredHash::Sha256(digest),
        stored: digest.into(),
    })
}

/// A whole entry as text, without the line end that editors and `echo` leave behind it.
fn text_of(content: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(content).map_err(|_| Problem::NotUtf8)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(text.strip_suffix('\r').unwrap_or(text))
}
