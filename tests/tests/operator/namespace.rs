//! A namespace that is being deleted takes everything with it, and nobody makes anything again.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::json;

use crate::lab::{Lab, eventually};

/// Without controllers the namespace stays where its deletion began: what they would delete the test deletes.
#[tokio::test]
async fn after_one_refusal_nothing_more_is_written() {
    let lab = Lab::new("leaves").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    lab.settled().await;
    let before = lab.status("x").await;
    let namespaces: Api<Namespace> = Api::all(lab.client.clone());
    namespaces
        .delete(&lab.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let mark = lab.cluster.audit().mark().unwrap();
    let by_operator = || {
        let writes = lab.cluster.audit().writes_since(mark).unwrap();
        let here = writes
            .into_iter()
            .filter(|write| write.namespace == lab.namespace && !write.verb.starts_with("delete"));
        here.map(|write| format!("{} {} {}", write.verb, write.resource, write.status))
            .collect::<Vec<_>>()
    };

    lab.api::<Service>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the Service is refused", || async {
        match by_operator() {
            writes if writes.is_empty() => Err("nothing was tried".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    lab.api::<ConfigMap>()
        .delete("x", &DeleteParams::default())
        .await
        .unwrap();
    lab.settled().await;
    assert_eq!(
        by_operator(),
        ["patch services 403"],
        "tried once, then left alone"
    );
    assert_eq!(lab.status("x").await, before, "nothing is said of it");
    let events = lab.api::<Event>().list(&ListParams::default()).await.unwrap();
    let refused = events
        .iter()
        .any(|event| event.reason.as_deref() == Some("ApplyRefused"));
    assert!(!refused, "no event complains");
}
