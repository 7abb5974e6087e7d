//! What a new operator does with what an earlier one has left.

use std::fs;
use std::path::Path;

use corral_operator::compare::covers;
use corral_operator::crd::{self, OllamaService};
use corral_tests::cluster::{ControlPlane, define};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};
use crate::replica::Replica;

async fn proxy_image(lab: &Lab) -> String {
    let deployment = lab.api::<Deployment>().get("x").await.unwrap();
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    pod.containers[0].image.clone().unwrap()
}

async fn has_image(lab: &Lab, expected: &str) {
    eventually(&format!("the proxy's image is {expected}"), || async {
        let image = proxy_image(lab).await;
        if image == expected { Ok(()) } else { Err(image) }
    })
    .await;
}

#[tokio::test]
async fn a_new_operator_waits_for_the_next_rollout() {
    let lab = Lab::new("upgrade").await;
    let mut old = lab.operator(&["--proxy-image=proxy:1"]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    lab.settled().await;
    assert_eq!(lab.status("x").await.pending_upgrade, None);
    let _ = old.kill().await;

    let mut new = lab.operator(&["--proxy-image=proxy:2"]).await;
    let waits = eventually("an upgrade waits", || async {
        lab.status("x").await.pending_upgrade.ok_or("not yet".to_owned())
    })
    .await;
    assert!(waits.contains("proxy:2") && waits.contains("proxy:1"), "{waits}");
    assert_eq!(lab.event("UpgradeWaits").await, ("Normal".to_owned(), waits));
    lab.patch("x", json!({"replicas": 2, "models": [{"name": "m"}]}))
        .await;
    eventually("what replaces no Pod follows", || async {
        let replicas = lab
            .api::<Deployment>()
            .get("x")
            .await
            .unwrap()
            .spec
            .unwrap()
            .replicas;
        if replicas == Some(2) {
            Ok(())
        } else {
            Err(format!("{replicas:?}"))
        }
    })
    .await;
    lab.settled().await;
    assert_eq!(proxy_image(&lab).await, "proxy:1");

    lab.patch("x", json!({"nodeSelector": {"a": "b"}})).await;
    has_image(&lab, "proxy:2").await;
    eventually("nothing waits", || async {
        match lab.status("x").await.pending_upgrade {
            None => Ok(()),
            Some(waits) => Err(waits),
        }
    })
    .await;
    let _ = new.kill().await;

    let _newest = lab.operator(&["--proxy-image=proxy:3"]).await;
    eventually("the next one waits", || async {
        lab.status("x").await.pending_upgrade.ok_or("not yet".to_owned())
    })
    .await;
    assert_eq!(proxy_image(&lab).await, "proxy:2");
    lab.patch("x", json!({"upgradePolicy": "Immediate"})).await;
    has_image(&lab, "proxy:3").await;
}

/// Whether the Pods have the key by which the operator can tell what they have in force.
async fn has_digest_key(lab: &Lab) -> bool {
    let deployment = lab.api::<Deployment>().get("x").await.unwrap();
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    let mut volumes = pod.volumes.iter().flatten();
    volumes.any(|volume| volume.name == "digest-key")
}

#[tokio::test]
async fn pods_are_replaced_to_have_the_key_of_digests_and_not_to_be_rid_of_it() {
    let lab = Lab::new("digest-key").await;
    let mut reading = lab.operator(&[]).await;
    lab.create("x", json!({"auth": {"apiKeys": {"secretRef": {"name": "keys"}}}}))
        .await;
    lab.condition("x", "Available", "False", "Starting").await;
    lab.settled().await;
    assert!(has_digest_key(&lab).await);
    let _ = reading.kill().await;

    let mut blind = lab.operator(&["--secrets=none"]).await;
    eventually("that it could go waits", || async {
        lab.status("x").await.pending_upgrade.ok_or("not yet".to_owned())
    })
    .await;
    lab.settled().await;
    assert!(has_digest_key(&lab).await);
    lab.patch("x", json!({"nodeSelector": {"a": "b"}})).await;
    let eventually_has = async |expected: bool| {
        eventually(&format!("the Pods have the key: {expected}"), || async {
            let has = has_digest_key(&lab).await;
            if has == expected {
                Ok(())
            } else {
                Err(String::new())
            }
        })
        .await;
    };
    eventually_has(false).await;
    let _ = blind.kill().await;

    let _reading = lab.operator(&[]).await;
    eventually_has(true).await;
    assert_eq!(lab.status("x").await.pending_upgrade, None);
}

/// A proxy that restarts with a configuration that it doesn't know would end at once.
#[tokio::test]
async fn an_upgrade_waits_no_longer_than_until_a_proxy_refuses_its_configuration() {
    let lab = Lab::new("upgrade-refused").await;
    let mut old = lab.operator(&["--proxy-image=proxy:1"]).await;
    lab.create("x", json!({})).await;
    lab.condition("x", "Available", "False", "Starting").await;
    let replica = Replica::start(&lab, "x", 1).await;
    lab.condition("x", "CredentialsSynced", "True", "InForce").await;
    let _ = old.kill().await;
    let _new = lab.operator(&["--proxy-image=proxy:2"]).await;
    eventually("an upgrade waits", || async {
        lab.status("x").await.pending_upgrade.ok_or("not yet".to_owned())
    })
    .await;
    lab.settled().await;
    assert_eq!(proxy_image(&lab).await, "proxy:1");

    replica.refuses("unknown field `newer`");
    lab.patch("x", json!({"models": [{"name": "m"}]})).await;
    has_image(&lab, "proxy:2").await;
    let message = lab
        .condition("x", "CredentialsSynced", "False", "ConfigurationRefused")
        .await;
    assert!(message.contains("unknown field `newer`"), "{message}");
    eventually("nothing waits", || async {
        let waits = lab.status("x").await.pending_upgrade;
        waits.map_or(Ok(()), Err)
    })
    .await;
}

fn documents(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    let document = serde_yaml::Deserializer::from_str(&text).next().unwrap();
    Value::deserialize(document).unwrap()
}

async fn stored(client: &Client, object: &Value) -> OllamaService {
    let name = object["metadata"]["name"].as_str().unwrap();
    Api::namespaced(client.clone(), "default")
        .get(name)
        .await
        .unwrap()
}

/// The API server takes a definition into force a moment after it says so.
async fn newest_in_force(client: &Client) {
    let newer = json!({"apiVersion": "corral.dev/v1alpha1", "kind": "OllamaService", "metadata": {"name": "newer"},
        "spec": {"upgradePolicy": "Immediate"}});
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::apply("test").validation_strict()
    };
    let resource = ApiResource::erase::<OllamaService>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
    eventually("the newest definition is in force", || async {
        let applied = api.patch("newer", &parameters, &Patch::Apply(&newer)).await;
        applied.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// On a server of its own: the definition is there once for all namespaces.
#[tokio::test]
async fn what_an_earlier_release_has_stored_is_read_and_can_be_edited() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    let released = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/tests/released");
    let mut read = 0;
    for release in fs::read_dir(released).unwrap() {
        let release = release.unwrap().path();
        let definition = documents(&release.join("definition.yaml"));
        let definition: CustomResourceDefinition = serde_json::from_value(definition).unwrap();
        define(&client, &definition).await.unwrap();
        let files = fs::read_dir(&release).unwrap().map(|file| file.unwrap().path());
        let objects: Vec<_> = files
            .filter(|file| !file.ends_with("definition.yaml"))
            .map(|file| documents(&file))
            .map(|mut object| {
                object["metadata"] = json!({"name": object["metadata"]["name"]});
                object
            })
            .collect();
        let resource = ApiResource::erase::<OllamaService>(&());
        let old: Api<DynamicObject> = Api::namespaced_with(client.clone(), "default", &resource);
        for object in &objects {
            let name = object["metadata"]["name"].as_str().unwrap();
            let parameters = PatchParams::apply("test");
            old.patch(name, &parameters, &Patch::Apply(object)).await.unwrap();
        }
        define(&client, &crd::definition()).await.unwrap();
        newest_in_force(&client).await;
        for object in &objects {
            let service = stored(&client, object).await;
            let name = format!("{}: {}", release.display(), service.name_any());
            let spec = serde_json::to_value(&service.spec).unwrap();
            assert!(covers(&spec, &object["spec"]), "{name}: {spec}");
            let edit = Patch::Merge(json!({"spec": {"replicas": 3}}));
            let services = Api::<OllamaService>::namespaced(client.clone(), "default");
            let edited = services
                .patch(&service.name_any(), &PatchParams::default(), &edit)
                .await;
            assert!(edited.is_ok(), "{name}: {edited:?}");
            read += 1;
        }
    }
    assert!(read >= 5, "only {read} objects");
}

/// Takes the rules of CEL out of a schema, as if they had come later.
fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(list) => list.iter_mut().for_each(without_rules),
        _ => {}
    }
}

