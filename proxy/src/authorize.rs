//! What a known client may do. Pure: the rules see an identity and a canonical target, and nothing else.

use std::sync::Arc;

use thiserror::Error;
use wildmatch::WildMatchPattern;

use crate::address::ClientAddress;
use crate::config::{AccessRule, RouteClass};
use crate::identify::Identity;
use crate::target::Target;

/// `*` stands for any characters; nothing stands for one character, for NUL is in no name.
type Pattern = WildMatchPattern<'*', '\0'>;

/// The access rules, ready to be asked.
#[derive(Debug)]
pub struct Authorizer {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    clients: Vec<Pattern>,
    allow: Vec<RouteClass>,
}

/// A client asked for what no rule gives it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("client \"{client}\" may not use this route: it needs {}", class.name())]
pub struct Forbidden {
    /// The client.
    pub client: Arc<str>,
    /// What a rule would have to allow.
    pub class: RouteClass,
}

/// A request that may be forwarded. Only [`Authorizer::authorize`] makes one.
#[derive(Debug)]
pub struct Permit {
    identity: Identity,
    address: ClientAddress,
    target: Target,
}

impl Authorizer {
    /// The rules of the configuration, first match first.
    pub fn new(rules: &[AccessRule]) -> Self {
        let rule = |AccessRule { clients, allow }: &AccessRule| Rule {
            clients: clients.iter().map(|pattern| Pattern::new(pattern)).collect(),
            allow: allow.clone(),
        };
        Self {
            rules: rules.iter().map(rule).collect(),
        }
    }

    /// Judges a request.
    ///
    /// # Errors
    /// The first rule that names the client, or the default, lacks the route's class.
    pub fn authorize(
        &self,
        identity: Identity,
        address: ClientAddress,
        target: Target,
    ) -> Result<Permit, Forbidden> {
        self.judge(identity.name(), target.class())?;
        Ok(Permit {
            identity,
            address,
            target,
        })
    }

    /// Whether a client may use routes of a class.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub fn judge(&self, client: &Arc<str>, class: RouteClass) -> Result<(), Forbidden> {
        if class == RouteClass::Health || self.allowed(client).contains(&class) {
            return Ok(());
        }
        Err(Forbidden {
            client: Arc::clone(client),
            class,
        })
    }

    fn allowed(&self, client: &str) -> &[RouteClass] {
        let names = |rule: &&Rule| rule.clients.iter().any(|pattern| pattern.matches(client));
        self.rules
            .iter()
            .find(names)
            .map_or(AccessRule::DEFAULT, |rule| rule.allow.as_slice())
    }
}

impl Permit {
    /// What it was given for, and to whom.
    pub(crate) fn into_parts(self) -> (Identity, ClientAddress, Target) {
        (self.identity, self.address, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RouteClass::{Account, Health, Inference, Manage, Read};

    fn rule(clients: &[&str], allow: &[RouteClass]) -> AccessRule {
        AccessRule {
            clients: clients.iter().map(|&client| client.into()).collect(),
            allow: allow.to_vec(),
        }
    }

    #[test]
    fn the_first_rule_that_names_the_client_decides() {
        let rules = [
            rule(&["admin"], &[Inference, Read, Manage]),
            rule(&["ci-*", "bot?"], &[Inference]),
            rule(&["ci-2"], &[Manage]),
            rule(&["gone"], &[]),
            rule(&["*-root"], &[Account]),
        ];
        let cases = [
            ("anybody", Inference, true),
            ("anybody", Read, true),
            ("anybody", Health, true),
            ("anybody", Manage, false),
            ("anybody", Account, false),
            ("admin", Manage, true),
            ("admin", Account, false),
            ("Admin", Manage, false),
            ("ci-1", Inference, true),
            ("ci-1", Read, false),
            ("ci-1", Health, true),
            ("ci-2", Manage, false),
            ("xci-1", Read, true),
            ("bots", Read, true),
            ("bot?", Read, false),
            ("gone", Inference, false),
            ("gone", Health, true),
            ("a-root", Account, true),
            ("", Inference, true),
        ];
        let authorizer = Authorizer::new(&rules);
        for (client, class, allowed) in cases {
            assert_eq!(
                authorizer.judge(&client.into(), class).is_ok(),
                allowed,
                "{client} {class:?}"
            );
        }
    }

    #[test]
    fn without_rules_models_are_used_and_not_changed() {
        let authorizer = Authorizer::new(&[]);
        let cases = [
            (Health, true),
            (Read, true),
            (Inference, true),
            (Manage, false),
            (Account, false),
        ];
        for (class, allowed) in cases {
            assert_eq!(authorizer.judge(&"a".into(), class).is_ok(), allowed, "{class:?}");
        }
    }
}
