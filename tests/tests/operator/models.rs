//! Models that are made from ConfigMaps, and what is told of those that change.

use corral_proxy::config::{Config, paths};
use corral_proxy::status::{LoadedModel, ModelState, ModelStatus};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};
use crate::replica::{Replica, ready_pods, there};

/// The Modelfile of the first model as the proxies are told, or why there is none.
async fn told(lab: &Lab) -> Result<String, String> {
    let config_map = lab.api::<ConfigMap>().get("x").await.unwrap();
    let text = config_map.data.unwrap().remove(paths::CONFIG_FILE).unwrap();
    let config: Config = serde_yaml::from_str(&text).unwrap();
    let model = config.models[0].clone();
    model.modelfile.ok_or_else(|| model.problem.unwrap_or_default())
}

async fn is_told(lab: &Lab, modelfile: &str) {
    eventually("the Modelfile reaches the proxies", || async {
        match told(lab).await {
            Ok(told) if told == modelfile => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

fn files(text: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"}, "data": {"Modelfile": text}})
}

#[tokio::test]
async fn a_model_follows_its_config_map() {
    let lab = Lab::new("modelfile").await;
    let _operator = lab.operator(&[]).await;
    let source = json!({"configMapKeyRef": {"name": "files"}});
    lab.create("x", json!({"models": [{"name": "made", "modelfile": source}]}))
        .await;
    let message = lab.condition("x", "Degraded", "True", "ModelfileInvalid").await;
    assert!(
        message.contains("ConfigMap files of its Modelfile is missing"),
        "{message}"
    );
    assert_eq!(
        told(&lab).await,
        Err("ConfigMap files of its Modelfile is missing".to_owned())
    );

    let _: ConfigMap = lab.apply("files", files("FROM a\nSYSTEM one")).await;
    is_told(&lab, "FROM a\nSYSTEM one").await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;

    let _: ConfigMap = lab.apply("files", files("FROM a\nSYSTEM two")).await;
    is_told(&lab, "FROM a\nSYSTEM two").await;

    let _: ConfigMap = lab.apply("files", files("FROM a\nSYSTM two")).await;
    let message = lab.condition("x", "Degraded", "True", "ModelfileInvalid").await;
    assert!(
        message.contains("entry Modelfile of ConfigMap files: line 2: "),
        "{message}"
    );

    lab.settled().await;
    let mark = lab.cluster.audit().mark().unwrap();
    let other =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}, "data": {"a": "b"}});
    let _: ConfigMap = lab.apply("other", other).await;
    lab.settled().await;
    let writes = lab.cluster.audit().writes_since(mark).unwrap();
    let ours: Vec<_> = writes
        .iter()
        .filter(|write| write.namespace == lab.namespace && write.name != "other")
        .collect();
    assert!(
        ours.is_empty(),
        "a ConfigMap that is no Modelfile changes nothing: {ours:?}"
    );

    lab.api::<ConfigMap>()
        .delete("files", &DeleteParams::default())
        .await
        .unwrap();
    eventually("its end is noticed", || async {
        match told(&lab).await {
            Err(problem) if problem.contains("is missing") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn another_digest_is_told_and_one_that_is_not_wanted_is_no_good() {
    let lab = Lab::new("digest").await;
    let _operator = lab.operator(&[]).await;
    let (first, second) = ("1".repeat(64), "2".repeat(64));
    lab.create("x", json!({"models": [{"name": "a"}]})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let replica = Replica::start(&lab, "x", 1).await;
    let says = |state, digest: &str, message: Option<&str>| {
        vec![ModelStatus {
            name: "a".to_owned(),
            state,
            progress: None,
            completed: None,
            total: None,
            digest: Some(digest.to_owned()),
            size: Some(7),
            message: message.map(str::to_owned),
            displaced: 0,
        }]
    };
    replica.models(says(ModelState::Ready, &first, None));
    lab.condition("x", "ModelsReady", "True", "AllThere").await;
    let digest = async || lab.status("x").await.models.remove(0);
    assert_eq!(digest().await.digest, Some(first.clone()));
    let since = digest().await.digest_since.unwrap();

    replica.models(says(ModelState::Loading, &second, None));
    lab.patch("x", json!({"models": [{"name": "a", "digest": first}]}))
        .await;
    eventually("the other digest shows", || async {
        let model = lab.status("x").await.models.remove(0);
        match (&model.digest, &model.digest_since) {
            (Some(digest), Some(time)) if *digest == second && *time >= since => Ok(()),
            _ => Err(format!("{model:?}")),
        }
    })
    .await;
    eventually("it is told", || async {
        let events = lab.api::<Event>().list(&ListParams::default()).await.unwrap();
        let notes: Vec<_> = events
            .items
            .into_iter()
            .filter(|event| event.reason.as_deref() == Some("ModelChanged"))
            .filter_map(|event| event.note)
            .collect();
        let expected = format!("Model a has digest {second} now; it was {first}");
        if notes == [expected] {
            Ok(())
        } else {
            Err(format!("{notes:?}"))
        }
    })
    .await;

    replica.models(says(ModelState::Failed, &second, Some("its digest is another")));
    lab.condition("x", "ModelsReady", "False", "DigestMismatch").await;
    lab.condition("x", "Degraded", "True", "DigestMismatch").await;
}

#[tokio::test]
async fn a_model_on_the_cpu_is_spoken_of_where_a_gpu_was_asked_for() {
    let lab = Lab::new("fallback").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"gpu": {}})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let replica = Replica::start(&lab, "x", 1).await;
    replica.loaded(vec![LoadedModel {
        name: "m".to_owned(),
        size: 100,
        size_vram: 0,
    }]);
    ready_pods(&lab, "x", 1).await;
    let message = lab.condition("x", "Degraded", "True", "CPUFallback").await;
    assert!(
        message.contains("Model m computes on the CPU in Pod x-1"),
        "{message}"
    );
    assert_eq!(lab.event("CPUFallback").await, ("Warning".to_owned(), message));
    lab.condition("x", "Ready", "True", "Ready").await;

    lab.patch("x", json!({"gpu": null})).await;
    lab.condition("x", "Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn models_that_do_not_stay_in_memory_are_spoken_of() {
    let lab = Lab::new("displaced").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"models": [{"name": "m", "keepLoaded": true}]}))
        .await;
    lab.condition("x", "Available", "False", "Starting").await;
    let replica = Replica::start(&lab, "x", 1).await;
    replica.models(vec![ModelStatus {
        displaced: 4,
        ..there("m")
    }]);
    ready_pods(&lab, "x", 1).await;
    let message = lab.condition("x", "Degraded", "True", "ModelsDisplaced").await;
    assert_eq!(
        lab.event("ModelsDisplaced").await,
        ("Warning".to_owned(), message)
    );
    lab.condition("x", "Ready", "True", "Ready").await;

    // No watch shows it, so the operator asks again.
    replica.models(vec![there("m")]);
    lab.condition("x", "Degraded", "False", "AsExpected").await;
}

#[tokio::test]
async fn a_key_for_registries_is_asked_for_by_name() {
    let lab = Lab::new("registry-key").await;
    let _operator = lab.operator(&[]).await;
    lab.create("x", json!({"registryKey": {"secretKeyRef": {"name": "account"}}}))
        .await;
    let message = lab.condition("x", "Degraded", "True", "RegistryKeyMissing").await;
    assert!(
        message.contains("create secret generic account --from-file=id_ed25519"),
        "{message}"
    );
    lab.secret("account", json!({"id_ed25519": "no-key-at-all"}))
        .await;
    let message = lab.condition("x", "Degraded", "True", "RegistryKeyInvalid").await;
    assert!(
        message.contains("entry id_ed25519 of Secret account"),
        "{message}"
    );
    assert!(!message.contains("no-key-at-all"), "the content shows: {message}");
}
