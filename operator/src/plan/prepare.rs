//! From an OllamaService to its parsed form, or to all that is wrong with it.
//!
//! The CustomResourceDefinition refuses the same things first; here they are caught where an older definition is installed
//! or a file is rendered without a cluster.

use std::borrow::Cow;

use corral_proxy::config::validate::{audiences_problem, check_issuer, unmeetable};
use corral_proxy::config::{self, Require};
use corral_proxy::credentials::CredentialKind;
use ipnet::IpNet;
use k8s_openapi::api::core::v1::EnvVar;

use super::certificate::tls_problem;
use super::credentials::{Source, issuers, registry_key_secret, secret_names, sources, tls_secret};
use super::gpu::{GpuRequest, gpu_problems, gpu_request};
use super::models::model_problems;
use super::names::claim_name;
use super::network::policy_problems;
use super::pod::environment::given_twice;
use super::pod::{TERMINATION_GRACE_SECONDS, refused};
use super::scale::Replicas;
use super::storage::is_read_by_many;
use crate::cli::{PlanOptions, SecretsMode};
use crate::crd::{
    Autoscaling, AutoscalingTarget, GpuVendor, Image, KvCacheType, MAXIMUM_NAME_LENGTH, Network,
    OWNED_VARIABLES, OllamaService, OllamaServiceSpec, PullPolicy, ServiceType, Storage,
};

/// An OllamaService that has been checked and parsed.
#[derive(Debug)]
pub struct Prepared<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its uid, where it is in a cluster.
    pub uid: Option<&'a str>,
    /// What the user wrote.
    pub spec: &'a OllamaServiceSpec,
    pub(super) network: config::Network,
    /// The Secret with the certificate, where clients speak HTTPS.
    pub(super) tls_secret: Option<Cow<'a, str>>,
    pub(super) sources: Vec<Source>,
    pub(super) ollama_image: String,
    pub(super) proxy_image: &'a str,
    pub(super) pull_policy: PullPolicy,
    pub(super) gpu: Option<GpuRequest<'a>>,
    pub(super) replicas: Replicas,
    pub(super) secrets: SecretsMode,
}

impl Prepared<'_> {
    /// How long a Pod that is to end has.
    pub(super) fn termination_grace_seconds(&self) -> u32 {
        let template = self.spec.pod_template.as_ref();
        template
            .and_then(|template| template.termination_grace_period_seconds)
            .unwrap_or(TERMINATION_GRACE_SECONDS)
    }
}

/// Checks and parses.
pub(super) fn prepare<'a>(
    service: &'a OllamaService,
    options: &'a PlanOptions,
) -> Result<Prepared<'a>, Vec<String>> {
    let name = service.metadata.name.as_deref().unwrap_or_default();
    let spec = &service.spec;
    let mut problems = Vec::new();
    check_name(name, &mut problems);
    check_scale(spec, &mut problems);
    check_image(spec.image.as_ref(), &mut problems);
    problems.extend(gpu_problems(spec));
    check_storage(name, spec, &mut problems);
    problems.extend(model_problems(spec));
    check_registry_key(service, &mut problems);
    check_runtime(spec, &mut problems);
    check_environment(service, &mut problems);
    check_pod_template(service, &mut problems);
    let sources = sources(name, spec.auth.as_ref());
    check_auth(spec, &sources, &mut problems);
    check_exposure(spec, &mut problems);
    problems.extend(policy_problems(spec));
    problems.extend(tls_problem(spec));
    let network = parse_network(spec.network.as_ref(), &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Prepared {
        name,
        namespace: service.metadata.namespace.as_deref().unwrap_or("default"),
        uid: service.metadata.uid.as_deref(),
        spec,
        network,
        tls_secret: tls_secret(service),
        sources,
        ollama_image: ollama_image(spec, options),
        proxy_image: &options.proxy_image,
        pull_policy: pull_policy(spec, options),
        gpu: gpu_request(spec),
        replicas: Replicas::of(spec),
        secrets: options.secrets,
    })
}

fn check_name(name: &str, problems: &mut Vec<String>) {
    let well_formed = name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name
            .chars()
            .all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || one == '-');
    if !well_formed || name.len() > MAXIMUM_NAME_LENGTH {
        problems.push(format!(
            "metadata.name: at most {MAXIMUM_NAME_LENGTH} lower-case letters, digits and '-', the first a letter and the \
             last no '-'"
        ));
    }
}

fn check_scale(spec: &OllamaServiceSpec, problems: &mut Vec<String>) {
    if let Some(autoscaling) = &spec.autoscaling {
        check_autoscaling(autoscaling, problems);
    }
    if let Some(disruption) = &spec.disruption
        && disruption.min_available.is_some() == disruption.max_unavailable.is_some()
    {
        problems.push("spec.disruption: exactly one of minAvailable and maxUnavailable".to_owned());
    }
}

