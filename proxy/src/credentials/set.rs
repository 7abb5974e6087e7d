//! The snapshot of all credentials in force.

mod keys;
mod source;
mod users;

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::parse::ParsedCredentials;
use super::{Certificates, Client, CredentialId, CredentialKind, KnownClients};
use crate::config::{CredentialSource, Credentials, JwtIssuer, Kubernetes};
use crate::credentials::Means;
use crate::digest::DigestKey;
use crate::identify::{ClientCertificate, Evidence, Identity, Requirement, Reviewer, Token, Unauthenticated};
use crate::jwt::{Issuers, KeySet, Published, Trusted, has_shape_of_token};
use crate::metrics::TokenReviews;
use crate::status::{ApiServerStatus, ClientStatus, IssuerStatus, SourceStatus};

pub(crate) use keys::Key;
pub(crate) use users::User;

use keys::Keys;
use source::{Loaded, Source};
use users::Users;

/// Every credential in force. It never changes; a reload makes another.
#[derive(Debug, Default)]
pub struct CredentialSet {
    sources: Vec<Source>,
    users: Users,
    api_keys: Keys,
    ollama_keys: Keys,
    /// How many seconds the clock of who signs may differ from ours.
    clock_skew: u32,
    certificates: Certificates,
    /// Whoever comes without a credential, where that is allowed.
    anonymous: Option<Arc<Client>>,
    issuers: Issuers,
    /// Who knows service accounts, where their tokens are taken.
    reviewer: Option<Arc<Reviewer>>,
    requirement: Requirement,
    /// The clients that no file lists.
    known: Arc<KnownClients>,
    /// What came of questions to API servers.
    reviews: TokenReviews,
}

impl CredentialSet {
    /// Reads all sources. One that can't be read or parsed lets nobody in, and its status says why. Blocks.
    pub fn load(credentials: &Credentials, digest_key: Option<&DigestKey>) -> Self {
        Self::default().reload(credentials, digest_key)
    }

    /// Like [`Self::load`], keeping what is known of clients and credentials that are still the same: when they were
    /// last used, and which password a slow hash was found to be of. Blocks.
    #[must_use]
    pub fn reload(&self, credentials: &Credentials, digest_key: Option<&DigestKey>) -> Self {
        let ollama_keys = credentials.ollama_keys.as_ref();
        let anonymous = credentials.anonymous.as_ref();
        let mut next = Self {
            anonymous: anonymous
                .map(|anonymous| Client::anonymous(&anonymous.client, self.anonymous.as_ref())),
            clock_skew: ollama_keys.map_or(0, |keys| keys.clock_skew_seconds),
            issuers: Issuers::naming(Arc::clone(&self.known)),
            reviewer: credentials
                .kubernetes
                .as_ref()
                .map(|kubernetes| self.next_reviewer(kubernetes)),
            certificates: Certificates::new(credentials.client_certificates.as_ref()),
            requirement: Requirement::new(credentials),
            known: Arc::clone(&self.known),
            reviews: self.reviews.clone(),
            ..Self::default()
        };
        for (kind, source) in credentials.sources() {
            next.add(kind, &source, digest_key, self);
        }
        for issuer in &credentials.jwt {
            next.add_issuer(issuer, digest_key, self);
        }
        next
    }

    fn next_reviewer(&self, kubernetes: &Kubernetes) -> Arc<Reviewer> {
        Reviewer::following(self.reviewer.as_ref(), kubernetes, &self.known, &self.reviews)
    }

    fn add(
        &mut self,
        kind: CredentialKind,
        source: &CredentialSource,
        digest_key: Option<&DigestKey>,
        previous: &Self,
    ) {
        let mut loaded = Loaded::of(kind, source, digest_key);
        let clients = match loaded.credentials.take() {
            Some(credentials) => self.put(credentials, previous),
            None => Vec::new(),
        };
        self.sources
            .push(loaded.into_source(kind, None, clients, previous.source(kind, None)));
    }

    fn add_issuer(&mut self, issuer: &JwtIssuer, digest_key: Option<&DigestKey>, previous: &Self) {
        if let Some(address) = issuer.key_address() {
            let trusted = match &issuer.ca {
                None => Trusted::Mozilla,
                Some(source) => {
                    let kind = CredentialKind::IssuerAuthorities;
                    match self.read_of_issuer(issuer, kind, source, digest_key, previous) {
                        Some(ParsedCredentials::IssuerAuthorities(roots)) => Trusted::only(roots),
                        _ => Trusted::Nobody,
                    }
                }
            };
            self.issuers
                .add_published(issuer, address, trusted, &previous.issuers);
        } else if let Some(source) = &issuer.keys {
            let kind = CredentialKind::TokenKeys;
            let keys = match self.read_of_issuer(issuer, kind, source, digest_key, previous) {
                Some(ParsedCredentials::TokenKeys(keys)) => keys,
                _ => KeySet::default(),
            };
            self.issuers.add(issuer, keys);
        }
    }

