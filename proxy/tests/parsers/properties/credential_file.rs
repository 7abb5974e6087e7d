//! Files of credentials: read to their end or not at all, and the same with the line ends of Windows.

use corral_proxy::credentials::{CredentialError, CredentialKind, LONGEST_NAME, parse};
use corral_proxy::digest::Entries;

/// The kinds, in the order of an input's first byte.
pub(crate) const KINDS: [CredentialKind; 3] = [
    CredentialKind::Basic,
    CredentialKind::ApiKeys,
    CredentialKind::OllamaKeys,
];

/// The kind, then the file, or several entries with a name and a NUL before each.
pub(crate) fn check(data: &[u8]) {
    let (number, content) = super::variant(data);
    let kind = KINDS[number % KINDS.len()];
    check_file(kind, content);
    let _ = clients(kind, None, &entries(content));
}

fn check_file(kind: CredentialKind, content: &[u8]) {
    let read = |content: &[u8]| {
        clients(
            kind,
            Some("file"),
            &Entries::from([("file".to_owned(), content.to_vec())]),
        )
    };
    let clients = read(content);
    if let Ok(names) = &clients {
        assert!(!names.is_empty(), "a file without clients is refused");
        assert!(names.iter().all(|name| is_name(name)), "{names:?}");
        assert!(
            names.len() <= content.split(|byte| *byte == b'\n').count(),
            "more clients than lines"
        );
        if kind == CredentialKind::ApiKeys {
            check_names_of_keys(content, names);
        }
    }
    if !content.contains(&b'\r') {
        let text: Vec<_> = content.split(|byte| *byte == b'\n').collect();
        assert_eq!(
            read(&text.join(&b"\r\n"[..])),
            clients,
            "with the line ends of Windows"
        );
    }
    // Whatever is appended that says nothing, and a line that says something wrong.
    assert_eq!(
        read(&[content, b"\n# comment\n \n"].concat()),
        clients,
        "with a comment"
    );
    assert!(
        read(&[content, b"\nno credential\xff\n"].concat()).is_err(),
        "with a malformed line"
    );
}

/// Slow and simple: each is what stands before a colon, or has the number of its line.
fn check_names_of_keys(content: &[u8], names: &[String]) {
    let text = String::from_utf8_lossy(content);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let possible: Vec<_> = (1..)
        .zip(text.split('\n'))
        .map(|(number, line)| match line.split_once(':') {
            Some((name, _)) if name.trim_ascii() != "sha256" => name.trim_ascii().to_owned(),
            _ => format!("key-{number}"),
        })
        .collect();
    assert!(names.iter().all(|name| possible.contains(name)), "{names:?}");
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.trim() == name && !name.contains(char::is_control)
}

fn clients(
    kind: CredentialKind,
    key: Option<&str>,
    entries: &Entries,
) -> Result<Vec<String>, CredentialError> {
    let parsed = parse(kind, key, entries);
    if let Err(error) = &parsed {
        assert_eq!(
            error.to_string().lines().count(),
            1,
            "an error is one line: {error}"
        );
    }
    parsed.map(|parsed| parsed.clients().into_iter().map(str::to_owned).collect())
}

fn entries(content: &[u8]) -> Entries {
    content
        .split(|byte| *byte == b'\0')
        .filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'\n')?;
            let name = String::from_utf8(entry[..at].to_vec()).ok()?;
            Some((name, entry[at + 1..].to_vec()))
        })
        .collect()
}