/// What is wrong with them could else be told in no status.
#[tokio::test]
async fn what_was_stored_before_a_rule_came_can_be_told_so() {
    let cluster = ControlPlane::start().await.unwrap();
    let client = cluster.client().await.unwrap();
    let mut older = serde_json::to_value(crd::definition()).unwrap();
    without_rules(&mut older);
    define(&client, &serde_json::from_value(older).unwrap())
        .await
        .unwrap();
    let services = Api::<OllamaService>::namespaced(client.clone(), "default");
    let kept = json!([{"name": "a", "keepLoaded": true}, {"name": "b", "keepLoaded": true}]);
    let cases = [
        (
            "gpu-in-resources",
            json!({"resources": {"limits": {"nvidia.com/gpu": 1}}}),
        ),
        (
            "more-kept-loaded",
            json!({"runtime": {"maxLoadedModels": 1}, "models": kept}),
        ),
        ("prunes-all", json!({"pruneModels": true})),
        (
            "certificates-without-tls",
            json!({"auth": {"clientCertificates": {"secretRef": {"name": "a"}}}}),
        ),
        (
            "two-pods-one-volume",
            json!({"rollout": {"surge": true}, "storage": {"size": "1Gi"}}),
        ),
        (
            "small-cache",
            json!({"runtime": {"kvCacheType": "q8_0", "flashAttention": false}}),
        ),
    ];
    let object = |name: &str, spec: &Value| {
        serde_json::from_value::<OllamaService>(json!({"apiVersion": "corral.dev/v1alpha1",
            "kind": "OllamaService", "metadata": {"name": name}, "spec": spec}))
        .unwrap()
    };
    for (name, spec) in &cases {
        let stored = services.create(&PostParams::default(), &object(name, spec)).await;
        assert!(stored.is_ok(), "{name}: {stored:?}");
    }
    define(&client, &crd::definition()).await.unwrap();
    let trial = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    for (name, spec) in &cases {
        eventually(&format!("{name} is refused from now on"), || async {
            let again = services.create(&trial, &object("again", spec)).await;
            again.map_or(Ok(()), |_| Err("it is taken".to_owned()))
        })
        .await;
        let status = Patch::Merge(json!({"status": {"replicas": 1}}));
        let told = services
            .patch_status(name, &PatchParams::default(), &status)
            .await;
        assert!(told.is_ok(), "{name}: {told:?}");
    }
}
