//! How many replicas there are, and that nobody fights over it.

use corral_operator::crd::OllamaService;
use corral_operator::plan::Kind;
use corral_tests::foreign::Foreign;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::lab::{Lab, eventually};
use crate::replica::ready_pods;

async fn replicas(lab: &Lab, expected: i32) -> Deployment {
    eventually(&format!("the Deployment has {expected} replicas"), || async {
        let deployment = lab.api::<Deployment>().get("x").await;
        let deployment = deployment.map_err(|error| error.to_string())?;
        let replicas = deployment.spec.as_ref().unwrap().replicas;
        if replicas == Some(expected) {
            Ok(deployment)
        } else {
            Err(format!("{replicas:?}"))
        }
    })
    .await
}

/// Every number of replicas that the Deployment has had since then, without repetitions.
async fn replicas_since(lab: &Lab, start: &Deployment) -> Vec<i32> {
    let deployments = lab.api::<Deployment>();
    let now = deployments.get("x").await.unwrap().resource_version().unwrap();
    let events = deployments
        .watch(&WatchParams::default(), &start.resource_version().unwrap())
        .await
        .unwrap();
    let mut events = events.boxed();
    let mut seen = vec![start.spec.as_ref().unwrap().replicas.unwrap()];
    while let Some(event) = events.try_next().await.unwrap() {
        let WatchEvent::Modified(deployment) = event else {
            panic!("{event:?}");
        };
        seen.extend(deployment.spec.as_ref().unwrap().replicas);
        if deployment.resource_version().unwrap() == now {
            break;
        }
    }
    seen.dedup();
    seen
}

/// Those who say how many replicas there are.
fn owners(deployment: &Deployment) -> Vec<String> {
    let all = deployment.metadata.managed_fields.iter().flatten();
    let owners = all.filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|fields| fields["f:spec"]["f:replicas"].is_object())
    });
    owners.filter_map(|entry| entry.manager.clone()).collect()
}

/// What a HorizontalPodAutoscaler does.
async fn autoscale(lab: &Lab, replicas: i32) {
    let parameters = PatchParams {
        field_manager: Some("horizontal-pod-autoscaler".to_owned()),
        ..PatchParams::default()
    };
    let scale = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    lab.api::<Deployment>()
        .patch_scale("x", &parameters, &scale)
        .await
        .unwrap();
}

/// Whether an object of that kind is there.
async fn wait_for<K>(lab: &Lab, what: &str, there: bool)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    eventually(what, || async {
        let found = lab.api::<K>().get_opt("x").await.unwrap();
        if found.is_some() == there {
            Ok(())
        } else {
            Err(format!("{:?}", found.map(|one| one.meta().clone())))
        }
    })
    .await;
}

#[tokio::test]
async fn an_autoscaler_takes_the_replicas_over_and_gives_them_back() {
    let lab = Lab::new("autoscaling").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"replicas": 3})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let start = replicas(&lab, 3).await;
    assert_eq!(owners(&start), ["corral-operator"]);

    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 8, "target": {"requestsInFlight": 1000}});
    lab.patch("x", json!({"autoscaling": autoscaling})).await;
    wait_for::<HorizontalPodAutoscaler>(&lab, "the autoscaler comes", true).await;
    lab.settled().await;
    let handed_over = replicas(&lab, 3).await;
    assert_eq!(owners(&handed_over), ["corral-operator-scale"]);

    let mark = lab.cluster.audit().mark().unwrap();
    autoscale(&lab, 5).await;
    lab.settled().await;
    let writes = lab.cluster.audit().writes_since(mark).unwrap();
    let on_deployments: Vec<_> = writes
        .iter()
        .filter(|write| write.namespace == lab.namespace && write.resource.starts_with("deployments"))
        .map(|write| write.resource.as_str())
        .collect();
    assert_eq!(
        on_deployments,
        ["deployments/scale"],
        "the operator writes nothing"
    );
    assert_eq!(owners(&replicas(&lab, 5).await), ["horizontal-pod-autoscaler"]);

    lab.patch("x", json!({"nodeSelector": {"a": "b"}})).await;
    eventually("another field follows", || async {
        let template = replicas(&lab, 5).await.spec.unwrap().template;
        template
            .spec
            .unwrap()
            .node_selector
            .ok_or("not yet".to_owned())
            .map(drop)
    })
    .await;

    lab.patch("x", json!({"autoscaling": null})).await;
    wait_for::<HorizontalPodAutoscaler>(&lab, "the autoscaler goes", false).await;
    assert_eq!(owners(&replicas(&lab, 3).await), ["corral-operator"]);
    lab.settled().await;
    assert_eq!(
        replicas_since(&lab, &start).await,
        [3, 5, 3],
        "never reset on the way"
    );
}

