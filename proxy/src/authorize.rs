//! What a known client may do. Pure: the rules see an identity, an address, a canonical target, the time and what the
//! body asks for, and nothing else.

mod forbidden;
mod subjects;

use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use jiff::Timestamp;

use crate::address::ClientAddress;
use crate::ask::Ask;
use crate::ceiling::{Ceiling, CeilingError};
use crate::config::{AccessRule, ClientLimits};
use crate::identify::Identity;
use crate::models::name::CanonicalName;
use crate::models::pattern::ModelPattern;
use crate::routes::{Content, RouteClass};
use crate::target::Target;
pub use forbidden::{Cause, Forbidden};
use subjects::Subjects;

/// The access rules, ready to be asked.
#[derive(Debug)]
pub struct Authorizer {
    rules: Vec<(Subjects, Arc<Terms>)>,
    others: Arc<Terms>,
    /// The client that needs no credential, if there is one.
    anonymous: Option<(String, Arc<Terms>)>,
    audits: bool,
}

/// What the clients of a rule may do.
#[derive(Debug)]
struct Terms {
    allow: Vec<RouteClass>,
    models: Option<Vec<ModelPattern>>,
    networks: Option<Vec<IpNet>>,
    not_after: Option<Timestamp>,
    limits: Option<Arc<ClientLimits>>,
    ceiling: Option<Ceiling>,
}

/// What a request does, as far as rules look at it.
#[derive(Clone, Debug)]
pub struct Act {
    class: RouteClass,
    content: Content,
    /// None where no rule needed it, so that nobody has read it.
    ask: Option<Ask>,
}

/// How far the head of a request leads.
#[derive(Debug)]
pub enum Clearance {
    /// To the end: no rule looks at the body.
    Given(Box<Permit>),
    /// To the body.
    Pending(Pending),
}

/// What a request asks of a client's limits.
#[derive(Clone, Copy, Debug)]
pub struct Demand<'a> {
    /// The client.
    pub client: &'a Arc<str>,
    /// What it may use.
    pub limits: &'a Arc<ClientLimits>,
    /// Whether the answer can take tokens.
    pub takes_tokens: bool,
}

/// A request that may be forwarded if its body asks for nothing that a rule denies.
#[derive(Debug)]
pub struct Pending {
    permit: Box<Permit>,
    terms: Arc<Terms>,
}

/// A request that may be forwarded. Only [`Authorizer::authorize`] and [`Pending::permit`] make one.
#[derive(Debug)]
pub struct Permit {
    identity: Identity,
    address: ClientAddress,
    target: Target,
    act: Act,
    limits: Option<Arc<ClientLimits>>,
}

impl Authorizer {
    /// The rules of the configuration, first match first.
    pub fn new(rules: &[AccessRule]) -> Self {
        Self {
            rules: rules
                .iter()
                .map(|rule| (Subjects::of(rule), Arc::new(Terms::of(rule))))
                .collect(),
            others: Arc::new(Terms {
                allow: AccessRule::DEFAULT.to_vec(),
                models: None,
                networks: None,
                not_after: None,
                limits: None,
                ceiling: None,
            }),
            anonymous: None,
            audits: false,
        }
    }

    /// The same rules where one client needs no credential. A rule that names it outright gives it what it says. One that
    /// only matches it by `*` was written for known clients, and gives it no more than a client without a rule has.
    #[must_use]
    pub fn with_anonymous(mut self, rules: &[AccessRule], client: &str) -> Self {
        let named = rules
            .iter()
            .zip(&self.rules)
            .find(|(_, (subjects, _))| subjects.include(client, &[]));
        let terms = match named {
            None => Arc::clone(&self.others),
            Some((rule, (_, terms))) if rule.clients.iter().any(|name| name == client) => Arc::clone(terms),
            Some((rule, _)) => Arc::new(Terms::of(&AccessRule {
                allow: rule
                    .allow
                    .iter()
                    .copied()
                    .filter(|class| AccessRule::DEFAULT.contains(class))
                    .collect(),
                ..rule.clone()
            })),
        };
        self.anonymous = Some((client.to_owned(), terms));
        self
    }

