//! Whom a rule is about.

use wildmatch::WildMatchPattern;

use crate::config::AccessRule;

/// `*` stands for any characters; nothing stands for one character, for NUL is in no name.
type Pattern = WildMatchPattern<'*', '\0'>;

/// The clients that a rule names, and those that have one of the groups that it names.
#[derive(Debug)]
pub(super) struct Subjects {
    clients: Vec<Pattern>,
    groups: Vec<Pattern>,
}

impl Subjects {
    pub(super) fn of(rule: &AccessRule) -> Self {
        let patterns = |names: &[String]| names.iter().map(|name| Pattern::new(name)).collect();
        Self {
            clients: patterns(&rule.clients),
            groups: patterns(&rule.groups),
        }
    }

    /// Whether a client with these groups is one of them.
    pub(super) fn include(&self, client: &str, groups: &[String]) -> bool {
        let named = |patterns: &[Pattern], name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        named(&self.clients, client) || groups.iter().any(|group| named(&self.groups, group))
    }
}