    /// What the one file of an issuer's holds; none where it is wrong.
    fn read_of_issuer(
        &mut self,
        issuer: &JwtIssuer,
        kind: CredentialKind,
        source: &CredentialSource,
        digest_key: Option<&DigestKey>,
        previous: &Self,
    ) -> Option<ParsedCredentials> {
        let mut loaded = Loaded::of(kind, source, digest_key);
        loaded.check_algorithms(&source.path, &issuer.algorithms);
        let credentials = loaded.credentials.take();
        let name = Some(issuer.issuer.as_str());
        self.sources
            .push(loaded.into_source(kind, name, Vec::new(), previous.source(kind, name)));
        credentials
    }

    fn put(&mut self, credentials: ParsedCredentials, previous: &Self) -> Vec<Arc<Client>> {
        match credentials {
            ParsedCredentials::Basic(users) => {
                self.users = Users::new(users, &previous.users);
                self.users.clients()
            }
            ParsedCredentials::ApiKeys(keys) => {
                self.api_keys = Keys::new(CredentialKind::ApiKeys, keys, &previous.api_keys);
                self.api_keys.clients()
            }
            ParsedCredentials::OllamaKeys(keys) => {
                self.ollama_keys = Keys::new(CredentialKind::OllamaKeys, keys, &previous.ollama_keys);
                self.ollama_keys.clients()
            }
            // Those of an issuer have their own way, for they name no clients.
            ParsedCredentials::TokenKeys(_) | ParsedCredentials::IssuerAuthorities(_) => Vec::new(),
            ParsedCredentials::ClientCertificates(parsed) => {
                self.certificates.trust(parsed, &previous.certificates);
                Vec::new()
            }
        }
    }

    fn source(&self, kind: CredentialKind, issuer: Option<&str>) -> Option<&Source> {
        let same = |status: &SourceStatus| status.means == kind.means() && status.issuer.as_deref() == issuer;
        self.sources.iter().find(|source| same(&source.status))
    }

    /// For `/status`: each configured means, with the reason why it lets nobody in if it doesn't.
    pub fn sources(&self) -> Vec<SourceStatus> {
        let mut statuses: Vec<_> = self.sources.iter().map(|source| source.status.clone()).collect();
        if let Some(ended) = self.certificates.ended(Timestamp::now()) {
            let certificates = statuses
                .iter_mut()
                .find(|status| status.means == Means::ClientCertificates);
            if let Some(status) = certificates {
                status.error.get_or_insert_with(|| ended.to_string());
            }
        }
        statuses
    }

    /// The issuers whose keys are fetched.
    pub(crate) fn published(&self) -> Vec<Arc<Published>> {
        self.issuers.published()
    }

    /// For `/status`: each issuer of tokens with its keys.
    pub fn issuer_statuses(&self) -> Vec<IssuerStatus> {
        self.issuers.statuses()
    }

    /// For `/status`: the API server that is asked about service account tokens.
    pub fn api_server_status(&self) -> Option<ApiServerStatus> {
        self.reviewer.as_ref().map(|reviewer| reviewer.status())
    }

    /// For `/status`: every client that is let in, once for each means, by name. Of those that tokens and certificates
    /// name, the ones that have come.
    pub fn clients(&self) -> Vec<ClientStatus> {
        let known = self.known.statuses().into_iter();
        let mut clients: Vec<_> = self
            .listed_clients()
            .map(|client| client.status())
            .chain(known.filter(|client| self.takes(client.means)))
            .collect();
        clients.sort_by(|one, other| (&one.name, one.means).cmp(&(&other.name, other.means)));
        clients
    }