fn check_autoscaling(autoscaling: &Autoscaling, problems: &mut Vec<String>) {
    if autoscaling.min_replicas > autoscaling.max_replicas {
        problems.push("spec.autoscaling: minReplicas can't be more than maxReplicas".to_owned());
    }
    if autoscaling.target.is_some() == autoscaling.keda.is_some() {
        problems.push("spec.autoscaling: exactly one of target and keda".to_owned());
    }
    if autoscaling.keda.is_none() && autoscaling.min_replicas < 1 {
        problems.push("spec.autoscaling.minReplicas: 0 with keda only".to_owned());
    }
    if autoscaling.target == Some(AutoscalingTarget::default()) {
        problems.push("spec.autoscaling.target: requestsInFlight, tokensPerSecond or both".to_owned());
    }
}

fn check_image(image: Option<&Image>, problems: &mut Vec<String>) {
    if image.is_some_and(|image| image.tag.is_some() && image.digest.is_some()) {
        problems.push("spec.image: give tag or digest, not both".to_owned());
    }
}

fn check_storage(name: &str, spec: &OllamaServiceSpec, problems: &mut Vec<String>) {
    let storage = spec.storage.as_ref();
    let surge = spec.rollout.as_ref().and_then(|rollout| rollout.surge) == Some(true);
    let Some(Storage {
        size,
        storage_class_name,
        access_modes,
        retain,
        existing_claim,
        ephemeral,
    }) = storage
    else {
        return;
    };
    let ways = [size.is_some(), existing_claim.is_some(), ephemeral.is_some()];
    if ways.iter().filter(|given| **given).count() != 1 {
        problems.push("spec.storage: exactly one of size, existingClaim or ephemeral".to_owned());
    }
    if existing_claim.as_ref() == Some(&claim_name(name)) {
        problems.push(
            "spec.storage.existingClaim: the operator made that claim, and it goes with the OllamaService; with size and \
             retain: Retain it is kept"
                .to_owned(),
        );
    }
    let for_size = storage_class_name.is_some() || access_modes.is_some() || retain.is_some();
    if size.is_none() && for_size {
        problems.push("spec.storage: storageClassName, accessModes and retain go with size".to_owned());
    }
    if surge && size.is_some() && !is_read_by_many(storage) {
        problems.push(
            "spec.rollout.surge: needs spec.storage.accessModes [ReadWriteMany], or a volume of each Pod's own"
                .to_owned(),
        );
    }
    if let Some(ephemeral) = ephemeral
        && ephemeral.storage_class_name.is_some()
        && ephemeral.size_limit.is_none()
    {
        problems.push("spec.storage.ephemeral: storageClassName needs sizeLimit".to_owned());
    }
}

fn check_registry_key(service: &OllamaService, problems: &mut Vec<String>) {
    let secret = registry_key_secret(service);
    if secret.is_some_and(|secret| secret_names(service).any(|name| name == secret)) {
        problems.push(
            "spec.registryKey.secretKeyRef: is a Secret with this service's credentials, which only the proxy may have"
                .to_owned(),
        );
    }
}

fn check_pod_template(service: &OllamaService, problems: &mut Vec<String>) {
    let Some(template) = &service.spec.pod_template else {
        return;
    };
    let secrets: Vec<_> = secret_names(service).collect();
    problems.extend(refused::problems(template, &secrets));
    if template
        .termination_grace_period_seconds
        .is_some_and(|seconds| seconds < TERMINATION_GRACE_SECONDS)
    {
        problems.push(format!(
            "spec.podTemplate.terminationGracePeriodSeconds: {TERMINATION_GRACE_SECONDS} at least, for streams to end"
        ));
    }
}

fn check_runtime(spec: &OllamaServiceSpec, problems: &mut Vec<String>) {
    let Some(runtime) = &spec.runtime else { return };
    let is_reduced = runtime.kv_cache_type.is_some_and(|kind| kind != KvCacheType::F16);
    if is_reduced && runtime.flash_attention == Some(false) {
        problems.push("spec.runtime.kvCacheType: f16 only with flashAttention: false".to_owned());
    }
    let kept = spec.models.iter().filter(|model| model.keep_loaded).count();
    let most = runtime
        .max_loaded_models
        .and_then(|most| usize::try_from(most).ok());
    if let Some(most) = most.filter(|most| kept > *most) {
        problems.push(format!(
            "spec.runtime.maxLoadedModels: {kept} models have keepLoaded, and only {most} can be in memory"
        ));
    }
}

fn check_environment(service: &OllamaService, problems: &mut Vec<String>) {
    let spec = &service.spec;
    let variables = spec.runtime.iter().flat_map(|runtime| &runtime.env);
    let secrets: Vec<_> = secret_names(service).collect();
    for variable in variables.clone().filter(|variable| is_from(variable, &secrets)) {
        problems.push(format!(
            "spec.runtime.env: {} is from a Secret with this service's credentials, which only the proxy may have",
            variable.name
        ));
    }
    for variable in variables.filter(|variable| OWNED_VARIABLES.contains(&variable.name.as_str())) {
        problems.push(format!("spec.runtime.env: the operator owns {}", variable.name));
    }
    for name in spec.runtime.iter().flat_map(given_twice) {
        problems.push(format!(
            "spec.runtime.env: {name} has a field of its own in spec.runtime, and both are given; keep the field"
        ));
    }
}

