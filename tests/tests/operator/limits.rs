//! A client's limits count for the service: its replicas share them.

use corral_operator::crd::OllamaService;
use corral_proxy::config::{ClientLimits, Config, paths};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::lab::{Lab, eventually};

async fn limits_of_a_replica(lab: &Lab) -> Option<ClientLimits> {
    let config_map = lab.api::<ConfigMap>().get("x").await.ok()?;
    let config: Config = serde_yaml::from_str(config_map.data?.get(paths::CONFIG_FILE)?).ok()?;
    config.access.into_iter().next()?.limits
}

async fn has(lab: &Lab, what: &str, expected: Value) {
    let expected: ClientLimits = serde_json::from_value(expected).unwrap();
    eventually(what, || async {
        match limits_of_a_replica(lab).await {
            Some(limits) if limits == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn replicas_share_limits_and_none_restarts() {
    let lab = Lab::new("limits").await;
    let _operator = lab.operator(&[]).await;
    let rule = |limits: Value| json!([{"clients": ["ci-*"], "allow": ["Inference"], "limits": limits}]);
    let limits = json!({"requestsPerMinute": 60, "burst": 5, "concurrent": 4});
    lab.create("x", json!({"replicas": 2, "access": rule(limits)}))
        .await;
    has(
        &lab,
        "half for each",
        json!({"requestsPerMinute": 30, "burst": 3, "concurrent": 2}),
    )
    .await;
    let template = async || {
        let deployment = lab.api::<Deployment>().get("x").await.unwrap();
        deployment.spec.unwrap().template
    };
    eventually("the Deployment is there", || async {
        let found = lab.api::<Deployment>().get_opt("x").await;
        found.unwrap().map(drop).ok_or_else(String::new)
    })
    .await;
    let before = template().await;

    let scale = json!({"spec": {"replicas": 7}});
    let services = lab.api::<OllamaService>();
    services
        .patch_scale("x", &PatchParams::default(), &Patch::Merge(scale))
        .await
        .unwrap();
    has(
        &lab,
        "a seventh for each, rounded up",
        json!({"requestsPerMinute": 9, "burst": 1, "concurrent": 1}),
    )
    .await;

    let edit = json!({"spec": {"access": rule(json!({"concurrent": 70}))}});
    services
        .patch("x", &PatchParams::default(), &Patch::Merge(edit))
        .await
        .unwrap();
    has(&lab, "other limits", json!({"concurrent": 10})).await;
    assert_eq!(template().await, before);
}
