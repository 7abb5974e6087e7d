//! What a new node has that a cloud's cluster would have too: storage, and GPUs if asked.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::NAME;

/// Volumes that wait for a claim: nothing makes more on demand.
const VOLUMES: usize = 20;

pub(super) async fn create(client: &Client, volumes: &Path, gpus: u32) -> Result<()> {
    let class: StorageClass = serde_json::from_value(storage_class())?;
    Api::all(client.clone())
        .create(&PostParams::default(), &class)
        .await?;
    let api = Api::<PersistentVolume>::all(client.clone());
    for number in 0..VOLUMES {
        let folder = volumes.join(number.to_string());
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        api.create(
            &PostParams::default(),
            &serde_json::from_value(volume(number, &folder))?,
        )
        .await?;
    }
    if gpus > 0 {
        add_gpus(client, gpus).await?;
    }
    Ok(())
}

fn storage_class() -> Value {
    json!({
        "metadata": {"name": "local", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn volume(number: usize, folder: &Path) -> Value {
    json!({
        "metadata": {"name": format!("local-{number}")},
        "spec": {
            "storageClassName": "local",
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]},
            ]}]}},
        },
    })
}

/// As the documentation of extended resources has it: the kubelet copies a capacity that it doesn't know into what
/// can be allocated.
async fn add_gpus(client: &Client, gpus: u32) -> Result<()> {
    let patch = json!({"status": {"capacity": {"nvidia.com/gpu": gpus.to_string()}}});
    Api::<Node>::all(client.clone())
        .patch_status(NAME, &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    Ok(())
}