#[tokio::test]
async fn a_suspended_service_keeps_all_but_its_pods() {
    let lab = Lab::new("suspended").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"replicas": 2, "storage": {"size": "1Gi"}}))
        .await;
    replicas(&lab, 2).await;
    ready_pods(&lab, "x", 2).await;
    lab.condition("x", "Ready", "True", "Ready").await;
    lab.patch("x", json!({"suspend": true})).await;
    replicas(&lab, 0).await;
    let message = lab.condition("x", "Ready", "False", "Suspended").await;
    assert!(message.contains("spec.suspend is true"), "{message}");
    assert_eq!(lab.event("Suspended").await, ("Normal".to_owned(), message));
    ready_pods(&lab, "x", 0).await;
    lab.settled().await;
    lab.api::<Service>().get("x").await.unwrap();
    lab.api::<PersistentVolumeClaim>().get("x-models").await.unwrap();

    let autoscaling = json!({"minReplicas": 3, "maxReplicas": 8, "target": {"tokensPerSecond": 100}});
    lab.patch("x", json!({"autoscaling": autoscaling})).await;
    lab.settled().await;
    wait_for::<HorizontalPodAutoscaler>(&lab, "no autoscaler wakes it", false).await;

    let start = replicas(&lab, 0).await;
    lab.patch("x", json!({"suspend": false})).await;
    wait_for::<HorizontalPodAutoscaler>(&lab, "the autoscaler comes", true).await;
    lab.settled().await;
    assert_eq!(
        replicas_since(&lab, &start).await,
        [0, 3],
        "an autoscaler leaves a Deployment of none alone"
    );
    lab.condition("x", "Ready", "False", "Starting").await;

    autoscale(&lab, 6).await;
    lab.patch("x", json!({"suspend": true})).await;
    replicas(&lab, 0).await;
    wait_for::<HorizontalPodAutoscaler>(&lab, "the autoscaler goes", false).await;
}

#[tokio::test]
async fn the_scale_subresource_says_and_changes_how_many_there_are() {
    let lab = Lab::new("subresource").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"replicas": 2})).await;
    replicas(&lab, 2).await;
    let status = Patch::Merge(json!({"status": {"replicas": 2, "readyReplicas": 1}}));
    lab.api::<Deployment>()
        .patch_status("x", &PatchParams::default(), &status)
        .await
        .unwrap();
    let selector = "app.kubernetes.io/name=ollamaservice,app.kubernetes.io/instance=x";
    eventually("it says what there is", || async {
        let scale = lab.api::<OllamaService>().get_scale("x").await.unwrap();
        let (spec, status) = (scale.spec.unwrap_or_default(), scale.status.unwrap_or_default());
        let right = spec.replicas == Some(2) && status.replicas == 2;
        if right && status.selector.as_deref() == Some(selector) {
            Ok(())
        } else {
            Err(format!("{spec:?} {status:?}"))
        }
    })
    .await;
    let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
    lab.api::<OllamaService>()
        .patch_scale("x", &PatchParams::default(), &scale)
        .await
        .unwrap();
    replicas(&lab, 4).await;
}

#[tokio::test]
async fn a_budget_comes_with_the_second_replica_and_goes_with_it() {
    let lab = Lab::new("disruption").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    let start = replicas(&lab, 1).await;
    lab.settled().await;
    wait_for::<PodDisruptionBudget>(&lab, "one replica needs no budget", false).await;
    lab.patch("x", json!({"replicas": 2})).await;
    wait_for::<PodDisruptionBudget>(&lab, "a budget comes", true).await;
    let scaled = replicas(&lab, 2).await;
    assert_eq!(
        scaled.spec.unwrap().template,
        start.spec.unwrap().template,
        "no Pod is replaced"
    );
    lab.patch("x", json!({"disruption": {"minAvailable": "50%"}, "replicas": 1}))
        .await;
    eventually("it says what is asked for", || async {
        let budget = lab.api::<PodDisruptionBudget>().get("x").await.unwrap();
        let spec = serde_json::to_value(budget.spec.unwrap()).unwrap();
        if spec["minAvailable"] == "50%" && spec["maxUnavailable"].is_null() {
            Ok(())
        } else {
            Err(spec.to_string())
        }
    })
    .await;
    lab.patch("x", json!({"disruption": null})).await;
    wait_for::<PodDisruptionBudget>(&lab, "the budget goes", false).await;
}

#[tokio::test]
async fn a_scaled_object_waits_for_keda() {
    let lab = Lab::new("keda").await;
    let _operator = lab.operator(&[]).await;
    let trigger = json!({"type": "cron", "metadata": {"start": "0 7 * * *"}});
    let autoscaling = json!({"minReplicas": 0, "maxReplicas": 2, "keda": {"triggers": [trigger]}});
    lab.create("x", json!({"autoscaling": autoscaling})).await;
    let message = lab.condition("x", "Degraded", "True", "KEDAMissing").await;
    assert!(message.contains("spec.autoscaling.keda"), "{message}");

    lab.define(Foreign::ScaledObject).await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
    let objects: Api<DynamicObject> =
        Api::namespaced_with(lab.client.clone(), &lab.namespace, &Kind::ScaledObject.resource());
    let made = objects.get("x").await.unwrap();
    assert_eq!(made.data["spec"]["minReplicaCount"], 0);
    assert_eq!(made.data["spec"]["triggers"][0]["type"], "cron");

    autoscale(&lab, 0).await;
    lab.condition("x", "Available", "False", "ScaledToZero").await;

    let target = json!({"minReplicas": 1, "keda": null, "target": {"requestsInFlight": 4}});
    lab.patch("x", json!({"autoscaling": target})).await;
    eventually("the ScaledObject goes", || async {
        match objects.get_opt("x").await.unwrap() {
            None => Ok(()),
            Some(object) => Err(format!("{:?}", object.metadata)),
        }
    })
    .await;
    wait_for::<HorizontalPodAutoscaler>(&lab, "the other autoscaler comes", true).await;
}
