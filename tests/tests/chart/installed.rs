//! What a real API server says to the chart and to the examples.

use std::fs;

use anyhow::Context;
use corral_tests::cluster::{ControlPlane, define};
use corral_tests::foreign::Foreign;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{self, Scope};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;

use crate::examples::examples;
use crate::helm::{MODES, Mode, NAMESPACE, helm_in, install, repository, template};

#[tokio::test]
async fn a_real_api_server_takes_every_mode_and_grants_what_it_promises() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    for namespace in [NAMESPACE, "team-a", "team-b", "elsewhere"] {
        create_namespace(&client, namespace).await;
    }
    for mode in &MODES {
        let said = install(&cluster, mode);
        assert!(!said.contains("PodSecurity"), "{}: {said}", mode.name);
        assert!(
            said.contains("kubectl apply"),
            "{}: the notes don't say what to do next: {said}",
            mode.name
        );
        check_permissions(&client, mode).await;
        helm_in(&cluster, &["uninstall", "corral"]);
    }
    let definitions = Api::<CustomResourceDefinition>::all(client);
    definitions
        .get("ollamaservices.corral.dev")
        .await
        .expect("kept when the chart is uninstalled");
}

#[tokio::test]
async fn the_examples_are_valid() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    define(&client, &corral_operator::crd::definition())
        .await
        .unwrap();
    let mut kinds = Vec::new();
    for (file, text) in examples() {
        kinds.extend(try_all(&client, &file, &text).await);
    }
    assert!(kinds.len() >= 5, "only {kinds:?} in docs/examples");
}

/// Among them are kinds that other projects have defined, whose definitions are the real ones.
#[tokio::test]
async fn what_the_operator_and_the_chart_make_is_valid() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    for namespace in ["ml", NAMESPACE] {
        create_namespace(&client, namespace).await;
    }
    for kind in Foreign::ALL {
        define(&client, &kind.definition().unwrap()).await.unwrap();
    }
    let mut kinds = try_files(&client, "operator/tests/golden").await;
    let chart = template(&[
        "crds.install=false",
        "metrics.service.enabled=true",
        "metrics.serviceMonitor.enabled=true",
        "metrics.podMonitor.enabled=true",
        "metrics.podMonitor.interval=30s",
    ]);
    kinds.extend(try_all(&client, "the chart", &chart.unwrap()).await);
    for kind in Foreign::ALL {
        let name = kind.definition().unwrap().spec.names.kind;
        assert!(kinds.contains(&name), "no {name} among {kinds:?}");
    }
}

/// Tries all objects of a folder's files, and says of which kind each is.
async fn try_files(client: &Client, folder: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    for entry in fs::read_dir(repository().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        kinds.extend(try_all(client, &path.display().to_string(), &text).await);
    }
    kinds
}

async fn try_all(client: &Client, origin: &str, text: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let object = DynamicObject::deserialize(document).unwrap();
        let what = || format!("{origin}: {:?} {}", object.types, object.name_any());
        try_apply(client, &object).await.with_context(what).unwrap();
        kinds.extend(object.types.map(|types| types.kind));
    }
    kinds
}

/// Server-side apply as a dry run; unknown and duplicate fields are errors.
async fn try_apply(client: &Client, object: &DynamicObject) -> anyhow::Result<()> {
    let types = object.types.as_ref().expect("apiVersion and kind");
    let (resource, capabilities) =
        discovery::pinned_kind(client, &GroupVersionKind::try_from(types)?).await?;
    let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
    let api = match capabilities.scope {
        Scope::Cluster => Api::<DynamicObject>::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::apply("test").validation_strict()
    };
    api.patch(&object.name_any(), &parameters, &Patch::Apply(object))
        .await?;
    Ok(())
}

async fn create_namespace(client: &Client, name: &str) {
    let labels = [(
        "pod-security.kubernetes.io/warn".to_owned(),
        "restricted".to_owned(),
    )];
    let metadata = ObjectMeta {
        name: Some(name.into()),
        labels: Some(labels.into()),
        ..ObjectMeta::default()
    };
    let namespace = Namespace {
        metadata,
        ..Namespace::default()
    };
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

/// Whether somebody may do something, in each mode.
struct Permission {
    /// A ServiceAccount, as NAMESPACE:NAME.
    who: &'static str,
    verb: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: &'static str,
    /// Modes in which it may.
    granted_in: &'static [&'static str],
}