    /// Judges the head of a request.
    ///
    /// # Errors
    /// The first rule that names the client or one of its groups, or the default, lets it do less.
    pub fn authorize(
        &self,
        identity: Identity,
        address: ClientAddress,
        target: Target,
        now: Timestamp,
    ) -> Result<Clearance, Forbidden> {
        let terms = self.terms(identity.name(), identity.groups());
        let act = Act::of_head(&target);
        let name = Arc::clone(identity.name());
        let forbidden = |cause| Forbidden { client: name, cause };
        let permit = Box::new(Permit {
            identity,
            address,
            target,
            limits: terms.limits_of(&act),
            act,
        });
        let Permit { act, .. } = &*permit;
        match terms.admit(address, act.class, now) {
            Err(cause) => Err(forbidden(cause)),
            Ok(()) if terms.needs_ask(act) || (self.audits && act.changes_named_models()) => {
                Ok(Clearance::Pending(Pending {
                    permit,
                    terms: Arc::clone(terms),
                }))
            }
            Ok(()) => match terms.allow_ask(act) {
                Err(cause) => Err(forbidden(cause)),
                Ok(()) => Ok(Clearance::Given(permit)),
            },
        }
    }

    /// Judges what a client with these groups does, which an earlier judgement let in.
    ///
    /// # Errors
    /// As [`Self::authorize`]; also where a rule has come to look at a body that nobody has read.
    pub fn judge(
        &self,
        client: &Arc<str>,
        groups: &[String],
        address: ClientAddress,
        act: &Act,
        now: Timestamp,
    ) -> Result<(), Forbidden> {
        let terms = self.terms(client, groups);
        let judged = terms.admit(address, act.class, now);
        judged
            .and_then(|()| terms.allow_ask(act))
            .map_err(|cause| Forbidden {
                client: Arc::clone(client),
                cause,
            })
    }

    /// Whether a client's access ended between two moments.
    pub fn expires_between(&self, earlier: Timestamp, later: Timestamp) -> bool {
        let mut ends = self.rules.iter().filter_map(|(_, terms)| terms.not_after);
        ends.any(|end| earlier < end && end <= later)
    }

    /// The same rules where somebody may want to know which models are changed.
    #[must_use]
    pub fn auditing(self, audits: bool) -> Self {
        Self { audits, ..self }
    }

    fn terms(&self, client: &str, groups: &[String]) -> &Arc<Terms> {
        if let Some((name, terms)) = &self.anonymous
            && name == client
        {
            return terms;
        }
        self.rules
            .iter()
            .find(|(subjects, _)| subjects.include(client, groups))
            .map_or(&self.others, |(_, terms)| terms)
    }
}

impl Terms {
    /// Patterns that match nothing are left out: validation has refused them before, and less is allowed without them.
    fn of(rule: &AccessRule) -> Self {
        let AccessRule {
            clients: _,
            groups: _,
            allow,
            models,
            allowed_cidrs,
            not_after,
            limits,
            ceilings,
        } = rule;
        let parse = |patterns: &Vec<String>| {
            patterns
                .iter()
                .filter_map(|pattern| ModelPattern::parse(pattern))
                .collect()
        };
        Self {
            allow: allow.clone(),
            models: models.as_ref().map(parse),
            networks: allowed_cidrs.clone(),
            not_after: *not_after,
            limits: limits.clone().map(Arc::new),
            ceiling: ceilings.as_ref().map(Ceiling::new),
        }
    }

    /// Whoever asks whether the service is there uses nothing.
    fn limits_of(&self, act: &Act) -> Option<Arc<ClientLimits>> {
        self.limits.clone().filter(|_| act.class != RouteClass::Health)
    }

    fn admit(&self, address: ClientAddress, class: RouteClass, now: Timestamp) -> Result<(), Cause> {
        if let Some(end) = self.not_after.filter(|end| now >= *end) {
            return Err(Cause::Expired(end));
        }
        let from_here =
            |networks: &Vec<IpNet>| networks.iter().any(|network| network.contains(&address.get()));
        if !self.networks.as_ref().is_none_or(from_here) {
            return Err(Cause::Address);
        }
        if class == RouteClass::Health || self.allow.contains(&class) {
            return Ok(());
        }
        Err(Cause::Class(class))
    }

