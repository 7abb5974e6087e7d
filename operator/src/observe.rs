//! Every read of the cluster.
//!
//! The stores answer where they can. What a store doesn't know is read from the API server, since a store lags and shows only
//! what carries the operator's labels; in a settled cluster that is nothing.

mod at_hand;
mod certificate;
mod config_maps;
mod credentials;
mod read_secret;
mod registry_key;
mod remembered;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use http::StatusCode;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::reflector::ObjectRef;

use crate::crd::OllamaService;
use crate::plan::{Child, Kind, Plan, service_of};
use crate::watch::{Noted, Stores};

pub use at_hand::HELD;
pub use certificate::CertificateState;
pub use config_maps::config_maps;
pub use credentials::{Content, Readings, SecretState};
pub use registry_key::RegistryKeyState;

/// A child that there is.
pub type Live = Arc<DynamicObject>;
/// The children that there are: an OllamaService has at most one of each kind.
pub type Children = BTreeMap<Kind, Live>;

/// Whose a Secret is that has the name of a generated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratedState {
    /// This OllamaService's.
    Ours,
    /// Something else's.
    Foreign {
        /// It is about to go.
        deleting: bool,
    },
}

/// What there is of one OllamaService.
#[derive(Debug)]
pub struct Observed {
    /// The children of the plan that there are.
    pub children: Children,
    /// Kinds of the plan that this cluster doesn't have.
    pub unserved: BTreeSet<Kind>,
    /// Children of optional kinds that the plan no longer has.
    pub surplus: Vec<(Kind, Live)>,
    /// The generated Secrets of the plan that there are, by name.
    pub generated: BTreeMap<String, GeneratedState>,
    /// Whose the Secret is that cert-manager would write for the plan's Certificate, where there is no such Certificate yet.
    pub certificate_secret: Option<GeneratedState>,
    /// For each source of the plan, in its order, the state of its Secret.
    pub secrets: Vec<SecretState>,
    /// What is wrong with the Secret that holds the key of the proxies' digests.
    pub digest_key_problem: Option<String>,
    /// The state of the Secret with the certificate, where clients speak HTTPS.
    pub certificate: Option<CertificateState>,
    /// The state of the Secret with the key by which registries know Ollama, where it may be read.
    pub registry_key: Option<RegistryKeyState>,
    /// The Pods.
    pub pods: Vec<Pod>,
}

/// Where one OllamaService's things are read from.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The API server.
    pub client: &'a Client,
    /// What the watches know.
    pub stores: &'a Stores,
    /// What Secrets held when they were last read.
    pub readings: &'a Readings,
    /// The OllamaService's namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// Reads all that the plan of an OllamaService speaks of.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn observe(place: Place<'_>, plan: &Plan) -> Result<Observed, kube::Error> {
    // The Secrets first: nothing may hold up a rotation.
    let (secrets, digest_key_problem) = credentials::secrets(place, plan).await?;
    let certificate = certificate::certificate(place, plan).await?;
    let registry_key = registry_key::registry_key(place, plan).await?;
    let mut children = Children::new();
    let mut unserved = BTreeSet::new();
    // One after the other: where many are new, each look at a time takes a connection, and its buffers, of its own.
    for child in &plan.children {
        match place.child(child).await? {
            Found::Live(live) => drop(children.insert(child.kind, live)),
            Found::Nothing => {}
            Found::NoSuchKind => drop(unserved.insert(child.kind)),
        }
    }
    let mut generated = BTreeMap::new();
    for secret in &plan.generated {
        if let Some(known) = place.secret_in_store(secret.name()) {
            generated.insert(secret.name().to_owned(), place.generated_state(&known));
        }
    }
    Ok(Observed {
        certificate_secret: place.certificate_secret(plan, &children),
        children,
        unserved,
        surplus: place.surplus(plan)?,
        generated,
        secrets,
        digest_key_problem,
        certificate,
        registry_key,
        pods: place.pods()?,
    })
}