fn is_from(variable: &EnvVar, secrets: &[String]) -> bool {
    let source = variable.value_from.as_ref();
    let secret = source.and_then(|source| source.secret_key_ref.as_ref());
    secret.is_some_and(|secret| secrets.contains(&secret.name))
}

fn check_auth(spec: &OllamaServiceSpec, sources: &[Source], problems: &mut Vec<String>) {
    let anonymous = spec.auth.as_ref().is_some_and(|auth| auth.anonymous.is_some());
    let issuers = issuers(spec.auth.as_ref());
    let kubernetes = spec.auth.as_ref().and_then(|auth| auth.kubernetes.as_ref());
    if sources.is_empty() && issuers.is_empty() && kubernetes.is_none() && !anonymous {
        problems.push(
            "spec.auth: at least one of basic, apiKeys, ollamaKeys, jwt, kubernetes or clientCertificates"
                .to_owned(),
        );
    }
    if let Some(problem) = kubernetes.and_then(|kubernetes| audiences_problem(&kubernetes.audiences)) {
        problems.push(format!("spec.auth.kubernetes.audiences: {problem}"));
    }
    for (index, issuer) in issuers.iter().enumerate() {
        if let Err((field, problem)) = check_issuer(issuer) {
            problems.push(format!("spec.auth.jwt[{index}].{field}: {problem}"));
        }
    }
    let certificates = sources
        .iter()
        .any(|source| source.kind == CredentialKind::ClientCertificates);
    if certificates && spec.network.as_ref().is_none_or(|network| network.tls.is_none()) {
        problems.push("spec.auth.clientCertificates: needs spec.network.tls".to_owned());
    }
    let require = spec.auth.as_ref().map_or(Require::Any, |auth| auth.require);
    let means: Vec<_> = sources.iter().map(|source| source.kind.means()).collect();
    if let (Require::All, Some(problem)) = (require, unmeetable(&means, anonymous)) {
        problems.push(format!("spec.auth.require: {problem}"));
    }
}

fn check_exposure(spec: &OllamaServiceSpec, problems: &mut Vec<String>) {
    let network = spec.network.as_ref();
    let ingress = network.and_then(|network| network.ingress.as_ref());
    if ingress.is_some_and(|ingress| ingress.hosts.is_empty()) {
        problems.push("spec.network.ingress.hosts: at least one".to_owned());
    }
    let Some(service) = &spec.service else { return };
    let inside = service.kind == ServiceType::ClusterIP;
    if inside && (service.node_port.is_some() || service.external_traffic_policy.is_some()) {
        problems.push(
            "spec.service: nodePort and externalTrafficPolicy go with type NodePort or LoadBalancer"
                .to_owned(),
        );
    }
    let balanced = service.load_balancer_class.is_some() || !service.load_balancer_source_ranges.is_empty();
    if balanced && service.kind != ServiceType::LoadBalancer {
        problems.push(
            "spec.service: loadBalancerClass and loadBalancerSourceRanges go with type LoadBalancer"
                .to_owned(),
        );
    }
}

fn parse_network(network: Option<&Network>, problems: &mut Vec<String>) -> config::Network {
    let Some(Network {
        allowed_cidrs,
        trusted_proxies,
        proxy_protocol,
        cors,
        tls: _,
        policy: _,
        ingress: _,
        http_route: _,
    }) = network
    else {
        return config::Network::default();
    };
    let mut parse = |field: &str, networks: &[String]| {
        let mut parsed = Vec::new();
        for text in networks {
            match text.parse::<IpNet>() {
                Ok(network) => parsed.push(network),
                Err(_) => problems.push(format!(
                    "spec.network.{field}: `{text}` is no network such as 10.0.0.0/8"
                )),
            }
        }
        parsed
    };
    config::Network {
        allowed_cidrs: parse("allowedCIDRs", allowed_cidrs),
        trusted_proxies: parse("trustedProxies", trusted_proxies),
        proxy_protocol: *proxy_protocol,
        cors: cors.clone(),
    }
}

/// The image as the node pulls it. AMD's libraries come in an image of their own.
fn ollama_image(spec: &OllamaServiceSpec, options: &PlanOptions) -> String {
    let image = spec.image.clone().unwrap_or_default();
    let repository = image.repository.as_deref().unwrap_or(&options.ollama_image);
    if let Some(digest) = image.digest {
        return format!("{repository}@{digest}");
    }
    let version = spec.version.as_deref().unwrap_or(&options.default_version);
    let amd = spec.gpu.as_ref().is_some_and(|gpu| gpu.vendor == GpuVendor::Amd);
    let variant = if amd { "-rocm" } else { "" };
    let tag = image.tag.unwrap_or_else(|| format!("{version}{variant}"));
    format!("{repository}:{tag}")
}

fn pull_policy(spec: &OllamaServiceSpec, options: &PlanOptions) -> PullPolicy {
    let own = spec.image.as_ref().and_then(|image| image.pull_policy);
    own.unwrap_or(options.image_pull_policy)
}
