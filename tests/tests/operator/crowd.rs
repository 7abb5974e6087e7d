//! Many at a time, and the worst of times.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use corral_operator::crd::OllamaService;
use corral_tests::cluster::{ControlPlane, define};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::lab::{Lab, eventually, start};

const MANY: usize = 20;

async fn all_made(lab: &Lab) {
    eventually("all are made", || async {
        let mut waiting = Vec::new();
        for number in 0..MANY {
            let conditions = lab.status(&format!("x{number}")).await.conditions;
            if !conditions
                .iter()
                .any(|one| one.type_ == "Available" && one.reason == "Starting")
            {
                waiting.push(number);
            }
        }
        if waiting.is_empty() {
            Ok(())
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
}

/// What has happened to each Secret of the namespace from now on, by name. The audit log would not do: of a request whose
/// sender was killed it may say that it failed, though the object was made.
async fn histories(lab: &Lab) -> Arc<Mutex<BTreeMap<String, Vec<&'static str>>>> {
    let api: Api<Secret> = lab.api();
    let now = api.list_metadata(&ListParams::default()).await.unwrap();
    let version = now.metadata.resource_version.unwrap();
    let histories: Arc<Mutex<BTreeMap<String, Vec<&'static str>>>> = Arc::default();
    let seen = Arc::clone(&histories);
    tokio::spawn(async move {
        let parameters = WatchParams::default().disable_bookmarks();
        let mut events = pin!(api.watch_metadata(&parameters, &version).await.unwrap());
        while let Some(event) = events.try_next().await.unwrap() {
            let (happened, secret) = match event {
                WatchEvent::Added(secret) => ("made", secret),
                WatchEvent::Modified(secret) => ("written again", secret),
                WatchEvent::Deleted(secret) => ("deleted", secret),
                other => panic!("{other:?}"),
            };
            seen.lock()
                .unwrap()
                .entry(secret.name_any())
                .or_default()
                .push(happened);
        }
    });
    histories
}

#[tokio::test]
async fn killed_at_any_point_all_converge_and_nothing_is_doubled() {
    let lab = Lab::new("killed").await;
    let histories = histories(&lab).await;
    let mut operator = lab.operator(&[]).await;
    for number in 0..MANY {
        lab.create(&format!("x{number}"), json!({"storage": {"size": "1Gi"}}))
            .await;
        // Killed again and again while it works, each time a little later.
        if number % 5 == 4 {
            tokio::time::sleep(Duration::from_millis(20 * number as u64)).await;
            operator.kill().await.unwrap();
            operator = lab.operator(&[]).await;
        }
    }
    all_made(&lab).await;
    let settled = lab.settled().await;
    // Per service: six children, two Secrets, itself.
    assert_eq!(settled.len(), MANY * 9, "{settled:?}");
    eventually("every Secret has been seen", || async {
        let seen = histories.lock().unwrap().len();
        (seen == MANY * 2).then_some(()).ok_or(format!("{seen}"))
    })
    .await;
    for (name, history) in &*histories.lock().unwrap() {
        assert_eq!(history, &["made"], "{name}");
    }
    drop(operator);
}

#[tokio::test]
async fn one_that_cannot_be_read_does_not_stop_the_rest() {
    // A definition that lets anything pass, on an API server of its own.
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    let mut definition = corral_operator::crd::definition();
    let open = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    definition.spec.versions[0].schema = Some(serde_json::from_value(open).unwrap());
    define(&client, &definition).await.unwrap();
    let namespace = cluster.namespace("open").await.unwrap();
    let _operator = start(cluster.kubeconfig(), &[]).await;
    let resource = kube::api::ApiResource::erase::<OllamaService>(&());
    let api: Api<kube::api::DynamicObject> = Api::namespaced_with(client, &namespace, &resource);
    for (name, spec, reason) in [
        ("unreadable", json!({"models": "many"}), "Invalid"),
        (
            "wrong",
            json!({"network": {"allowedCIDRs": ["everywhere"]}}),
            "Invalid",
        ),
        ("right", json!({}), "Starting"),
    ] {
        let object = json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "metadata": {"name": name}, "spec": spec});
        eventually(&format!("{name} is accepted"), || async {
            let outcome = api
                .patch(name, &PatchParams::apply("test"), &Patch::Apply(&object))
                .await;
            outcome.map(drop).map_err(|error| error.to_string())
        })
        .await;
        eventually(&format!("{name} is {reason}"), || async {
            let object = api.get(name).await.unwrap();
            let found = &object.data["status"]["conditions"][0];
            if found["reason"] == reason {
                Ok(())
            } else {
                Err(found.to_string())
            }
        })
        .await;
    }
}