/// Whether the OllamaService is still there, as the API server has it now.
///
/// # Errors
/// When the API server doesn't answer.
pub async fn is_there(place: Place<'_>) -> Result<bool, kube::Error> {
    let services: Api<OllamaService> = Api::namespaced(place.client.clone(), place.namespace);
    let found = services.get_metadata_opt(place.name).await?;
    Ok(found.is_some_and(|service| service.metadata.uid.as_deref() == Some(place.uid)))
}

/// What there is where a child should be.
enum Found {
    Live(Live),
    Nothing,
    NoSuchKind,
}

impl Place<'_> {
    async fn child(&self, child: &Child) -> Result<Found, kube::Error> {
        if let Some(known) = self.known(child.kind, &child.name)? {
            return Ok(Found::Live(known));
        }
        let resource = child.kind.resource();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), self.namespace, &resource);
        match api.get(&child.name).await {
            Ok(live) => Ok(Found::Live(Arc::new(live))),
            Err(kube::Error::Api(answer)) if answer.code == StatusCode::NOT_FOUND.as_u16() => {
                // An answer about an object names it; one about a kind that nobody serves is not even JSON.
                let about_object = answer.details.is_some_and(|details| !details.name.is_empty());
                Ok(if child.kind.may_be_unserved() && !about_object {
                    Found::NoSuchKind
                } else {
                    Found::Nothing
                })
            }
            Err(error) => Err(error),
        }
    }

    /// What the store has of that kind and name.
    fn known(&self, kind: Kind, name: &str) -> Result<Option<Live>, kube::Error> {
        let reference = ObjectRef::new_with(name, kind).within(self.namespace);
        let known = self
            .stores
            .children
            .get(&kind)
            .and_then(|store| store.get(&reference));
        let object = known.map(|known| known.object().map(Arc::new));
        object.transpose().map_err(kube::Error::SerdeError)
    }

    /// All of these kinds have the OllamaService's name. Owned by this very one, by its uid: not by one of the same name that
    /// is gone.
    fn surplus(&self, plan: &Plan) -> Result<Vec<(Kind, Live)>, kube::Error> {
        let unplanned = Kind::OPTIONAL
            .into_iter()
            .filter(|kind| plan.children.iter().all(|child| child.kind != *kind));
        let mut surplus = Vec::new();
        for kind in unplanned {
            let ours = self.known(kind, self.name)?.filter(|live| {
                live.metadata.deletion_timestamp.is_none()
                    && service_of(&live.metadata).is_some_and(|(_, uid)| uid == self.uid)
            });
            surplus.extend(ours.map(|live| (kind, live)));
        }
        Ok(surplus)
    }

    /// What is known of a Secret; none as well where the operator may not touch Secrets. The watch sees every Secret: one that it
    /// hasn't seen yet is still not overwritten, since generated ones are created, never applied.
    fn secret_in_store(&self, name: &str) -> Option<Arc<Noted<Secret>>> {
        let store = self.stores.secrets.as_ref()?;
        store.get(&ObjectRef::new(name).within(self.namespace))
    }

    /// cert-manager would put another key in the place of one that somebody else has put there.
    fn certificate_secret(&self, plan: &Plan, children: &Children) -> Option<GeneratedState> {
        let is_planned = plan.children.iter().any(|child| child.kind == Kind::Certificate);
        if !is_planned || children.contains_key(&Kind::Certificate) {
            return None;
        }
        let secret = self.secret_in_store(plan.tls_secret.as_deref()?)?;
        Some(state(&secret, secret.is_of_cert_manager()))
    }

    fn generated_state(&self, secret: &Noted<Secret>) -> GeneratedState {
        state(secret, secret.owner() == Some(self.uid))
    }

    fn pods(&self) -> Result<Vec<Pod>, kube::Error> {
        let names = self.stores.pods_of.naming(self.namespace, self.name).into_iter();
        let pods = names.filter_map(|name| {
            self.stores
                .pods
                .get(&ObjectRef::new(&name).within(self.namespace))
        });
        pods.map(|pod| pod.pod().map_err(kube::Error::SerdeError))
            .collect()
    }
}

fn state(secret: &Noted<Secret>, is_ours: bool) -> GeneratedState {
    if is_ours {
        GeneratedState::Ours
    } else {
        GeneratedState::Foreign {
            deleting: secret.is_deleting(),
        }
    }
}
