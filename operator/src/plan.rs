//! What an OllamaService should become: pure, from the resource and the operator's options to objects.
//!
//! prepare (what is wrong with it, else its parsed form) → one module for each kind of child → [`Plan`].

mod certificate;
mod child;
mod configuration;
mod credentials;
mod deployment;
mod exposure;
mod gpu;
mod limits;
mod models;
mod names;
mod network;
mod pod;
mod prepare;
mod scale;
mod storage;

use corral_proxy::config::validate::{Invalid, validate};

use crate::cli::PlanOptions;
use crate::crd::{OllamaService, SecretKeyRef, UpgradePolicy};

pub use child::{Child, Kind};
pub use credentials::{
    GENERATED_ENTRY, Generated, GeneratedSecret, Source, registry_key_secret, secret_names, tls_secret,
};
pub use exposure::endpoint;
pub use models::{ConfigMaps, ModelProblem, config_map_names};
pub use names::{
    AUTOSCALED_ANNOTATION, DIGEST_KEY_VOLUME, MANAGED_BY_LABEL, MANAGER, NUDGE_ANNOTATION,
    REQUESTED_ANNOTATION, TEMPLATE_ANNOTATION, child_selector, credentials_name, digest_key_name,
    instance_of, selector, service_of,
};
pub use prepare::Prepared;
pub use scale::Replicas;
pub use storage::{CLAIM_CAPACITY, CLAIM_SIZE};

/// Everything that one OllamaService should have.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Objects to apply, in the order in which they need one another.
    pub children: Vec<Child>,
    /// Secrets that are made once and then left alone.
    pub generated: Vec<GeneratedSecret>,
    /// When a new operator's changes reach the Pods.
    pub upgrade_policy: UpgradePolicy,
    /// How many replicas there are to be.
    pub replicas: Replicas,
    /// Where the credentials come from.
    pub sources: Vec<Source>,
    /// The Secret with the certificate, where clients speak HTTPS.
    pub tls_secret: Option<String>,
    /// The entry with the key by which registries know Ollama.
    pub registry_key: Option<SecretKeyRef>,
    /// What lets the proxies ask the API server whose tokens are, where they have to: a command for an administrator.
    pub token_reviewer_binding: Option<String>,
    /// Models that can't be made as they are defined.
    pub model_problems: Vec<ModelProblem>,
    /// SHA-256 of the proxy's configuration, as a proxy that has it in force reports it.
    pub configuration_digest: String,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The resource is wrong; each problem names the field and what would be right.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
    /// An object has no JSON or YAML form.
    #[error("an object can't be written down: {0}")]
    Json(#[from] serde_json::Error),
    /// The configuration has no YAML form.
    #[error("the proxy's configuration can't be written down: {0}")]
    Yaml(#[from] serde_yaml::Error),
}

/// Where the OllamaService has the field that a proxy would refuse: the same names, but for the credentials.
fn in_spec(invalid: &Invalid) -> String {
    let Invalid { field, problem } = invalid;
    match field.strip_prefix("credentials.") {
        Some(field) => format!("spec.auth.{field}: {problem}"),
        None => format!("spec.{field}: {problem}"),
    }
}

/// Plans the children of one OllamaService, some of whose models are made from what stands in ConfigMaps.
///
/// # Errors
/// When the resource is invalid, which the CustomResourceDefinition's own rules usually find first.
pub fn plan(
    service: &OllamaService,
    options: &PlanOptions,
    config_maps: &ConfigMaps,
) -> Result<Plan, PlanError> {
    let prepared = prepare::prepare(service, options).map_err(PlanError::Invalid)?;
    let configuration = configuration::configuration(&prepared, config_maps)?;
    // What a proxy would refuse is refused here, before it is rolled out.
    validate(&configuration.config).map_err(|invalid| PlanError::Invalid(vec![in_spec(&invalid)]))?;
    let mut children = vec![
        Child::new(Kind::ServiceAccount, &network::service_account(&prepared))?,
        Child::new(Kind::ConfigMap, &configuration.config_map)?,
        Child::new(Kind::Service, &exposure::service(&prepared))?,
        Child::new(Kind::NetworkPolicy, &network::network_policy(&prepared, options))?,
    ];
    if let Some(claim) = storage::claim(&prepared) {
        children.push(Child::new(Kind::PersistentVolumeClaim, &claim)?);
    }
    children.push(Child::new(Kind::Deployment, &deployment::deployment(&prepared)?)?);
    if let Some(budget) = scale::disruption_budget(&prepared) {
        children.push(Child::new(Kind::PodDisruptionBudget, &budget)?);
    }
    if let Some(autoscaler) = scale::horizontal_pod_autoscaler(&prepared) {
        children.push(Child::new(Kind::HorizontalPodAutoscaler, &autoscaler)?);
    }
    if let Some(scaled) = scale::scaled_object(&prepared) {
        children.push(Child::new(Kind::ScaledObject, &scaled)?);
    }
    if let Some(ingress) = exposure::ingress(&prepared) {
        children.push(Child::new(Kind::Ingress, &ingress)?);
    }
    if let Some(route) = exposure::http_route(&prepared) {
        children.push(Child::new(Kind::HttpRoute, &route)?);
    }
    if let Some(certificate) = certificate::certificate(&prepared) {
        children.push(Child::new(Kind::Certificate, &certificate)?);
    }
    Ok(Plan {
        children,
        generated: credentials::generated(&prepared),
        replicas: prepared.replicas,
        upgrade_policy: prepared.spec.upgrade_policy,
        model_problems: models::problems(&configuration.config.models),
        configuration_digest: configuration.digest,
        tls_secret: prepared.tls_secret.as_deref().map(str::to_owned),
        registry_key: prepared.spec.registry_key.clone().map(|key| key.secret_key_ref),
        token_reviewer_binding: network::token_reviewer_binding(
            &prepared,
            options.token_reviewer_role.as_deref(),
        ),
        sources: prepared.sources,
    })
}