    /// Whether the body must be read. Who may change models may unload them too.
    fn needs_ask(&self, act: &Act) -> bool {
        match act.content {
            Content::Nothing | Content::Path | Content::Blob | Content::Form => false,
            Content::Inference(_) => self.looks_into_inference() || !self.allow.contains(&RouteClass::Manage),
            Content::Compatible(_) => self.looks_into_inference(),
            Content::Named | Content::Create | Content::Copy => self.models.is_some(),
        }
    }

    fn looks_into_inference(&self) -> bool {
        self.models.is_some() || self.ceiling.is_some()
    }

    fn allow_ask(&self, act: &Act) -> Result<(), Cause> {
        let unloads = act.ask.as_ref().is_some_and(|ask| ask.unloads);
        if unloads && !self.allow.contains(&RouteClass::Manage) {
            return Err(Cause::Unload);
        }
        let Some(patterns) = &self.models else {
            return Ok(());
        };
        match act.content {
            Content::Nothing | Content::Blob => return Ok(()),
            Content::Form if patterns.contains(&ModelPattern::Every) => return Ok(()),
            Content::Form => return Err(Cause::Form),
            _ => {}
        }
        let models = act.ask.iter().flat_map(|ask| &ask.models);
        let allowed = |model: &&CanonicalName| patterns.iter().any(|pattern| pattern.matches(model));
        match models.clone().find(|model| !allowed(model)) {
            Some(denied) => Err(Cause::Model(denied.clone())),
            None if models.count() == 0 => Err(Cause::NoModel),
            None => Ok(()),
        }
    }
}

impl Act {
    fn of_head(target: &Target) -> Self {
        let content = target.content();
        Self {
            class: target.class(),
            content,
            ask: (content == Content::Path).then(|| Ask::of_path(target.model())),
        }
    }

    fn changes_named_models(&self) -> bool {
        let names = matches!(self.content, Content::Named | Content::Create | Content::Copy);
        names && self.class == RouteClass::Manage
    }
}

impl Clearance {
    /// What the request does, and what its body says that rules may look at.
    pub const fn class_and_content(&self) -> (RouteClass, Content) {
        let (Self::Given(permit) | Self::Pending(Pending { permit, .. })) = self;
        (permit.act.class, permit.act.content)
    }

    /// What it asks of the client's limits; none where there are none.
    pub fn demand(&self) -> Option<Demand<'_>> {
        let (Self::Given(permit) | Self::Pending(Pending { permit, .. })) = self;
        Some(Demand {
            client: permit.identity.name(),
            limits: permit.limits.as_ref()?,
            takes_tokens: permit.act.class == RouteClass::Inference,
        })
    }
}

impl Pending {
    /// What the body is, as far as rules look at it.
    pub const fn content(&self) -> Content {
        self.permit.act.content
    }

    /// The body, held to what the client may ask of a model.
    ///
    /// # Errors
    /// It asks for too much, or can't be read in one way only.
    pub fn hold(&self, body: Bytes) -> Result<Bytes, CeilingError> {
        match &self.terms.ceiling {
            None => Ok(body),
            Some(ceiling) => ceiling.hold(self.content(), body),
        }
    }

    /// The client may not.
    pub fn forbidden(&self, cause: Cause) -> Forbidden {
        Forbidden {
            client: Arc::clone(self.permit.identity.name()),
            cause,
        }
    }

    /// Judges what the body asks for.
    ///
    /// # Errors
    /// The client may not.
    pub fn permit(mut self, ask: Ask) -> Result<Box<Permit>, Forbidden> {
        self.permit.act.ask = Some(ask);
        match self.terms.allow_ask(&self.permit.act) {
            Ok(()) => Ok(self.permit),
            Err(cause) => Err(self.forbidden(cause)),
        }
    }
}

impl Permit {
    /// What it was given for, and to whom.
    pub(crate) fn into_parts(self: Box<Self>) -> (Identity, ClientAddress, Target, Act) {
        let Self {
            identity,
            address,
            target,
            act,
            limits: _,
        } = *self;
        (identity, address, target, act)
    }
}

#[cfg(test)]
mod tests;