/// The operator's own.
const OPERATOR: &str = "corral-system:corral";

const EVERY_MODE: &[&str] = &["cluster", "namespaces", "no-secrets", "token-reviewer"];

#[rustfmt::skip]
const PERMISSIONS: &[Permission] = &[
    Permission { who: OPERATOR, verb: "watch", group: "corral.dev", resource: "ollamaservices", namespace: "team-a", granted_in: EVERY_MODE },
    Permission { who: OPERATOR, verb: "watch", group: "corral.dev", resource: "ollamaservices", namespace: "elsewhere", granted_in: &["cluster", "no-secrets", "token-reviewer"] },
    Permission { who: OPERATOR, verb: "patch", group: "corral.dev", resource: "ollamaservices", namespace: "team-a", granted_in: &[] },
    Permission { who: OPERATOR, verb: "patch", group: "apps", resource: "deployments", namespace: "team-b", granted_in: EVERY_MODE },
    Permission { who: OPERATOR, verb: "patch", group: "apps", resource: "deployments", namespace: NAMESPACE, granted_in: &["cluster", "no-secrets", "token-reviewer"] },
    Permission { who: OPERATOR, verb: "get", group: "", resource: "secrets", namespace: "team-a", granted_in: &["cluster", "namespaces", "token-reviewer"] },
    Permission { who: OPERATOR, verb: "get", group: "", resource: "secrets", namespace: "elsewhere", granted_in: &["cluster", "token-reviewer"] },
    Permission { who: OPERATOR, verb: "delete", group: "", resource: "secrets", namespace: "team-a", granted_in: &[] },
    Permission { who: OPERATOR, verb: "create", group: "", resource: "pods", namespace: "team-a", granted_in: &[] },
    Permission { who: OPERATOR, verb: "patch", group: "coordination.k8s.io", resource: "leases", namespace: NAMESPACE, granted_in: EVERY_MODE },
    Permission { who: OPERATOR, verb: "patch", group: "coordination.k8s.io", resource: "leases", namespace: "team-a", granted_in: &[] },
    Permission { who: OPERATOR, verb: "create", group: "rbac.authorization.k8s.io", resource: "roles", namespace: "team-a", granted_in: &[] },
    Permission { who: OPERATOR, verb: "create", group: "rbac.authorization.k8s.io", resource: "clusterrolebindings", namespace: "", granted_in: &[] },
    Permission { who: OPERATOR, verb: "create", group: "authentication.k8s.io", resource: "tokenreviews", namespace: "", granted_in: &[] },
    Permission { who: "team-a:chat", verb: "create", group: "authentication.k8s.io", resource: "tokenreviews", namespace: "", granted_in: &["token-reviewer"] },
    Permission { who: "team-b:chat", verb: "create", group: "authentication.k8s.io", resource: "tokenreviews", namespace: "", granted_in: &[] },
    Permission { who: "team-a:chat", verb: "create", group: "authorization.k8s.io", resource: "subjectaccessreviews", namespace: "", granted_in: &[] },
];

async fn check_permissions(client: &Client, mode: &Mode) {
    for Permission {
        who,
        verb,
        group,
        resource,
        namespace,
        granted_in,
    } in PERMISSIONS
    {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{who}")),
                resource_attributes: Some(ResourceAttributes {
                    verb: Some((*verb).into()),
                    group: Some((*group).into()),
                    resource: Some((*resource).into()),
                    namespace: Some((*namespace).into()),
                    ..ResourceAttributes::default()
                }),
                ..SubjectAccessReviewSpec::default()
            },
            ..SubjectAccessReview::default()
        };
        let answer = Api::all(client.clone())
            .create(&PostParams::default(), &review)
            .await
            .unwrap();
        let allowed = answer.status.unwrap().allowed;
        let name = format!(
            "{}: {who} may {verb} {group}/{resource} in {namespace}",
            mode.name
        );
        assert_eq!(allowed, granted_in.contains(&mode.name), "{name}");
    }
}
