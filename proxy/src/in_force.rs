//! What is in force: one immutable snapshot, swapped as a whole.

use jiff::Timestamp;
use thiserror::Error;

use crate::address::{AddressRefused, AddressRules, ClientAddress};
use crate::authorize::{Act, Authorizer, Forbidden};
use crate::config::load::{LoadError, Loaded};
use crate::config::{Anonymous, Config};
use crate::cors::CorsRules;
use crate::credentials::CredentialSet;
use crate::digest::DigestKey;
use crate::identify::Identity;
use crate::tls::certificate::Certificate;

/// Configuration and credentials in force, in the form in which requests ask them.
#[derive(Debug)]
pub struct InForce {
    /// Grows with each swap.
    pub generation: u64,
    /// The configuration.
    pub config: Config,
    /// SHA-256 of the configuration file in force; none without a file.
    pub digest: Option<String>,
    /// Why the file as it is now is not in force.
    pub error: Option<String>,
    /// When this configuration came into force.
    pub configured_at: Timestamp,
    /// The certificate that clients see.
    pub certificate: Certificate,
    /// The address rules.
    pub addresses: AddressRules,
    /// The pages that may call; none may without it.
    pub cors: Option<CorsRules>,
    /// The access rules.
    pub authorizer: Authorizer,
    /// The credentials.
    pub credentials: CredentialSet,
    digest_key: Option<DigestKey>,
}

/// A request that was let in would not be any more.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NoLonger {
    /// The credential is gone or another one.
    #[error("the credential is no longer in force")]
    Identified,
    /// No rule gives the client this any more.
    #[error(transparent)]
    Allowed(Forbidden),
    /// The address may not call any more.
    #[error(transparent)]
    Admitted(AddressRefused),
}

impl InForce {
    /// What is in force first. Credentials are read from the files that the configuration names: a source that can't
    /// be read lets nobody in. Blocks.
    pub fn first(loaded: Loaded) -> Self {
        let credentials = CredentialSet::load(&loaded.config.credentials, loaded.digest_key.as_ref());
        let certificate = Certificate::load(loaded.config.tls.as_ref());
        Self::new(loaded, credentials, certificate, 0, Timestamp::now())
    }

    /// What follows, with the credentials as they are now. A configuration that can't be loaded leaves the last good
    /// one in force; one that hasn't changed keeps the time when it came into force. Blocks.
    #[must_use]
    pub fn next(&self, outcome: Result<Loaded, LoadError>) -> Self {
        let (loaded, error) = match outcome {
            Ok(loaded) => (loaded, None),
            Err(error) => (self.loaded(), Some(error.to_string())),
        };
        let credentials = self
            .credentials
            .reload(&loaded.config.credentials, loaded.digest_key.as_ref());
        let certificate = self.certificate.reload(loaded.config.tls.as_ref());
        let unchanged = loaded.digest == self.digest && loaded.config == self.config;
        let configured_at = if unchanged {
            self.configured_at
        } else {
            Timestamp::now()
        };
        Self {
            error,
            ..Self::new(
                loaded,
                credentials,
                certificate,
                self.generation + 1,
                configured_at,
            )
        }
    }

    fn loaded(&self) -> Loaded {
        let Self {
            config,
            digest,
            digest_key,
            ..
        } = self;
        Loaded {
            config: config.clone(),
            digest: digest.clone(),
            digest_key: digest_key.clone(),
        }
    }

    fn new(
        loaded: Loaded,
        credentials: CredentialSet,
        certificate: Certificate,
        generation: u64,
        configured_at: Timestamp,
    ) -> Self {
        let Loaded {
            config,
            digest,
            digest_key,
        } = loaded;
        Self {
            generation,
            digest,
            error: None,
            configured_at,
            certificate,
            addresses: AddressRules::new(&config.network),
            cors: config.network.cors.as_ref().map(CorsRules::new),
            authorizer: authorizer(&config),
            credentials,
            digest_key,
            config,
        }
    }

    /// Whether a request that an earlier snapshot let in would still be let in.
    ///
    /// # Errors
    /// It would not.
    pub fn judge_again(
        &self,
        identity: &Identity,
        address: ClientAddress,
        act: &Act,
    ) -> Result<(), NoLonger> {
        if !self.credentials.is_in_force(identity) {
            return Err(NoLonger::Identified);
        }
        self.authorizer
            .judge(identity.name(), identity.groups(), address, act, Timestamp::now())
            .map_err(NoLonger::Allowed)?;
        if self.addresses.allows(address.get()) {
            Ok(())
        } else {
            Err(NoLonger::Admitted(AddressRefused::NotAllowed))
        }
    }
}

fn authorizer(config: &Config) -> Authorizer {
    let authorizer = Authorizer::new(&config.access).auditing(config.log.audit);
    match &config.credentials.anonymous {
        Some(Anonymous { client }) => authorizer.with_anonymous(&config.access, client),
        None => authorizer,
    }
}
