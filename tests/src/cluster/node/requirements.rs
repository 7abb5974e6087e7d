//! What a machine must have to run a node.

use std::path::Path;

use anyhow::{Result, bail};

use crate::command;
use crate::tools::debian::{self, Package};

/// Debian's packages.
const PACKAGES: &[Package] = &[
    ("containerd", "/usr/bin/containerd"),
    ("runc", "/usr/sbin/runc"),
    ("containernetworking-plugins", "/usr/lib/cni/ptp"),
    ("iptables", "/usr/sbin/iptables"),
    ("iproute2", "/sbin/ip"),
    ("conntrack", "/usr/sbin/conntrack"),
    ("socat", "/usr/bin/socat"),
    ("procps", "/sbin/sysctl"),
    ("busybox-static", "/bin/busybox"),
    ("curl", "/usr/bin/curl"),
    ("openssl", "/usr/bin/openssl"),
];

/// Why this machine can't run a node, in one sentence; nothing if it can.
pub fn unsupported() -> Option<String> {
    let reason = if cfg!(not(target_os = "linux")) {
        "it takes Linux"
    } else if !nix::unistd::geteuid().is_root() {
        "it takes root (for namespaces and containers)"
    } else if !Path::new("/sys/fs/cgroup").exists() {
        "/sys/fs/cgroup is missing"
    } else if !command::exists("unshare") || !command::exists("nsenter") {
        "unshare and nsenter (util-linux) are missing"
    } else if !debian::missing(PACKAGES).is_empty() && !command::exists("apt-get") {
        "containerd and its companions are missing, and without apt they can't be installed"
    } else {
        return None;
    };
    Some(format!(
        "This machine can't run a Kubernetes node: {reason}; CLUSTER=current uses the cluster of your kubeconfig instead."
    ))
}

/// Installs what is missing.
pub(super) fn ensure() -> Result<()> {
    if let Some(reason) = unsupported() {
        bail!(reason);
    }
    debian::ensure(PACKAGES)
}
