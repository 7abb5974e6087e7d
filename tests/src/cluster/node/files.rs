//! The configuration files of a node's parts.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::NAME;
use super::network::DNS;

/// The Pods' network. Each Pod has a wire of its own to the node, so that all traffic between Pods is routed and
/// Service addresses are translated back without the br_netfilter module.
const POD_NETWORK: &str = "10.88.0.0/16";

/// Writes what doesn't depend on running servers.
pub(super) fn create(folder: &Path, cgroup_root: &str) -> Result<()> {
    write(folder, "containerd.toml", &containerd(snapshotter(folder)?))?;
    write_json(folder, "kubelet.json", &kubelet(folder, cgroup_root))?;
    // Names outside of the cluster lead nowhere: a node has no way out.
    write(folder, "resolv.conf", "")?;
    let networks = folder.join("root/etc/cni/net.d");
    fs::create_dir_all(&networks)?;
    write_json(&networks, "10-corral.conflist", &pod_network())
}

fn containerd(snapshotter: &str) -> String {
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE runc fails with "can't get final child's PID from pipe: EOF".
    format!(
        r#"version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{snapshotter}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
"#,
        pause = crate::images::PAUSE,
    )
}

/// Overlays can't be stacked: where the cache itself lies on one, images are copied instead.
fn snapshotter(folder: &Path) -> Result<&'static str> {
    let overlay = nix::sys::statfs::statfs(folder)
        .context("can't tell the file system")?
        .filesystem_type()
        == nix::sys::statfs::OVERLAYFS_SUPER_MAGIC;
    Ok(if overlay { "native" } else { "overlayfs" })
}

fn kubelet(folder: &Path, cgroup_root: &str) -> Value {
    let pki = folder.join("pki");
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "x509": {"clientCAFile": pki.join("ca.crt")},
            "webhook": {"enabled": true},
            "anonymous": {"enabled": false},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup_root,
        "failCgroupV1": false,
        "failSwapOn": false,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": folder.join("resolv.conf"),
        // A developer's full disk must neither evict Pods nor remove images that can't be pulled again.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "tlsCertFile": pki.join("kubelet-server.crt"),
        "tlsPrivateKeyFile": pki.join("kubelet-server.key"),
    })
}

fn pod_network() -> Value {
    json!({"cniVersion": "0.4.0", "name": "corral", "plugins": [
        {"type": "ptp", "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]})
}

pub(super) fn write_kube_proxy(folder: &Path, kubeconfig: &Path) -> Result<()> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": kubeconfig},
        "mode": "iptables",
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": NAME,
        "healthzBindAddress": "0.0.0.0:10256",
        // Limits that only the first network namespace may set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    });
    write_json(folder, "kube-proxy.json", &config)
}

pub(super) fn write_coredns(folder: &Path, kubeconfig: &Path) -> Result<()> {
    let config = format!(
        ".:53 {{
    bind {DNS}
    errors
    ready 0.0.0.0:8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {}
    }}
}}
",
        kubeconfig.display()
    );
    write(folder, "Corefile", &config)
}

fn write_json(folder: &Path, name: &str, value: &Value) -> Result<()> {
    write(folder, name, &serde_json::to_string_pretty(value)?)
}

fn write(folder: &Path, name: &str, content: &str) -> Result<()> {
    let path = folder.join(name);
    fs::write(&path, content).with_context(|| format!("can't write {}", path.display()))
}