    /// Clients of files, and whoever comes without a credential.
    fn listed_clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        let listed = self.sources.iter().flat_map(|source| &source.clients);
        listed.chain(&self.anonymous)
    }

    /// Whether clients that no file lists may show themselves by these means.
    const fn takes(&self, means: Means) -> bool {
        match means {
            Means::Jwt => !self.issuers.is_empty(),
            Means::Kubernetes => self.reviewer.is_some(),
            Means::ClientCertificates => !matches!(self.certificates, Certificates::Ignored),
            Means::Basic | Means::ApiKeys | Means::OllamaKeys | Means::Anonymous => false,
        }
    }

    /// The names of all clients whose numbers are kept.
    pub(crate) fn client_names(&self) -> HashSet<Arc<str>> {
        let listed = self.listed_clients().map(|client| Arc::clone(&client.name));
        listed.chain(self.known.names()).collect()
    }

    /// Whether the very credentials that were shown are still there, still the same clients', and still enough.
    pub fn is_in_force(&self, identity: &Identity) -> bool {
        let holds = |evidence: &Evidence| match evidence {
            Evidence::Stored {
                kind,
                client,
                credential,
            } => self.holds(*kind, client, *credential),
            Evidence::Certificate { certificate, client } => {
                let found = self.client_of(certificate, Timestamp::now());
                found.is_ok_and(|found| found.name == client.name)
            }
            Evidence::None { client } => {
                let anonymous = self.anonymous.as_ref();
                anonymous.is_some_and(|anonymous| anonymous.name == client.name)
            }
            Evidence::Token(token) => self.issuers.holds(token),
            Evidence::ServiceAccount(shown) => {
                let reviewer = self.reviewer.as_ref();
                reviewer.is_some_and(|reviewer| reviewer.holds(shown, Timestamp::now()))
            }
        };
        identity.evidence().all(holds) && self.requirement.is_met_by(identity)
    }

    fn holds(&self, kind: CredentialKind, client: &Client, credential: CredentialId) -> bool {
        match kind {
            CredentialKind::Basic => self.users.holds(client, credential),
            CredentialKind::ApiKeys => self.api_keys.holds(client, credential),
            CredentialKind::OllamaKeys => self.ollama_keys.holds(client, credential),
            // Nobody shows those: what is shown is a token or a certificate.
            CredentialKind::TokenKeys
            | CredentialKind::IssuerAuthorities
            | CredentialKind::ClientCertificates => false,
        }
    }

    /// What is asked of certificates that clients show.
    pub(crate) const fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Whose certificate it is.
    pub(crate) fn client_of(
        &self,
        certificate: &ClientCertificate,
        now: Timestamp,
    ) -> Result<Arc<Client>, Unauthenticated> {
        let authorities = self.certificates.authorities();
        certificate.client(authorities.ok_or(Unauthenticated::Unknown)?, &self.known, now)
    }

    /// Whoever comes without a credential, where that is allowed.
    pub(crate) const fn anonymous(&self) -> Option<&Arc<Client>> {
        self.anonymous.as_ref()
    }

    /// How many credentials a request has to carry.
    pub(crate) const fn requirement(&self) -> &Requirement {
        &self.requirement
    }

    /// The user of that name.
    pub(crate) fn user(&self, name: &str) -> Option<&Arc<User>> {
        self.users.get(name)
    }

    /// A user whose hash costs what a check of an unknown name should cost: which one depends on a keyed hash of the
    /// name, so that unknown names take as long as known ones do, in the same mixture of kinds.
    pub(crate) fn decoy(&self, name_hash: u64) -> Option<&Arc<User>> {
        self.users.pick(name_hash)
    }

    /// The API key with that SHA-256.
    ///
    /// The look-up doesn't take the same time whatever it finds, and that gives nothing away: what is compared is a
    /// hash of what the caller sent, which they can't steer towards a stored one, and the table's order is keyed.
    pub(crate) fn api_key(&self, key: &[u8]) -> Option<&Key> {
        self.api_keys.get(CredentialId::of(key))
    }

    /// The key of the CLI's that is this one. It is public: whether it is known is no secret worth a constant time.
    pub(crate) fn ollama_key(&self, public_key: [u8; 32]) -> Option<&Key> {
        self.ollama_keys.get(CredentialId(public_key))
    }

    /// Which kind of token a credential is, if it is one: of the issuer that it names, if that is known, and of a service
    /// account otherwise, where their tokens are taken.
    pub(crate) fn kind_of_token(&self, credential: &[u8]) -> Option<Token> {
        let takes_tokens = !self.issuers.is_empty() || self.reviewer.is_some();
        if !takes_tokens || !has_shape_of_token(credential) {
            return None;
        }
        let is_of_issuer =
            self.reviewer.is_none() || !self.issuers.is_empty() && self.issuers.are_named_by(credential);
        Some(if is_of_issuer {
            Token::OfIssuer
        } else {
            Token::OfServiceAccount
        })
    }

    /// Who knows service accounts, where their tokens are taken.
    pub(crate) const fn reviewer(&self) -> Option<&Arc<Reviewer>> {
        self.reviewer.as_ref()
    }

    /// What came of questions to API servers.
    pub(crate) const fn token_reviews(&self) -> &TokenReviews {
        &self.reviews
    }

    /// The issuers of tokens.
    pub(crate) const fn issuers(&self) -> &Issuers {
        &self.issuers
    }

    /// How many seconds the clock of who signs may differ from ours.
    pub(crate) fn clock_skew(&self) -> u32 {
        self.clock_skew
    }
}

#[cfg(test)]
mod tests;
