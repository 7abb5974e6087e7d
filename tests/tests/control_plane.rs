//! The harness's own promises: a control plane starts, keeps an audit log, and leaves nothing behind.

use corral_tests::cluster::ControlPlane;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn objects_can_be_written_and_the_audit_log_says_by_whom() {
    let cluster = ControlPlane::shared().await.unwrap();
    let namespace = cluster.namespace("audit").await.unwrap();
    let api: Api<ConfigMap> = Api::namespaced(cluster.client().await.unwrap(), &namespace);
    let mark = cluster.audit().mark().unwrap();
    api.create(&PostParams::default(), &config_map("seen"))
        .await
        .unwrap();
    api.get("seen").await.unwrap();
    let writes = cluster.audit().writes_since(mark).unwrap();
    let ours: Vec<_> = writes
        .into_iter()
        .filter(|write| write.namespace == namespace)
        .collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    assert_eq!(
        (ours[0].verb.as_str(), ours[0].resource.as_str(), ours[0].status),
        ("create", "configmaps", 201)
    );
    assert_eq!(ours[0].user, "administrator");
}

#[tokio::test]
async fn tests_of_one_process_share_a_control_plane() {
    let cluster = ControlPlane::shared().await.unwrap();
    let names = [
        cluster.namespace("shared").await.unwrap(),
        cluster.namespace("shared").await.unwrap(),
    ];
    assert_ne!(names[0], names[1]);
}

#[tokio::test]
async fn one_that_is_dropped_leaves_nothing_behind() {
    let cluster = ControlPlane::start().await.unwrap();
    let folder = cluster.kubeconfig().parent().unwrap().to_owned();
    drop(cluster);
    assert!(!folder.exists());
    let processes = std::process::Command::new("pgrep")
        .arg("-f")
        .arg(&folder)
        .output()
        .unwrap();
    assert!(
        processes.stdout.is_empty(),
        "still running: {}",
        String::from_utf8_lossy(&processes.stdout)
    );
}
